//! Losses: pure functions, one an equation.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::loss::{kl_gaussians, kl_standard_normal};

use crate::gaussian::Gaussian;

/// Mean squared errors of frames `[B, T, C, H, W]`, `[T]`: the *mean* over clips, channels and pixels.
///
/// Source: official code, `train_svg_lp.py`, `mse_criterion`.
///
/// # Errors
/// [`vg_core::Error::Tensor`] when the shapes differ.
pub fn reconstruction(frames: &Tensor, targets: &Tensor) -> Result<Tensor> {
    Ok((frames - targets)?.sqr()?.flatten_from(2)?.mean(2)?.mean(0)?)
}

/// `KL(posterior || prior)` of a frame's latent, a scalar: the *sum* over the latent and the mean over clips. Gradients flow into both.
///
/// Source: paper, equation of SVG-LP; official code, `train_svg_lp.py`, `kl_criterion`.
///
/// # Errors
/// [`vg_core::Error::Tensor`] when the shapes differ.
pub fn kl_learned_prior(posterior: &Gaussian, prior: &Gaussian) -> Result<Tensor> {
    let kl = kl_gaussians(&posterior.mu, &posterior.log_var, &prior.mu, &prior.log_var)?;
    Ok(kl.mean_all()?)
}

/// `KL(posterior || N(0, I))`, reduced likewise.
///
/// Source: paper, equation of SVG-FP; official code, `train_svg_fp.py`, `kl_criterion`.
///
/// # Errors
/// Those of the operations.
pub fn kl_fixed_prior(posterior: &Gaussian) -> Result<Tensor> {
    Ok(kl_standard_normal(&posterior.mu, &posterior.log_var)?.mean_all()?)
}

/// The losses of a step, scalars.
#[derive(Clone, Debug)]
pub struct Losses {
    /// What is minimised: `mse + beta * kl`.
    pub total: Tensor,
    /// Reconstruction, summed over the predicted frames.
    pub mse: Tensor,
    /// KL divergence, summed over the predicted frames; nothing in the deterministic variant.
    pub kl: Option<Tensor>,
}

impl Losses {
    /// From the terms of the predicted frames, `[T]` each; no `kl` in the deterministic variant.
    ///
    /// Source: paper, the bound that is maximised, with the signs of a loss; official code, `train_svg_lp.py`.
    ///
    /// # Errors
    /// Those of the sums.
    pub fn new(mse: &Tensor, kl: Option<&Tensor>, beta: f64) -> Result<Self> {
        let mse = mse.sum_all()?;
        let Some(kl) = kl else {
            return Ok(Self { total: mse.clone(), mse, kl: None });
        };
        let kl = kl.sum_all()?;
        Ok(Self { total: (&mse + (&kl * beta)?)?, mse, kl: Some(kl) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor<const N: usize>(rows: &[[f64; 2]; N]) -> Tensor {
        Tensor::new(rows, &Device::Cpu).unwrap()
    }

    fn value(t: &Tensor) -> f64 {
        t.to_scalar().unwrap()
    }

    fn near(got: &Tensor, want: f64) {
        assert!((value(got) - want).abs() < 1e-8, "{} {want}", value(got));
    }

    /// Two clips, two latents: 0.5 + 0.80685282 in one and 1.20883325 + 0 in the other, of which the mean counts.
    #[test]
    fn divergences_are_summed_over_the_latent_and_averaged_over_clips() {
        let ln4 = 4f64.ln();
        let posterior =
            Gaussian { mu: tensor(&[[1.0, 0.0], [2.0, 0.3]]), log_var: tensor(&[[0.0, ln4], [-2.0, 0.7]]) };
        let prior =
            Gaussian { mu: tensor(&[[0.0, 0.0], [1.0, 0.3]]), log_var: tensor(&[[0.0, 0.0], [1.0, 0.7]]) };
        near(&kl_learned_prior(&posterior, &prior).unwrap(), (0.5 + 0.80685282 + 1.20883325) / 2.0);
    }

    /// A learned prior that says N(0, I) costs what the fixed one does.
    #[test]
    fn a_standard_prior_gives_the_loss_of_the_fixed_one() {
        let posterior = Gaussian { mu: tensor(&[[0.5, -0.2]]), log_var: tensor(&[[-1.0, 0.4]]) };
        let zero = posterior.mu.zeros_like().unwrap();
        let prior = Gaussian { mu: zero.clone(), log_var: zero };
        let fixed = kl_fixed_prior(&posterior).unwrap();
        near(&kl_learned_prior(&posterior, &prior).unwrap(), value(&fixed));
        let one = Gaussian { mu: tensor(&[[0.5, 0.0]]), log_var: tensor(&[[-1.0, 0.0]]) };
        near(&kl_fixed_prior(&one).unwrap(), 0.30893972);
    }

    #[test]
    fn frames_are_summed_and_the_divergence_is_scaled() {
        // Two clips of two frames of two pixels.
        let frames =
            tensor(&[[0.5, 0.5], [1.0, 0.0], [1.0, 0.0], [0.0, 2.0]]).reshape((2, 2, 1, 1, 2)).unwrap();
        let mse = reconstruction(&frames, &frames.zeros_like().unwrap()).unwrap();
        assert_eq!(mse.to_vec1::<f64>().unwrap(), [1.5 / 4.0, 5.0 / 4.0]);
        let kl = Tensor::new(&[2f64, 2.0], &Device::Cpu).unwrap();
        let losses = Losses::new(&mse, Some(&kl), 0.01).unwrap();
        near(&losses.mse, 1.625);
        near(losses.kl.as_ref().unwrap(), 4.0);
        near(&losses.total, 1.665);
        let alone = Losses::new(&mse, None, 0.01).unwrap();
        assert!(alone.kl.is_none());
        near(&alone.total, 1.625);
    }
}
