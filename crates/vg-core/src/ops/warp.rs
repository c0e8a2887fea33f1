//! Images moved along a flow: bilinear sampling with coordinates that are clamped to the image.

use candle_core::{Shape, Tensor};
use rayon::prelude::*;

use super::op::{Gradients, Op, Operand, Output, binary, ternary, wanted};
use super::real::Real;
use crate::{Error, Result};

/// `out(y, x) = image(y + v, x + u)`, bilinear between the four neighbours, coordinates clamped to the image: what
/// `torch.nn.functional.grid_sample` does with `padding_mode="border", align_corners=True`. Once differentiable in both operands; a
/// coordinate at the first or last position or outside has no gradient, as in PyTorch.
///
/// The flow is a backward one: it lives on the result's grid and points into `image`.
///
/// # Shapes
/// - `image` `[N, C, H, W]`; `flow` `[N, 2, H, W]` in pixels, channel 0 along x (columns), channel 1 along y (rows)
/// - returns `[N, C, H, W]`
///
/// # Errors
/// [`Error::Shape`] when they do not fit or the image has no pixels, [`Error::Unsupported`] for mixed element types.
pub fn warp(image: &Tensor, flow: &Tensor) -> Result<Tensor> {
    let [n, _, h, w] = *image.dims() else {
        return Err(Error::shape("image to warp", "[N, C, H, W]", image.dims()));
    };
    if h == 0 || w == 0 {
        return Err(Error::shape("image to warp", "[N, C, H, W] with pixels", image.dims()));
    }
    if flow.dims() != [n, 2, h, w] {
        return Err(Error::shape("flow", format!("[{n}, 2, {h}, {w}]"), flow.dims()));
    }
    if image.dtype() != flow.dtype() {
        let (a, b) = (image.dtype(), flow.dtype());
        let problem = format!("warp: an image of {a:?} and a flow of {b:?}; convert one with `to_dtype`");
        return Err(Error::Unsupported(problem));
    }
    Ok(binary(image, flow, Warp)?)
}

/// The two neighbours of a coordinate along one axis.
#[derive(Clone, Copy)]
struct Tap<T> {
    low: usize,
    high: usize,
    /// Share of the higher neighbour.
    share: T,
    /// Whether the coordinate lies inside, so that it has a gradient.
    inside: bool,
}

/// The neighbours of `at + offset` on an axis of `n` positions.
#[inline(always)]
fn tap<T: Real>(at: usize, offset: T, n: usize) -> Tap<T> {
    let (place, last) = (T::of(at as f64) + offset, T::of((n - 1) as f64));
    if place <= T::nil() {
        return Tap { low: 0, high: 0, share: T::nil(), inside: false };
    }
    if place >= last {
        return Tap { low: n - 1, high: n - 1, share: T::nil(), inside: false };
    }
    // A NaN comes here, samples the first pixels and stays NaN by its share.
    let low = place.to_f64() as usize;
    Tap { low, high: (low + 1).min(n - 1), share: place - T::of(low as f64), inside: true }
}

/// Sizes of the operands.
#[derive(Clone, Copy)]
struct Sizes {
    channels: usize,
    height: usize,
    width: usize,
}

impl Sizes {
    fn of(dims: &[usize]) -> Self {
        Self { channels: dims[1], height: dims[2], width: dims[3] }
    }

    fn plane(self) -> usize {
        self.height * self.width
    }

    /// Calls `f` for every position of a frame: index, neighbours along x, neighbours along y.
    #[inline(always)]
    fn each<T: Real>(
        self,
        flow: &[T],
        rows: std::ops::Range<usize>,
        mut f: impl FnMut(usize, Tap<T>, Tap<T>),
    ) {
        let (plane, width) = (self.plane(), self.width);
        for y in rows {
            for x in 0..width {
                let at = y * width + x;
                f(at, tap(x, flow[at], width), tap(y, flow[plane + at], self.height));
            }
        }
    }
}

/// `image, flow -> warped image`.
struct Warp;

