//! Losses: pure functions, one an equation.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::loss::{cross_entropy, kl_gaussians};
use vg_core::ops::difference::{absolute_differences, squared_differences};

use crate::config::Reconstruction;
use crate::draws::Supervision;
use crate::gaussian::Gaussian;

/// How far frames are from their targets, a scalar: the *sum* over batch and pixels.
///
/// Source: specification, section 3.1; the public port.
///
/// # Errors
/// [`vg_core::Error::Shape`] when the shapes differ.
pub fn reconstruction(frames: &Tensor, targets: &Tensor, kind: Reconstruction) -> Result<Tensor> {
    match kind {
        Reconstruction::L1Sum => absolute_differences(frames, targets),
        Reconstruction::L2Sum => squared_differences(frames, targets),
    }
}

/// `KL(posterior || prior)` of rows `[T * B, latent]`, `[T]`: for each frame the *sum* over batch and latent. Gradients flow into both.
///
/// Source: specification, section 3.1.
///
/// # Errors
/// [`vg_core::Error::Tensor`] when the shapes differ.
pub fn divergence(posterior: &Gaussian, prior: &Gaussian, frames: usize) -> Result<Tensor> {
    let kl = kl_gaussians(&posterior.mu, &posterior.log_var, &prior.mu, &prior.log_var)?;
    let clips = kl.elem_count() / frames.max(1);
    Ok(kl.reshape((frames, clips))?.sum(1)?)
}

/// Cross-entropy of the label groups' logits `[B, K]` against the labels of a batch, one scalar a group: means over the batch.
///
/// Source: specification, section 3.2.
///
/// # Errors
/// As [`cross_entropy`].
pub fn attribute_means(logits: &[Tensor], labels: &[Vec<u32>]) -> Result<Vec<Tensor>> {
    let of = |(logits, labels): (&Tensor, &Vec<u32>)| {
        cross_entropy(logits, &Tensor::new(labels.as_slice(), logits.device())?)
    };
    logits.iter().zip(labels).map(of).collect()
}

/// The attribute loss of joint training, a scalar: cross-entropies of logits `[T * B, K]`, summed over label groups, frames and the clips
/// that have labels. Nothing where none has.
///
/// Source: specification, section 3.3.
///
/// # Errors
/// As [`cross_entropy`].
pub fn attribute_sum(logits: &[Tensor], given: &Supervision, frames: usize) -> Result<Option<Tensor>> {
    let (rows, clips) = (given.rows(), given.labelled.len() as u32);
    if rows.is_empty() {
        return Ok(None);
    }
    let all: Vec<u32> =
        (0..frames as u32).flat_map(|t| rows.iter().map(move |row| t * clips + row)).collect();
    let mut sum: Option<Tensor> = None;
    for (logits, labels) in logits.iter().zip(&given.labels) {
        let labels: Vec<u32> = all.iter().map(|row| labels[(row % clips) as usize]).collect();
        let chosen = logits.index_select(&Tensor::new(all.as_slice(), logits.device())?, 0)?;
        let mean = cross_entropy(&chosen, &Tensor::new(labels, logits.device())?)?;
        let group = (mean * all.len() as f64)?;
        sum = Some(match sum {
            Some(sum) => (sum + group)?,
            None => group,
        });
    }
    Ok(sum)
}

/// The losses of a step, scalars; all are sums over batch and frames.
#[derive(Clone, Debug)]
pub struct Losses {
    /// What is minimised: `rec + beta * kl + alpha * attributes`.
    pub total: Tensor,
    /// Reconstruction.
    pub rec: Tensor,
    /// Divergence of the dynamic posterior from the prior.
    pub kl: Tensor,
    /// Attribute loss of joint training.
    pub attributes: Option<Tensor>,
}

