//! Affine map of the last axis.

use candle_core::{DType, Tensor};

use super::channel::channel_shift;
use super::matmul::Product;
use crate::grad::reshape;
use crate::{Error, Result};

/// `x W^T + b`, as `torch.nn.functional.linear`; differentiable to any order.
///
/// # Shapes
/// - `input` `[..., in]`; `weight` `[out, in]`; `bias` `[out]`
/// - returns `[..., out]`
///
/// # Errors
/// [`Error::Shape`] when the sizes do not fit, [`Error::Unsupported`] for mixed element types or types other than f32 and f64.
pub fn linear(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let [out, width] = weight.dims() else {
        return Err(Error::shape("linear weight", "[out, in]", weight.dims()));
    };
    let (out, width) = (*out, *width);
    let Some((last, leading)) = input.dims().split_last().filter(|(last, _)| **last == width) else {
        return Err(Error::shape("linear input", format!("[..., {width}]"), input.dims()));
    };
    if input.dtype() != weight.dtype() || !matches!(input.dtype(), DType::F32 | DType::F64) {
        return Err(Error::Unsupported(format!(
            "linear: input and weight must both be f32 or both f64, got {:?} and {:?}; convert one with `to_dtype`",
            input.dtype(),
            weight.dtype()
        )));
    }
    let rows = leading.iter().product::<usize>();
    let flat = reshape(input, (rows, *last))?;
    let mut y = Product { transpose_a: false, transpose_b: true, factor: 1.0 }.of(&flat, weight)?;
    if let Some(bias) = bias {
        y = channel_shift(&y, bias)?;
    }
    let shape: Vec<usize> = leading.iter().copied().chain([out]).collect();
    reshape(&y, shape)
}