impl Op<2> for Warp {
    const NAME: &'static str = "warp";

    fn run<T: Real>(&self, [image, flow]: [Operand<'_, T>; 2]) -> Output<T> {
        let size = Sizes::of(image.dims());
        let plane = size.plane();
        let mut out = vec![T::nil(); image.data.len()];
        out.par_chunks_mut(plane).enumerate().for_each(|(k, out)| {
            let from = &image.data[k * plane..][..plane];
            let flow = &flow.data[k / size.channels * 2 * plane..][..2 * plane];
            size.each(flow, 0..size.height, |at, x, y| {
                let (low, high) = (&from[y.low * size.width..], &from[y.high * size.width..]);
                let upper = low[x.low] + x.share * (low[x.high] - low[x.low]);
                let lower = high[x.low] + x.share * (high[x.high] - high[x.low]);
                out[at] = upper + y.share * (lower - upper);
            });
        });
        Ok((out, image.shape.clone()))
    }

    fn gradients(&self, [image, flow]: [&Tensor; 2], _out: &Tensor, grad: &Tensor) -> Gradients<2> {
        Ok([
            wanted(image, || Ok(binary(flow, grad, ImageGrad)?))?,
            wanted(flow, || Ok(ternary(image, flow, grad, FlowGrad)?))?,
        ])
    }
}

/// `flow, gradient of the result -> gradient of the image`: each plane is written by one task, in the order of positions.
struct ImageGrad;

impl Op<2> for ImageGrad {
    const NAME: &'static str = "warp, gradient of the image";

    fn run<T: Real>(&self, [flow, grad]: [Operand<'_, T>; 2]) -> Output<T> {
        let size = Sizes::of(grad.dims());
        let plane = size.plane();
        let mut out = vec![T::nil(); grad.data.len()];
        out.par_chunks_mut(plane).enumerate().for_each(|(k, out)| {
            let grad = &grad.data[k * plane..][..plane];
            let flow = &flow.data[k / size.channels * 2 * plane..][..2 * plane];
            size.each(flow, 0..size.height, |at, x, y| {
                let (lower, g) = (grad[at] * y.share, grad[at]);
                for (row, g) in [(y.low, g - lower), (y.high, lower)] {
                    let right = g * x.share;
                    out[row * size.width + x.low] += g - right;
                    out[row * size.width + x.high] += right;
                }
            });
        });
        Ok((out, grad.shape.clone()))
    }
}

/// `image, flow, gradient of the result -> gradient of the flow`.
struct FlowGrad;

impl Op<3> for FlowGrad {
    const NAME: &'static str = "warp, gradient of the flow";

    fn run<T: Real>(&self, [image, flow, grad]: [Operand<'_, T>; 3]) -> Output<T> {
        let size = Sizes::of(image.dims());
        let (plane, width) = (size.plane(), size.width);
        let mut out = vec![T::nil(); flow.data.len()];
        out.par_chunks_mut(2 * plane).enumerate().for_each(|(n, out)| {
            let (along_x, along_y) = out.split_at_mut(plane);
            let flow = &flow.data[n * 2 * plane..][..2 * plane];
            for k in n * size.channels..(n + 1) * size.channels {
                let (from, grad) = (&image.data[k * plane..][..plane], &grad.data[k * plane..][..plane]);
                size.each(flow, 0..size.height, |at, x, y| {
                    let (low, high) = (&from[y.low * width..], &from[y.high * width..]);
                    if x.inside {
                        let (upper, lower) = (low[x.high] - low[x.low], high[x.high] - high[x.low]);
                        along_x[at] += grad[at] * (upper + y.share * (lower - upper));
                    }
                    if y.inside {
                        let (left, right) = (high[x.low] - low[x.low], high[x.high] - low[x.high]);
                        along_y[at] += grad[at] * (left + x.share * (right - left));
                    }
                });
            }
        });
        Ok((out, Shape::from(flow.dims().to_vec())))
    }
}