impl Losses {
    /// From the terms of each frame, `[T]`, with their weights.
    ///
    /// # Errors
    /// Those of the sums.
    pub fn new(rec: &Tensor, kl: &Tensor, beta: f64, attributes: Option<(Tensor, f64)>) -> Result<Self> {
        let (rec, kl) = (rec.sum_all()?, kl.sum_all()?);
        let mut total = if beta == 1.0 { (&rec + &kl)? } else { (&rec + (&kl * beta)?)? };
        if let Some((loss, weight)) = &attributes {
            total = (total + (loss * *weight)?)?;
        }
        Ok(Self { total, rec, kl, attributes: attributes.map(|(loss, _)| loss) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn tensor<const N: usize>(rows: &[[f64; 2]; N]) -> Tensor {
        Tensor::new(rows, &Device::Cpu).unwrap()
    }

    fn near(got: &Tensor, want: f64) {
        let got: f64 = got.to_scalar().unwrap();
        assert!((got - want).abs() < 1e-8, "{got} {want}");
    }

    #[test]
    fn frames_are_compared_by_sums() {
        let (frames, targets) = (tensor(&[[0.5, -1.0], [1.0, 0.0]]), tensor(&[[0.0, 1.0], [1.0, 0.5]]));
        near(&reconstruction(&frames, &targets, Reconstruction::L1Sum).unwrap(), 3.0);
        near(&reconstruction(&frames, &targets, Reconstruction::L2Sum).unwrap(), 4.5);
    }

    /// Section 10.1: two frames of two clips with two latents; (1, 0) against (0, 0) costs 0.5, (0, ln 4) costs 0.80685282, and so on.
    #[test]
    fn divergences_are_summed_over_clips_and_latents() {
        let ln4 = 4f64.ln();
        let posterior = Gaussian {
            mu: tensor(&[[1.0, 0.0], [2.0, 0.3], [0.5, 0.5], [0.3, 0.3]]),
            log_var: tensor(&[[0.0, ln4], [-2.0, 0.7], [-1.0, -1.0], [0.2, 0.2]]),
        };
        let prior = Gaussian {
            mu: tensor(&[[0.0, 0.0], [1.0, 0.3], [-0.3, 0.0], [0.3, 0.3]]),
            log_var: tensor(&[[0.0, 0.0], [1.0, 0.7], [0.7, 0.0], [0.2, 0.2]]),
        };
        let kl = divergence(&posterior, &prior, 2).unwrap();
        near(&kl.get(0).unwrap(), 0.5 + 0.80685282 + 1.20883325);
        near(&kl.get(1).unwrap(), 0.60024906 + 0.30893972);
        let none = divergence(&posterior, &posterior, 4).unwrap().to_vec1::<f64>().unwrap();
        assert!(none.iter().all(|kl| kl.abs() < 1e-15), "{none:?}");
    }

    #[test]
    fn attribute_losses_count_labelled_clips_in_every_frame() {
        // Two frames of two clips; equal logits cost ln 2.
        let equal = tensor(&[[0.0, 0.0]; 4]);
        let sure = tensor(&[[0.0, 800.0], [0.0, 0.0], [0.0, 800.0], [0.0, 0.0]]);
        let given = |labelled: [bool; 2]| Supervision {
            labels: vec![vec![0, 1], vec![1, 0]],
            labelled: labelled.to_vec(),
        };
        let of = |labelled| attribute_sum(&[equal.clone(), sure.clone()], &given(labelled), 2).unwrap();
        let ln2 = 2f64.ln();
        near(&of([true, true]).unwrap(), 4.0 * ln2 + 2.0 * ln2);
        near(&of([true, false]).unwrap(), 2.0 * ln2);
        assert!(of([false, false]).is_none());
        let means = attribute_means(&[equal.narrow(0, 0, 2).unwrap()], &[vec![0, 1]]).unwrap();
        near(&means[0], ln2);
    }

    #[test]
    fn weights_are_those_of_the_terms() {
        let vector = |x: f64| Tensor::new(&[x, x], &Device::Cpu).unwrap();
        let scalar = Tensor::new(3f64, &Device::Cpu).unwrap();
        let losses = Losses::new(&vector(1.0), &vector(10.0), 0.1, Some((scalar, 2.0))).unwrap();
        near(&losses.rec, 2.0);
        near(&losses.kl, 20.0);
        near(losses.attributes.as_ref().unwrap(), 3.0);
        near(&losses.total, 2.0 + 2.0 + 6.0);
    }
}
