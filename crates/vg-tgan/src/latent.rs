//! Latents of clips and of frames.

use candle_core::{DType, Device, Tensor};
use vg_core::rng::Stream;
use vg_core::{Error, Result};

/// z0: `[n, dim]`, uniform in [-1, 1).
pub fn draw_z0(stream: &mut Stream, n: usize, dim: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    stream.uniform_tensor((n, dim), -1.0, 1.0, dtype, device)
}

/// Resamples `z1` `[B, dim, T]` to `frames` points, linear in time, ends on ends: `[B, dim, frames]`.
///
/// Source: the paper's frame interpolation (linear between neighbouring latents, same z0). The latents themselves come back when
/// `frames = T`.
///
/// # Errors
/// [`Error::Unsupported`] for 0 frames.
pub fn interpolate(z1: &Tensor, frames: usize) -> Result<Tensor> {
    let length = z1.dim(2)?;
    if frames == length {
        return Ok(z1.clone());
    }
    if frames == 0 {
        return Err(Error::Unsupported("a clip of 0 frames cannot be made".into()));
    }
    let steps = (frames - 1).max(1) as f64;
    let points = (0..frames).map(|k| k as f64 * (length - 1) as f64 / steps);
    let columns: Vec<Tensor> = points
        .map(|at| {
            let left = (at.floor() as usize).min(length.saturating_sub(2));
            let right = (left + 1).min(length - 1);
            let weight = at - left as f64;
            let (a, b) = (z1.narrow(2, left, 1)?, z1.narrow(2, right, 1)?);
            Ok(((a * (1.0 - weight))? + (b * weight)?)?)
        })
        .collect::<Result<_>>()?;
    Ok(Tensor::cat(&columns, 2)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resampling_keeps_ends_and_halves_steps() {
        let z1 = Tensor::new(&[[[0f64, 2.0, 6.0]]], &Device::Cpu).unwrap();
        let at = |n| interpolate(&z1, n).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(at(3), [0.0, 2.0, 6.0]);
        assert_eq!(at(5), [0.0, 1.0, 2.0, 4.0, 6.0]);
        assert_eq!(at(2), [0.0, 6.0]);
        assert_eq!(at(1), [0.0]);
        assert!(interpolate(&z1, 0).is_err());
    }
}
