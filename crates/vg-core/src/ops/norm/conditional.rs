//! Batch norm whose scale and shift are functions of the sample: of its class, its latent vector.

use std::sync::Arc;

use candle_core::Tensor;

use super::super::Activation;
use super::super::batch_norm::{BatchStats, Groups, Scope, normalise};
use super::super::channel::check;
use super::super::reduce::View;
use super::{check_input, check_type, rows_of};
use crate::{Error, Result};

/// Normalises each channel by the statistics of the batch, then scales and shifts each sample on its own:
/// `activation((x - mean) / sqrt(var + eps) * scale + shift)`.
///
/// Source: Dumoulin et al., "A Learned Representation for Artistic Style", 2017; in the form of Brock et al., "Large Scale GAN Training
/// for High Fidelity Natural Image Synthesis", 2019, appendix B, where the caller adds 1 to the scale.
///
/// # Shapes
/// - `x` `[B, C, ...]`; `scale` and `shift` `[B, C]`
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit or a channel has no values, [`Error::Unsupported`] for types other than f32 and f64
/// or mixed ones.
pub fn conditional_batch_norm_train(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    eps: f64,
    activation: Activation,
) -> Result<(Tensor, Arc<BatchStats>)> {
    check_input(x)?;
    let (scale, shift) = constants(x, scale, shift)?;
    let groups = Groups { stats: View::of(x.dims()), scope: Scope::Row };
    normalise(groups, x, &scale.flatten_all()?, Some(&shift.flatten_all()?), eps, activation)
}

/// The same with given statistics, which get no gradient.
///
/// # Shapes
/// - `x` `[B, C, ...]`; `scale` and `shift` `[B, C]`; `mean` and `var` `[C]`
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit, [`Error::Unsupported`] for types other than f32 and f64 or mixed ones.
pub fn conditional_batch_norm_eval(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    check_input(x)?;
    let (scale, shift) = constants(x, scale, shift)?;
    check(x, mean, "conditional batch norm running mean")?;
    check(x, var, "conditional batch norm running variance")?;
    let rstd = var.detach().affine(1.0, eps)?.sqrt()?.recip()?;
    let scale = scale.broadcast_mul(&rstd)?;
    let shift = (shift - scale.broadcast_mul(&mean.detach())?)?;
    rows_of(x).affine(x, &scale.flatten_all()?, &shift.flatten_all()?, activation)
}

/// [`conditional_batch_norm_train`] of clips whose frames are rows: each frame of the clips has statistics of its own, of the pixels of this
/// frame in all clips. They are in the order of frames, and of channels within a frame.
///
/// Source: Clark et al., "Adversarial Video Generation on Complex Datasets", 2019.
///
/// # Shapes
/// - `x` `[B * frames, C, ...]`, the frames of a clip one after the other; `scale` and `shift` `[B * frames, C]`
///
/// # Errors
/// As [`conditional_batch_norm_train`], and [`Error::Shape`] when the rows are no multiple of `frames`.
pub fn frame_batch_norm_train(
    x: &Tensor,
    frames: usize,
    scale: &Tensor,
    shift: &Tensor,
    eps: f64,
    activation: Activation,
) -> Result<(Tensor, Arc<BatchStats>)> {
    check_input(x)?;
    let (scale, shift) = constants(x, scale, shift)?;
    let groups = Groups { stats: view_of_frames(x, frames)?, scope: Scope::Row };
    normalise(groups, x, &scale.flatten_all()?, Some(&shift.flatten_all()?), eps, activation)
}

/// The same with given statistics, which get no gradient.
///
/// # Shapes
/// - as [`frame_batch_norm_train`]; `mean` and `var` `[frames, C]`
///
/// # Errors
/// As [`frame_batch_norm_train`].
pub fn frame_batch_norm_eval(
    x: &Tensor,
    scale: &Tensor,
    shift: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    check_input(x)?;
    let (scale, shift) = constants(x, scale, shift)?;
    let (frames, channels) = (mean.dims().first().copied().unwrap_or(0), x.dims()[1]);
    let view = view_of_frames(x, frames)?;
    for (statistic, what) in [(mean, "running mean of frames"), (var, "running variance of frames")] {
        check_type(x, statistic, what)?;
        if statistic.dims() != [frames, channels] {
            return Err(Error::shape(what, format!("[{frames}, {channels}]"), statistic.dims()));
        }
    }
    let rstd = var.detach().affine(1.0, eps)?.sqrt()?.recip()?;
    let of_clips = |t: &Tensor| t.reshape((view.batch, frames, channels));
    let scale = of_clips(scale)?.broadcast_mul(&rstd)?;
    let shift = (of_clips(shift)? - scale.broadcast_mul(&mean.detach())?)?;
    rows_of(x).affine(x, &scale.flatten_all()?, &shift.flatten_all()?, activation)
}

/// Every frame and channel as a channel of its own.
fn view_of_frames(x: &Tensor, frames: usize) -> Result<View> {
    let View { batch, channels, inner } = View::of(x.dims());
    if frames == 0 || !batch.is_multiple_of(frames) {
        return Err(Error::shape("input of a norm of frames", format!("[B * {frames}, C, ...]"), x.dims()));
    }
    Ok(View { batch: batch / frames, channels: frames * channels, inner })
}

fn constants<'a>(x: &Tensor, scale: &'a Tensor, shift: &'a Tensor) -> Result<(&'a Tensor, &'a Tensor)> {
    let expected = &x.dims()[..2];
    for (constant, what) in [(scale, "conditional batch norm scale"), (shift, "conditional batch norm shift")]
    {
        check_type(x, constant, what)?;
        if constant.dims() != expected {
            return Err(Error::shape(what, format!("{expected:?}"), constant.dims()));
        }
    }
    Ok((scale, shift))
}
