//! Losses and regularisation.
//!
//! The discriminators' loss is [`hinge`] on scores of clips, which are sums over frames: sums first, then the hinge.

use candle_core::Tensor;
use vg_core::Result;
pub use vg_core::loss::hinge;
use vg_core::ops::linear::linear;

/// `-mean(scores)`: the generator's loss on one discriminator's scores `[B]` of generated clips.
///
/// # Errors
/// [`vg_core::Error::Tensor`] for no scores.
pub fn generator(scores: &Tensor) -> Result<Tensor> {
    Ok(scores.mean_all()?.neg()?)
}

/// `strength / 2 |W W^T o (1 - I)|^2` of the matrix `[shape[0], rest]` of a weight.
///
/// Source: Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis", 2019, eq. (3) times one half: its gradient,
/// `2 strength (W W^T o (1 - I)) W`, is what BigGAN's PyTorch code adds.
///
/// # Errors
/// [`vg_core::Error::Shape`] for fewer than two axes.
pub fn orthogonal(weight: &Tensor, strength: f64) -> Result<Tensor> {
    let matrix = weight.flatten_from(1)?;
    let rows = matrix.dim(0)?;
    let outside = Tensor::eye(rows, matrix.dtype(), matrix.device())?.affine(-1.0, 1.0)?;
    let gram = (linear(&matrix, &matrix, None)? * outside)?;
    Ok((gram.sqr()?.sum_all()? * (0.5 * strength))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// Specification, section 10.4.
    #[test]
    fn sums_over_frames_come_before_the_hinge() {
        let frames = Tensor::new(&[[0.9f64, -0.2, 0.4]], &Device::Cpu).unwrap();
        let far = Tensor::new(&[-9f64], &Device::Cpu).unwrap();
        let value = |real: &Tensor| hinge(real, &far).unwrap().to_scalar::<f64>().unwrap();
        assert_eq!(value(&frames.sum(1).unwrap()), 0.0);
        assert!((value(&frames.flatten_all().unwrap()) - 0.6333333333).abs() < 1e-9);
        let fake = Tensor::new(&[-2f64, 0.4, -0.5], &Device::Cpu).unwrap();
        assert!((generator(&fake).unwrap().to_scalar::<f64>().unwrap() - 0.7).abs() < 1e-12);
    }

    /// Specification, section 10.4: the loss of the paper is 242, the gradient that of BigGAN's code.
    #[test]
    fn orthogonal_regularisation_is_that_of_the_code() {
        let w = Var::new(&[[1f64, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let loss = orthogonal(w.as_tensor(), 1.0).unwrap();
        assert_eq!(loss.to_scalar::<f64>().unwrap(), 121.0);
        let grads = loss.backward().unwrap();
        let grad = grads.get(w.as_tensor()).unwrap().to_vec2::<f64>().unwrap();
        assert_eq!(grad, [[66.0, 88.0], [22.0, 44.0]]);
    }
}
