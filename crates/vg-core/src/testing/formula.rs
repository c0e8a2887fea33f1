//! Weights and inputs by a formula that any implementation can repeat without a file.

use candle_core::{Device, Tensor};

/// Number `i` of tensor `s`, in [-1, 1): a hash of both.
pub fn hashed(i: u32, s: u32) -> f64 {
    let mut x = i.wrapping_add(s.wrapping_mul(0x9E37_79B9));
    x ^= x >> 16;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 13;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^= x >> 16;
    f64::from(x) / 2f64.powi(31) - 1.0
}

/// Tensor `s`: `shift + scale * hashed(i, s)` in the order of rows, computed in f64 and rounded to f32.
///
/// # Panics
/// When a tensor of that size cannot be made; meant for tests.
pub fn filled(shape: &[usize], s: u32, scale: f64, shift: f64) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n as u32).map(|i| (shift + scale * hashed(i, s)) as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("a CPU tensor")
}

/// Number `k` of tensor `n`, in [0, 1): another hash of both, of the specifications of SVG and VideoVAE.
pub fn uniform(n: u64, k: u64) -> f64 {
    let mut s = (n << 32).wrapping_add(k).wrapping_add(0x9E37_79B9_7F4A_7C15);
    s = (s ^ (s >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    s = (s ^ (s >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    s ^= s >> 31;
    (s >> 40) as f64 / (1u64 << 24) as f64
}

/// Tensor `n` of such numbers, in the order of rows, rounded to f32.
///
/// # Panics
/// When a tensor of that size cannot be made; meant for tests.
pub fn uniform_tensor(n: u64, shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let values: Vec<f32> = (0..count as u64).map(|k| uniform(n, k) as f32).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).expect("a CPU tensor")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of another implementation.
    #[test]
    fn the_formula_is_the_published_one() {
        let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-9, "{got} {want}");
        let first = [-1.0, -0.364802275, -0.617530462, 0.046408195, -0.713967977, 0.594156718];
        first.into_iter().zip(0..).for_each(|(want, i)| near(hashed(i, 0), want));
        let later = [-0.101184947, -0.997485075, 0.454606617];
        later.into_iter().zip(0..).for_each(|(want, i)| near(hashed(i, 54), want));
    }
}
