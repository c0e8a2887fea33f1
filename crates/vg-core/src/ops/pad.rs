//! Images continued by their mirror image.

use candle_core::{Shape, Tensor};
use rayon::prelude::*;

use super::op::{Gradients, Op, Operand, Output, unary};
use super::real::Real;
use crate::{Error, Result};

/// `padding` more rows and columns on each side, mirrored at the outermost ones, which are not repeated: PyTorch's `ReflectionPad2d`.
/// Differentiable to any order.
///
/// # Shapes
/// - `x` `[B, C, H, W]`; returns `[B, C, H + 2 padding, W + 2 padding]`
///
/// # Errors
/// [`Error::Shape`] for another rank, or for a height or width of no more than `padding`.
pub fn reflection_pad(x: &Tensor, padding: usize) -> Result<Tensor> {
    match *x.dims() {
        [_, _, h, w] if h > padding && w > padding => Ok(unary(x, Pad { size: [h, w], padding })?),
        ref dims => Err(Error::shape(
            "input of a reflection padding",
            format!("[B, C, H > {padding}, W > {padding}]"),
            dims,
        )),
    }
}

/// Where the padding lies.
#[derive(Clone, Copy)]
struct Pad {
    /// Of the image within.
    size: [usize; 2],
    padding: usize,
}

impl Pad {
    fn padded(self) -> [usize; 2] {
        self.size.map(|n| n + 2 * self.padding)
    }

    /// The position within that position `at` of a padded axis of `n` shows.
    #[inline(always)]
    fn source(self, at: usize, n: usize) -> usize {
        let p = self.padding;
        match at {
            at if at < p => p - at,
            at if at < n + p => at - p,
            at => 2 * n + p - 2 - at,
        }
    }
}

fn resized(dims: &[usize], [h, w]: [usize; 2]) -> Shape {
    Shape::from(vec![dims[0], dims[1], h, w])
}

impl Op<1> for Pad {
    const NAME: &'static str = "reflection padding";

    fn run<T: Real>(&self, [x]: [Operand<'_, T>; 1]) -> Output<T> {
        let ([h, w], [tall, wide], p) = (self.size, self.padded(), self.padding);
        let planes = x.data.len() / (h * w);
        let mut out = vec![T::nil(); planes * tall * wide];
        out.par_chunks_mut(tall * wide).enumerate().for_each(|(k, out)| {
            for (y, out) in out.chunks_exact_mut(wide).enumerate() {
                let row = &x.data[(k * h + self.source(y, h)) * w..][..w];
                out[p..p + w].copy_from_slice(row);
                for side in 0..p {
                    out[side] = row[self.source(side, w)];
                    out[w + p + side] = row[self.source(w + p + side, w)];
                }
            }
        });
        Ok((out, resized(x.dims(), [tall, wide])))
    }

    fn gradients(&self, [_]: [&Tensor; 1], _y: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(unary(grad, Fold(*self))?)])
    }
}

/// The transpose of [`Pad`]: what shows a position is added to it, row by row.
struct Fold(Pad);

impl Op<1> for Fold {
    const NAME: &'static str = "gradient of a reflection padding";

    fn run<T: Real>(&self, [g]: [Operand<'_, T>; 1]) -> Output<T> {
        let pad = self.0;
        let ([h, w], [tall, wide], p) = (pad.size, pad.padded(), pad.padding);
        let planes = g.data.len() / (tall * wide);
        let mut out = vec![T::nil(); planes * h * w];
        out.par_chunks_mut(h * w).enumerate().for_each(|(k, out)| {
            for y in 0..tall {
                let from = &g.data[(k * tall + y) * wide..][..wide];
                let row = &mut out[pad.source(y, h) * w..][..w];
                row.iter_mut().zip(&from[p..p + w]).for_each(|(o, g)| *o += *g);
                for side in 0..p {
                    row[pad.source(side, w)] += from[side];
                    row[pad.source(w + p + side, w)] += from[w + p + side];
                }
            }
        });
        Ok((out, resized(g.dims(), [h, w])))
    }

    fn gradients(&self, [_]: [&Tensor; 1], _y: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(unary(grad, self.0)?)])
    }
}
