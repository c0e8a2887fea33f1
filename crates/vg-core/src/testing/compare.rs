//! Comparison of tensors.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// All elements in f64, in C order.
pub(super) fn values(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?)
}

pub(super) fn max_abs(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, x| if x.is_nan() { f64::NAN } else { m.max(x.abs()) })
}

/// `max|got - want| / max(max|want|, floor)`; NaN anywhere gives infinity.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ.
pub fn relative_error(what: &'static str, got: &Tensor, want: &Tensor, floor: f64) -> Result<f64> {
    if got.dims() != want.dims() {
        return Err(Error::shape(what, format!("{:?}", want.dims()), got.dims()));
    }
    let (got, want) = (values(got)?, values(want)?);
    let distance = got.iter().zip(&want).map(|(g, w)| g - w).collect::<Vec<_>>();
    let distance =
        distance.iter().fold(0.0f64, |m, d| if d.is_nan() { f64::INFINITY } else { m.max(d.abs()) });
    if distance == 0.0 {
        return Ok(0.0);
    }
    Ok(distance / max_abs(&want).max(floor))
}

/// Checks that `|got - want| <= rtol * max|want| + atol` everywhere.
///
/// # Panics
/// With the worst five elements when it does not hold; meant for tests.
pub fn assert_close(what: &str, got: &Tensor, want: &Tensor, rtol: f64, atol: f64) {
    assert_eq!(got.dims(), want.dims(), "{what}: shapes differ");
    let (g, w) = (values(got).expect("a readable tensor"), values(want).expect("a readable tensor"));
    let limit = rtol * max_abs(&w) + atol;
    let mut off: Vec<(f64, usize)> = g.iter().zip(&w).map(|(g, w)| (g - w).abs()).zip(0..).collect();
    off.retain(|(d, _)| d.is_nan() || *d > limit);
    if off.is_empty() {
        return;
    }
    off.sort_by(|a, b| b.0.total_cmp(&a.0));
    let worst: Vec<String> = off
        .iter()
        .take(5)
        .map(|&(d, i)| format!("  [{i}] got {:.8e}, want {:.8e}, off by {d:.2e}", g[i], w[i]))
        .collect();
    panic!(
        "{what} {:?}: {} of {} elements are off by more than {limit:.2e}\n{}",
        got.dims(),
        off.len(),
        g.len(),
        worst.join("\n")
    );
}
