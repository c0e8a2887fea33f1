//! Convolution in one to three dimensions and its two gradients, for any stride, padding, dilation and groups.
//!
//! The three operations form a closed family: the derivatives of each are written with the other two, so derivatives of any order
//! exist. An argument that is a constant (a detached tensor, or data) gets no gradient, and none is computed for it.
//!
//! Tensors are f32, f64 or bf16. Those of bf16 are multiplied as they are and summed in f32; with [`Precision::Bf16`] the same products
//! are formed of f32 tensors, so that weights, gradients and everything around the convolutions stay f32.
//!
//! | function | PyTorch |
//! |---|---|
//! | [`conv`], [`conv_fused`] | `conv1d`, `conv2d`, `conv3d` |
//! | [`conv_transpose`], [`conv_transpose_fused`] | `conv_transpose1d`, ..., `conv_transpose3d` |
//! | [`conv_weight_grad`] | `torch.nn.grad.conv2d_weight` and its siblings |

mod apply;
mod bf16;
mod geometry;
mod kept;
mod op;
mod plan;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
mod region;
mod strips;
mod weight_grad;
mod weights;

use candle_core::{DType, Tensor};

pub use geometry::{ConvParams, Precision};
pub(crate) use kept::forget;
pub use kept::{KeptWeights, keep_weights};

use self::geometry::Geometry;
use self::op::{Map, WeightGrad};
use super::Activation;
use super::op::{binary, ternary};
use crate::{Error, Result};

/// What follows a convolution in the same pass over the result.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epilogue<'a> {
    /// Added to each channel, `[C_out]`.
    pub bias: Option<&'a Tensor>,
    /// Applied after the bias.
    pub activation: Activation,
}

/// Cross-correlation, as `torch.nn.functional.conv1d`, `conv2d` and `conv3d` without bias.
///
/// # Shapes
/// - `input` `[B, C_in, *S]` with one to three axes `S`; `weight` `[C_out, C_in / groups, *K]`
/// - returns `[B, C_out, *S']` with `S' = floor((S + 2 padding - dilation (K - 1) - 1) / stride) + 1` on each axis
///
/// # Errors
/// [`Error::Shape`] when ranks or channels differ or a kernel is longer than the padded input,
/// [`Error::Unsupported`] for element types other than f32, f64 and bf16 or zero strides.
pub fn conv(input: &Tensor, weight: &Tensor, params: &ConvParams) -> Result<Tensor> {
    conv_fused(input, weight, Epilogue::default(), params)
}

/// [`conv`] followed by a bias and an activation, without a further pass over memory.
///
/// # Errors
/// As [`conv`]; also when the bias is not `[C_out]`.
pub fn conv_fused(
    input: &Tensor,
    weight: &Tensor,
    epilogue: Epilogue<'_>,
    params: &ConvParams,
) -> Result<Tensor> {
    let geometry = Geometry::forward(input.dims(), weight.dims(), params)?;
    let op = Map { geometry, transposed: false, activation: epilogue.activation };
    check_types(input, weight)?;
    kept::hold(weight);
    match checked_bias(&epilogue, geometry.c_out, input)? {
        Some(bias) => Ok(ternary(input, weight, bias, op)?),
        None => Ok(binary(input, weight, op)?),
    }
}

/// Transposed cross-correlation, as `torch.nn.functional.conv_transpose1d`, `conv_transpose2d` and `conv_transpose3d` without
/// bias: the gradient of [`conv`] with respect to its input.
///
/// `output_padding` lengthens the result at the end of each axis; it says which of the inputs that give the same output size is
/// meant, and must be smaller than stride or dilation.
///
/// # Shapes
/// - `input` `[B, C_in, *S]`; `weight` `[C_in, C_out / groups, *K]`
/// - returns `[B, C_out, *S']` with `S' = (S - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1` on each axis
///
/// # Errors
/// [`Error::Shape`] when ranks or channels differ or nothing is left after the padding, [`Error::Unsupported`] for too large an
/// `output_padding`, element types other than f32, f64 and bf16 or zero strides.
pub fn conv_transpose(
    input: &Tensor,
    weight: &Tensor,
    params: &ConvParams,
    output_padding: [usize; 3],
) -> Result<Tensor> {
    conv_transpose_fused(input, weight, Epilogue::default(), params, output_padding)
}

/// [`conv_transpose`] followed by a bias and an activation, without a further pass over memory.
///
/// # Errors
/// As [`conv_transpose`]; also when the bias is not `[C_out]`.
pub fn conv_transpose_fused(
    input: &Tensor,
    weight: &Tensor,
    epilogue: Epilogue<'_>,
    params: &ConvParams,
    output_padding: [usize; 3],
) -> Result<Tensor> {
    let geometry = Geometry::transposed(input.dims(), weight.dims(), params, output_padding)?;
    let op = Map { geometry, transposed: true, activation: epilogue.activation };
    check_types(input, weight)?;
    kept::hold(weight);
    match checked_bias(&epilogue, geometry.c_in, input)? {
        Some(bias) => Ok(ternary(input, weight, bias, op)?),
        None => Ok(binary(input, weight, op)?),
    }
}

/// Gradient of [`conv`] with respect to its weight.
///
/// # Shapes
/// - `input` `[B, C_in, *S]`; `grad` `[B, C_out, *S']` as [`conv`] returns it; `kernel` the spatial shape `K` of the weight
/// - returns `[C_out, C_in / groups, *K]`
///
/// # Errors
/// As [`conv`]; also when `grad` does not have the shape of the convolution's result.
pub fn conv_weight_grad(
    input: &Tensor,
    grad: &Tensor,
    kernel: &[usize],
    params: &ConvParams,
) -> Result<Tensor> {
    let geometry = Geometry::weight_grad(input.dims(), grad.dims(), kernel, params)?;
    check_types(input, grad)?;
    Ok(binary(input, grad, WeightGrad { geometry })?)
}

/// Refuses operands that are not of one supported type.
fn check_types(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype() != b.dtype() || !matches!(a.dtype(), DType::F32 | DType::F64 | DType::BF16) {
        return Err(Error::Unsupported(format!(
            "convolution: both operands must be f32, both f64 or both bf16, got {:?} and {:?}; convert one with `to_dtype`",
            a.dtype(),
            b.dtype()
        )));
    }
    Ok(())
}

fn checked_bias<'a>(epilogue: &Epilogue<'a>, channels: usize, input: &Tensor) -> Result<Option<&'a Tensor>> {
    let Some(bias) = epilogue.bias else { return Ok(None) };
    if bias.dims() != [channels] {
        return Err(Error::shape("convolution bias", format!("[{channels}]"), bias.dims()));
    }
    if bias.dtype() != input.dtype() {
        return Err(Error::Unsupported(format!(
            "convolution: the bias is {:?}, the input {:?}; convert one with `to_dtype`",
            bias.dtype(),
            input.dtype()
        )));
    }
    Ok(Some(bias))
}
