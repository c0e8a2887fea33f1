//! Normalisations beside batch norm, each with an optional scale and shift and a fused activation.
//!
//! | function | mean and variance over | scale and shift per |
//! |---|---|---|
//! | [`instance_norm`] | the positions of a sample and channel | channel, or sample and channel |
//! | [`layer_norm`] | the last axes | element of these axes, or channel |
//! | [`conditional_batch_norm_train`], [`conditional_batch_norm_eval`] | samples and positions of a channel | sample and channel |
//! | [`frame_batch_norm_train`], [`frame_batch_norm_eval`] | clips and positions of a frame and channel | frame of a clip and channel |
//! | [`pixel_norm`] | the channels of a position (no mean, no scale) | |
//!
//! All but the last are [`batch_norm`](super::batch_norm) over another view of the same memory, and have its two orders of derivatives.

mod conditional;
mod instance;
mod layer;
mod pixel;

use candle_core::{DType, Tensor};

pub use self::conditional::{
    conditional_batch_norm_eval, conditional_batch_norm_train, frame_batch_norm_eval, frame_batch_norm_train,
};
pub use self::instance::instance_norm;
pub use self::layer::layer_norm;
pub use self::pixel::{PIXEL_NORM_EPS, pixel_norm};
use super::reduce::View;
use crate::{Error, Result};

/// Refuses tensors without samples and channels, and other element types than f32 and f64.
fn check_input(x: &Tensor) -> Result<()> {
    if x.rank() < 2 {
        return Err(Error::shape("input of a norm", "[B, C, ...]", x.dims()));
    }
    if !matches!(x.dtype(), DType::F32 | DType::F64) {
        return Err(Error::Unsupported(format!("norm: the input must be f32 or f64, not {:?}", x.dtype())));
    }
    Ok(())
}

/// Refuses a scale or shift whose type is not that of the input.
fn check_type(x: &Tensor, constant: &Tensor, what: &'static str) -> Result<()> {
    if constant.dtype() == x.dtype() {
        return Ok(());
    }
    let (is, input) = (constant.dtype(), x.dtype());
    Err(Error::Unsupported(format!("{what}: {is:?} beside an input of {input:?}; convert with `to_dtype`")))
}

/// `[B, C, ...]` with every sample and channel as a channel of its own.
fn rows_of(x: &Tensor) -> View {
    let View { batch, channels, inner } = View::of(x.dims());
    View { batch: 1, channels: batch * channels, inner }
}

/// A scale or shift `[C]` or `[B, C]` as `[B * C]`.
fn per_row(x: &Tensor, constant: &Tensor, what: &'static str) -> Result<Tensor> {
    check_type(x, constant, what)?;
    let (batch, channels) = (x.dims()[0], x.dims()[1]);
    if constant.dims() == [channels] {
        Ok(constant.broadcast_as((batch, channels))?.contiguous()?.flatten_all()?)
    } else if constant.dims() == [batch, channels] {
        Ok(constant.flatten_all()?)
    } else {
        Err(Error::shape(what, format!("[{channels}] or [{batch}, {channels}]"), constant.dims()))
    }
}

/// Constant ones of the type of `x`.
fn ones(n: usize, x: &Tensor) -> Result<Tensor> {
    Ok(Tensor::ones(n, x.dtype(), x.device())?)
}

/// A scale and a shift where at least one is given.
fn both(scale: Option<Tensor>, shift: Option<Tensor>) -> Result<Option<(Tensor, Tensor)>> {
    Ok(match (scale, shift) {
        (None, None) => None,
        (Some(scale), Some(shift)) => Some((scale, shift)),
        (Some(scale), None) => {
            let shift = scale.zeros_like()?.detach();
            Some((scale, shift))
        }
        (None, Some(shift)) => Some((shift.ones_like()?.detach(), shift)),
    })
}
