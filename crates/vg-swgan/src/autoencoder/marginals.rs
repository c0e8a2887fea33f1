//! How far the marginals of codes are from the prior's.

use candle_core::{DType, Tensor};
use vg_core::Result;

/// Kolmogorov-Smirnov distance of each coordinate of codes `[N, D]` from N(0, 1), the largest difference of the distribution functions:
/// their mean over the coordinates, in [0, 1].
///
/// That of N samples of the prior itself is about `0.87 / sqrt(N)`.
///
/// # Errors
/// [`vg_core::Error::Tensor`] for other shapes.
pub fn kolmogorov_smirnov(codes: &Tensor) -> Result<f64> {
    let columns: Vec<Vec<f64>> = codes.detach().t()?.contiguous()?.to_dtype(DType::F64)?.to_vec2()?;
    let distances = columns.into_iter().map(distance).collect::<Vec<_>>();
    Ok(distances.iter().sum::<f64>() / distances.len().max(1) as f64)
}

fn distance(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let n = samples.len() as f64;
    let gaps = samples.iter().enumerate().map(|(k, x)| {
        let phi = normal_cdf(*x);
        ((k + 1) as f64 / n - phi).max(phi - k as f64 / n)
    });
    gaps.fold(0.0, f64::max)
}

/// The distribution function of N(0, 1), to 1e-7: Abramowitz and Stegun, 26.2.17.
fn normal_cdf(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 5] =
        [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let polynomial = COEFFICIENTS.iter().rev().fold(0.0, |sum, c| (sum + c) * t);
    let tail = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt() * polynomial;
    if x < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use vg_core::Rng;

    #[test]
    fn the_distribution_function_is_the_normal_one() {
        for (x, want) in [(0.0, 0.5), (1.0, 0.841_344_746), (-1.96, 0.024_997_895), (3.0, 0.998_650_102)] {
            assert!((normal_cdf(x) - want).abs() < 1e-7, "{x}");
        }
    }

    #[test]
    fn samples_of_the_prior_are_near_and_others_are_not() {
        let codes = Rng::new(5).stream("z").normal_tensor((1000, 8), DType::F64, &Device::Cpu).unwrap();
        let near = kolmogorov_smirnov(&codes).unwrap();
        assert!(near < 0.05, "{near}");
        let moved = kolmogorov_smirnov(&(&codes + 1.0).unwrap()).unwrap();
        assert!((moved - 0.383).abs() < 0.03, "{moved}");
        let zeros = Tensor::zeros((2, 1), DType::F64, &Device::Cpu).unwrap();
        assert!((kolmogorov_smirnov(&zeros).unwrap() - 0.5).abs() < 1e-7);
    }
}
