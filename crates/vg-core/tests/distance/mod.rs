//! How far two tensors are apart, for several test programs.
#![allow(dead_code)]

use candle_core::{DType, Tensor};

/// All elements in f64, in C order.
pub fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Largest error of `a` relative to `b`, absolute where `b` is below 1; NaN if there is one.
pub fn far(a: &Tensor, b: &Tensor) -> f64 {
    largest(a, b, |x, y| (x - y).abs() / y.abs().max(1.0))
}

/// Largest difference; NaN if there is one.
pub fn apart(a: &Tensor, b: &Tensor) -> f64 {
    largest(a, b, |x, y| (x - y).abs())
}

fn largest(a: &Tensor, b: &Tensor, error: impl Fn(f64, f64) -> f64) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let errors = values(a).into_iter().zip(values(b)).map(|(x, y)| error(x, y));
    // Not `f64::max`, which passes over NaN.
    errors.fold(0.0, |most, e| if e > most || e.is_nan() { e } else { most })
}
