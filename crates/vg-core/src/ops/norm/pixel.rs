//! Pixel norm: each position's vector of channels gets the length of a vector of ones.

use std::ops::Range;

use candle_core::Tensor;

use super::super::op::{Gradients, Op, Operand, Output, binary, unary, wanted};
use super::super::real::Real;
use super::super::reduce::View;
use super::super::threads::{Shared, filled, for_each, with_scratch};
use super::check_input;
use crate::Result;

/// The eps of the paper.
pub const PIXEL_NORM_EPS: f64 = 1e-8;

/// `x / sqrt(mean over channels of x^2 + eps)` at each position; twice differentiable.
///
/// Source: Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation", 2018, section 4.2, where eps
/// is [`PIXEL_NORM_EPS`].
///
/// # Shapes
/// - `x` `[B, C, ...]`, also `[B, C]` for latent vectors
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when `x` has fewer than two axes,
/// [`Error::Unsupported`](crate::Error::Unsupported) for types other than f32 and f64.
pub fn pixel_norm(x: &Tensor, eps: f64) -> Result<Tensor> {
    check_input(x)?;
    Ok(unary(x, PixelNorm { eps })?)
}

struct PixelNorm {
    eps: f64,
}

impl Op<1> for PixelNorm {
    const NAME: &'static str = "pixel_norm";

    fn run<T: Real>(&self, [x]: [Operand<'_, T>; 1]) -> Output<T> {
        let y = forward(View::of(x.dims()), x.data, self.eps);
        Ok((y, x.shape.clone()))
    }

    fn gradients(&self, [x]: [&Tensor; 1], _y: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(binary(x, grad, PixelNormGrad { eps: self.eps })?)])
    }
}

/// `x, g -> J g` with the Jacobian `J = r - r^3 x x^T / C`, `r = 1 / sqrt(mean of x^2 + eps)`, of each position; J is symmetric.
struct PixelNormGrad {
    eps: f64,
}

impl Op<2> for PixelNormGrad {
    const NAME: &'static str = "pixel_norm gradient";

    fn run<T: Real>(&self, [x, g]: [Operand<'_, T>; 2]) -> Output<T> {
        let dx = backward(View::of(x.dims()), x.data, g.data, self.eps);
        Ok((dx, x.shape.clone()))
    }

    fn gradients(&self, [x, g]: [&Tensor; 2], _dx: &Tensor, v: &Tensor) -> Gradients<2> {
        Ok([
            wanted(x, || Ok(self.curvature(x, g, v)?))?,
            wanted(g, || Ok(binary(x, v, PixelNormGrad { eps: self.eps })?))?,
        ])
    }
}

impl PixelNormGrad {
    /// The gradient of `<v, J(x) g>` with respect to x: `r^3 (3 r^2 [v x] [x g] - [v g]) x - r^3 ([x g] v + [v x] g)`, with means over
    /// the channels in brackets.
    fn curvature(&self, x: &Tensor, g: &Tensor, v: &Tensor) -> candle_core::Result<Tensor> {
        let mean = |a: &Tensor, b: &Tensor| (a * b)?.mean_keepdim(1);
        let (vx, xg, vg) = (mean(v, x)?, mean(x, g)?, mean(v, g)?);
        let r2 = mean(x, x)?.affine(1.0, self.eps)?.recip()?;
        let r3 = (&r2 * r2.sqrt()?)?;
        let of_x = (((&vx * &xg)? * &r2)?.affine(3.0, 0.0)? - vg)?;
        let sum = (x.broadcast_mul(&of_x)? - (v.broadcast_mul(&xg)? + g.broadcast_mul(&vx)?)?)?;
        sum.broadcast_mul(&r3)
    }
}

/// Positions of one task.
const POSITIONS: usize = 256;

/// A result of the view's size; `f` gets every image with every stretch of its positions, and must fill them.
fn by_position<T: Real>(view: View, f: impl Fn(usize, Range<usize>, Shared<T>) + Sync + Send) -> Vec<T> {
    if view.elements() == 0 {
        return Vec::new();
    }
    let stretches = view.inner.div_ceil(POSITIONS);
    // SAFETY: images and stretches partition the elements; both callers write their part in full.
    unsafe {
        filled(view.elements(), |out: Shared<T>| {
            for_each(view.batch * stretches, |i| {
                let start = i % stretches * POSITIONS;
                f(i / stretches, start..(start + POSITIONS).min(view.inner), out);
            });
        })
    }
}

/// The stretch of a channel in memory.
#[inline(always)]
fn row(view: View, image: usize, channel: usize, at: &Range<usize>) -> Range<usize> {
    let base = (image * view.channels + channel) * view.inner;
    base + at.start..base + at.end
}

/// Means over the channels of `x y`.
#[inline(always)]
fn means<T: Real>(view: View, image: usize, at: &Range<usize>, x: &[T], y: &[T], out: &mut [T]) {
    out.fill(T::nil());
    for c in 0..view.channels {
        let row = row(view, image, c, at);
        for ((sum, x), y) in out.iter_mut().zip(&x[row.clone()]).zip(&y[row]) {
            *sum += *x * *y;
        }
    }
    let share = T::of(1.0 / view.channels as f64);
    out.iter_mut().for_each(|sum| *sum *= share);
}

/// `1 / sqrt(mean of x^2 + eps)` of each position.
#[inline(always)]
fn scales<T: Real>(view: View, image: usize, at: &Range<usize>, x: &[T], eps: f64, out: &mut [T]) {
    means(view, image, at, x, x, out);
    out.iter_mut().for_each(|m| *m = T::of(1.0 / (m.to_f64() + eps).sqrt()));
}

fn forward<T: Real>(view: View, x: &[T], eps: f64) -> Vec<T> {
    by_position(view, |image, at, out: Shared<T>| {
        with_scratch(at.len(), |r: &mut [T]| {
            T::simd().run(
                #[inline(always)]
                || {
                    scales(view, image, &at, x, eps, r);
                    for c in 0..view.channels {
                        let row = row(view, image, c, &at);
                        // SAFETY: the stretch belongs to this task alone.
                        let to = unsafe { out.slice(row.clone()) };
                        for ((t, x), r) in to.iter_mut().zip(&x[row]).zip(r.iter()) {
                            *t = *x * *r;
                        }
                    }
                },
            );
        });
    })
}

fn backward<T: Real>(view: View, x: &[T], g: &[T], eps: f64) -> Vec<T> {
    by_position(view, |image, at, out: Shared<T>| {
        with_scratch(2 * at.len(), |scratch: &mut [T]| {
            let (r, along) = scratch.split_at_mut(at.len());
            T::simd().run(
                #[inline(always)]
                || {
                    scales(view, image, &at, x, eps, r);
                    means(view, image, &at, x, g, along);
                    along.iter_mut().zip(r.iter()).for_each(|(s, r)| *s *= *r * *r);
                    for c in 0..view.channels {
                        let row = row(view, image, c, &at);
                        // SAFETY: the stretch belongs to this task alone.
                        let to = unsafe { out.slice(row.clone()) };
                        let operands = x[row.clone()].iter().zip(&g[row]);
                        for ((t, (x, g)), (r, along)) in
                            to.iter_mut().zip(operands).zip(r.iter().zip(along.iter()))
                        {
                            *t = *r * (*g - *x * *along);
                        }
                    }
                },
            );
        });
    })
}
