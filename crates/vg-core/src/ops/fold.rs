//! The order of frames in memory: clips with an axis of time, rows that are frames, all clips of one time step together.
//!
//! | function | from | to |
//! |---|---|---|
//! | [`fold_frames`] | `[B, C, T, ...]` | `[B T, C, ...]`, the frames of a clip one after the other |
//! | [`unfold_frames`] | `[B T, C, ...]` | `[B, C, T, ...]` |
//! | [`swap_rows`] | `[A B, ...]` | `[B A, ...]`, such as clip by clip to step by step |
//!
//! Each swaps two neighbouring axes in one pass over memory, and is the gradient of another; derivatives of any order exist.

use candle_core::{Shape, Tensor};
use rayon::prelude::*;

use super::op::{Gradients, Op, Operand, Output, unary};
use super::real::Real;
use super::threads::CHUNK;
use crate::{Error, Result};

/// Clips as rows of frames.
///
/// # Errors
/// [`Error::Shape`] for fewer than three axes.
pub fn fold_frames(clips: &Tensor) -> Result<Tensor> {
    let [batch, channels, frames, rest @ ..] = clips.dims() else {
        return Err(Error::shape("clips to fold", "[B, C, T, ...]", clips.dims()));
    };
    let shape = [&[batch * frames, *channels], rest].concat();
    let swap = Swap { outer: *batch, axes: [*channels, *frames], inner: rest.iter().product(), shape };
    swap.apply(clips)
}

/// Rows of frames as clips of `frames` each.
///
/// # Errors
/// [`Error::Shape`] when the rows are no multiple of `frames`.
pub fn unfold_frames(rows: &Tensor, frames: usize) -> Result<Tensor> {
    let (count, channels, rest) = match rows.dims() {
        [count, channels, rest @ ..] if frames > 0 && count.is_multiple_of(frames) => {
            (*count, *channels, rest)
        }
        other => return Err(Error::shape("frames to unfold", format!("[B * {frames}, C, ...]"), other)),
    };
    let shape = [&[count / frames, channels, frames], rest].concat();
    let swap = Swap { outer: count / frames, axes: [frames, channels], inner: rest.iter().product(), shape };
    swap.apply(rows)
}

/// Rows that lie as `[first, rest]` in the order of `[rest, first]`: with the number of clips, frames clip by clip become frames step by
/// step; with the number of steps, the other way round.
///
/// # Errors
/// [`Error::Shape`] when the rows are no multiple of `first`.
pub fn swap_rows(rows: &Tensor, first: usize) -> Result<Tensor> {
    let (count, rest) = match rows.dims() {
        [count, rest @ ..] if first > 0 && count.is_multiple_of(first) => (*count, rest),
        other => return Err(Error::shape("rows to swap", format!("[{first} * N, ...]"), other)),
    };
    if first == 1 || count == first {
        return Ok(rows.clone());
    }
    let axes = [first, count / first];
    Swap { outer: 1, axes, inner: rest.iter().product(), shape: rows.dims().to_vec() }.apply(rows)
}

/// `[outer, a, b, inner] -> [outer, b, a, inner]`.
struct Swap {
    outer: usize,
    axes: [usize; 2],
    inner: usize,
    /// Of the result.
    shape: Vec<usize>,
}

impl Swap {
    fn apply(self, x: &Tensor) -> Result<Tensor> {
        Ok(unary(x, self)?)
    }
}

impl Op<1> for Swap {
    const NAME: &'static str = "swap of axes";

    fn run<T: Real>(&self, [x]: [Operand<'_, T>; 1]) -> Output<T> {
        let (Self { axes: [a, b], inner, .. }, x) = (self, x.data);
        let (a, b, inner) = (*a, *b, *inner);
        let mut out = vec![T::nil(); x.len()];
        // A stretch of the result is what lies together in it: all `a` pieces of one place of `b`.
        let stretch = (a * inner).max(1);
        let group = (CHUNK / stretch).max(1);
        out.par_chunks_mut(group * stretch).enumerate().for_each(|(i, out)| {
            for (k, out) in out.chunks_exact_mut(stretch).enumerate() {
                let (outer, place) = ((i * group + k) / b, (i * group + k) % b);
                for (row, to) in out.chunks_exact_mut(inner).enumerate() {
                    let from = ((outer * a + row) * b + place) * inner;
                    to.copy_from_slice(&x[from..from + inner]);
                }
            }
        });
        Ok((out, Shape::from(self.shape.clone())))
    }

    fn gradients(&self, [x]: [&Tensor; 1], _y: &Tensor, grad: &Tensor) -> Gradients<1> {
        let Self { outer, axes: [a, b], inner, .. } = *self;
        Ok([Some(Self { outer, axes: [b, a], inner, shape: x.dims().to_vec() }.apply(grad)?)])
    }
}
