//! Sliced Wasserstein distances of samples along given directions.

use candle_core::{DType, Tensor};
use vg_core::ops::linear::linear;
use vg_core::{Error, Result};

/// Means over the columns of `directions` `[D, K]` of the one-dimensional distances W1 and W2^2 between the samples `x` and `y` `[N, D]`.
///
/// Source: specification, sections 1 and 12.1, item 6: of as many samples each, sorted values are paired.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ.
pub fn sliced_wasserstein(x: &Tensor, y: &Tensor, directions: &Tensor) -> Result<(f64, f64)> {
    if x.dims() != y.dims() {
        return Err(Error::shape("second samples of a distance", format!("{:?}", x.dims()), y.dims()));
    }
    let columns = directions.t()?.contiguous()?;
    let along = |samples: &Tensor| -> Result<Vec<Vec<f64>>> {
        let mut rows: Vec<Vec<f64>> = linear(&columns, samples, None)?.to_dtype(DType::F64)?.to_vec2()?;
        rows.iter_mut().for_each(|row| row.sort_by(f64::total_cmp));
        Ok(rows)
    };
    let (x, y) = (along(x)?.concat(), along(y)?.concat());
    let n = x.len().max(1) as f64;
    let gaps = || x.iter().zip(&y).map(|(a, b)| a - b);
    Ok((gaps().map(f64::abs).sum::<f64>() / n, gaps().map(|g| g * g).sum::<f64>() / n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orthogonal::retract;
    use candle_core::Device;
    use vg_core::Rng;

    /// Section 12.1, item 5: closed forms of Gaussians, and exact distances of two points along any orthogonal basis.
    #[test]
    fn distances_of_gaussians_and_of_points() {
        let rng = Rng::new(4);
        let normal = |name: &str, n: usize, d: usize| {
            rng.stream(name).normal_tensor((n, d), DType::F64, &Device::Cpu).unwrap()
        };
        let shift = Tensor::new(&[[1f64, 0.0, -2.0, 0.5]], &Device::Cpu).unwrap();
        let x = normal("x", 20_000, 4).affine(2.0, 0.0).unwrap().broadcast_add(&shift).unwrap();
        let directions = normal("d", 4, 400);
        let lengths = directions.sqr().unwrap().sum_keepdim(0).unwrap().sqrt().unwrap();
        let directions = directions.broadcast_div(&lengths).unwrap();
        let (_, w2) = sliced_wasserstein(&x, &normal("y", 20_000, 4), &directions).unwrap();
        assert!((w2 - 2.3125).abs() < 0.1, "{w2}");
        let basis = retract(&normal("p", 4, 4)).unwrap();
        let (w1, w2) = sliced_wasserstein(&shift, &shift.zeros_like().unwrap(), &basis).unwrap();
        assert!((w2 - 5.25 / 4.0).abs() < 1e-12 && w1 > 0.0);
        assert_eq!(sliced_wasserstein(&x, &x, &basis).unwrap(), (0.0, 0.0));
    }
}
