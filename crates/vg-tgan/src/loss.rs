//! Objectives: pure functions of the critic's scores `[B]`.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::loss::bce_with_logits;

use crate::config::Loss;

/// The generator's loss from the scores of generated clips, a scalar.
///
/// WGAN: `-mean D(fake)`. Vanilla: binary cross-entropy against label 0, because the official code calls fakes 1 and reals 0.
/// LSGAN: `mean D(fake)^2`.
pub fn generator_loss(loss: Loss, fake: &Tensor) -> Result<Tensor> {
    Ok(match loss {
        Loss::Wgan => fake.mean_all()?.neg()?,
        Loss::Vanilla => bce_with_logits(fake, 0.0)?,
        Loss::Lsgan => fake.sqr()?.mean_all()?,
    })
}

/// The critic's loss from the scores of generated and real clips, a scalar.
///
/// WGAN: `mean D(fake) - mean D(real)`. Vanilla: cross-entropy with fakes labelled 1 and reals 0.
/// LSGAN: `mean (D(fake) + 1)^2 + mean (D(real) - 1)^2`.
pub fn critic_loss(loss: Loss, fake: &Tensor, real: &Tensor) -> Result<Tensor> {
    Ok(match loss {
        Loss::Wgan => (fake.mean_all()? - real.mean_all()?)?,
        Loss::Vanilla => (bce_with_logits(fake, 1.0)? + bce_with_logits(real, 0.0)?)?,
        Loss::Lsgan => ((fake + 1.0)?.sqr()?.mean_all()? + (real - 1.0)?.sqr()?.mean_all()?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn scores(values: &[f64]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap()
    }

    fn value(t: Result<Tensor>) -> f64 {
        t.unwrap().to_scalar::<f64>().unwrap()
    }

    #[test]
    fn a_constant_critic_gives_minus_its_value_and_zero() {
        let c = scores(&[0.7, 0.7]);
        assert!((value(generator_loss(Loss::Wgan, &c)) + 0.7).abs() < 1e-12);
        assert_eq!(value(critic_loss(Loss::Wgan, &c, &c)), 0.0);
    }

    #[test]
    fn vanilla_and_least_squares_by_hand() {
        let zero = scores(&[0.0]);
        let ln2 = std::f64::consts::LN_2;
        assert!((value(generator_loss(Loss::Vanilla, &zero)) - ln2).abs() < 1e-12);
        assert!((value(critic_loss(Loss::Vanilla, &zero, &zero)) - 2.0 * ln2).abs() < 1e-12);
        // A large score is a confident "fake" (label 1) of the official code.
        assert!(value(critic_loss(Loss::Vanilla, &scores(&[40.0]), &scores(&[-40.0]))) < 1e-12);
        assert_eq!(value(critic_loss(Loss::Lsgan, &scores(&[-1.0]), &scores(&[1.0]))), 0.0);
        assert_eq!(value(generator_loss(Loss::Lsgan, &scores(&[3.0, 1.0]))), 5.0);
    }
}
