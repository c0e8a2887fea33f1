//! A foreground over a background through a mask.

use candle_core::{Shape, Tensor};
use rayon::prelude::*;

use super::op::{Gradients, Op, Operand, Output, binary, ternary, wanted};
use super::real::Real;
use crate::{Error, Result};

/// `mask * foreground + (1 - mask) * background`; the mask holds for all channels, a still background for all frames.
///
/// Source: VGAN (arXiv 1609.02612), eq. 2.
///
/// # Shapes
/// - `mask` `[B, 1, T, H, W]`; `foreground` `[B, C, T, H, W]`; `background` `[B, C, H, W]` or `[B, C, T, H, W]`
/// - returns `[B, C, T, H, W]`
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit, [`Error::Unsupported`] for mixed element types.
pub fn blend(mask: &Tensor, foreground: &Tensor, background: &Tensor) -> Result<Tensor> {
    let [batch, channels, t, h, w] = foreground.dims() else {
        return Err(Error::shape("foreground", "[B, C, T, H, W]", foreground.dims()));
    };
    let (batch, channels, t, h, w) = (*batch, *channels, *t, *h, *w);
    if mask.dims() != [batch, 1, t, h, w] {
        return Err(Error::shape("mask", format!("[{batch}, 1, {t}, {h}, {w}]"), mask.dims()));
    }
    let still = background.dims() == [batch, channels, h, w];
    if !still && background.dims() != foreground.dims() {
        let expected = format!("[{batch}, {channels}, {h}, {w}] or [{batch}, {channels}, {t}, {h}, {w}]");
        return Err(Error::shape("background", expected, background.dims()));
    }
    if mask.dtype() != foreground.dtype() || background.dtype() != foreground.dtype() {
        return Err(Error::Unsupported(format!(
            "blend: a mask of {:?}, a foreground of {:?} and a background of {:?}; convert them to one type with `to_dtype`",
            mask.dtype(),
            foreground.dtype(),
            background.dtype()
        )));
    }
    let layers = Layers { channels, clip: t * h * w, picture: if still { h * w } else { t * h * w } };
    Ok(ternary(mask, foreground, background, Blend(layers))?)
}

/// Sizes of the three operands.
#[derive(Clone, Copy)]
struct Layers {
    channels: usize,
    /// Elements of a channel of a clip.
    clip: usize,
    /// Elements of a channel of the background: those of a clip, or of a frame.
    picture: usize,
}

impl Layers {
    /// `n` elements in pieces of one channel each, which `f` fills: number, piece.
    fn filled<T: Real>(self, n: usize, piece: usize, f: impl Fn(usize, &mut [T]) + Sync + Send) -> Vec<T> {
        let mut out = vec![T::nil(); n];
        out.par_chunks_mut(piece.max(1)).enumerate().for_each(|(i, out)| {
            T::simd().run(
                #[inline(always)]
                || f(i, out),
            );
        });
        out
    }

    fn clip<T>(self, data: &[T], channel: usize) -> &[T] {
        &data[channel * self.clip..(channel + 1) * self.clip]
    }

    fn picture<T>(self, data: &[T], channel: usize) -> &[T] {
        &data[channel * self.picture..(channel + 1) * self.picture]
    }
}

struct Blend(Layers);

impl Op<3> for Blend {
    const NAME: &'static str = "blend";

    fn run<T: Real>(&self, [m, f, b]: [Operand<'_, T>; 3]) -> Output<T> {
        let l = self.0;
        let out = l.filled(
            f.data.len(),
            l.clip,
            #[inline(always)]
            |i: usize, out: &mut [T]| {
                let (m, f, b) = (l.clip(m.data, i / l.channels), l.clip(f.data, i), l.picture(b.data, i));
                let frames = m.chunks_exact(b.len()).zip(f.chunks_exact(b.len()));
                for (out, (m, f)) in out.chunks_exact_mut(b.len()).zip(frames) {
                    for (((o, m), f), b) in out.iter_mut().zip(m).zip(f).zip(b) {
                        *o = *m * *f + (T::of(1.0) - *m) * *b;
                    }
                }
            },
        );
        Ok((out, f.shape.clone()))
    }

    fn gradients(&self, [m, f, b]: [&Tensor; 3], _y: &Tensor, grad: &Tensor) -> Gradients<3> {
        let l = self.0;
        Ok([
            wanted(m, || Ok(ternary(grad, f, b, MaskGrad(l))?))?,
            wanted(f, || Ok(binary(grad, m, ForegroundGrad(l))?))?,
            wanted(b, || Ok(binary(grad, m, BackgroundGrad(l, b.shape().clone()))?))?,
        ])
    }
}

/// `g, m -> g m`.
struct ForegroundGrad(Layers);

impl Op<2> for ForegroundGrad {
    const NAME: &'static str = "blend, gradient of the foreground";

    fn run<T: Real>(&self, [g, m]: [Operand<'_, T>; 2]) -> Output<T> {
        let l = self.0;
        let out = l.filled(
            g.data.len(),
            l.clip,
            #[inline(always)]
            |i: usize, out: &mut [T]| {
                let (g, m) = (l.clip(g.data, i), l.clip(m.data, i / l.channels));
                for ((o, g), m) in out.iter_mut().zip(g).zip(m) {
                    *o = *g * *m;
                }
            },
        );
        Ok((out, g.shape.clone()))
    }
}

/// `g, m -> sum over the frames that share a picture of g (1 - m)`.
struct BackgroundGrad(Layers, Shape);

impl Op<2> for BackgroundGrad {
    const NAME: &'static str = "blend, gradient of the background";

    fn run<T: Real>(&self, [g, m]: [Operand<'_, T>; 2]) -> Output<T> {
        let (l, shape) = (self.0, self.1.clone());
        let out = l.filled(
            shape.elem_count(),
            l.picture,
            #[inline(always)]
            |i: usize, out: &mut [T]| {
                let (g, m) = (l.clip(g.data, i), l.clip(m.data, i / l.channels));
                for (g, m) in g.chunks_exact(out.len()).zip(m.chunks_exact(out.len())) {
                    for ((o, g), m) in out.iter_mut().zip(g).zip(m) {
                        *o += *g * (T::of(1.0) - *m);
                    }
                }
            },
        );
        Ok((out, shape))
    }
}

/// `g, f, b -> sum over channels of g (f - b)`.
struct MaskGrad(Layers);

impl Op<3> for MaskGrad {
    const NAME: &'static str = "blend, gradient of the mask";

    fn run<T: Real>(&self, [g, f, b]: [Operand<'_, T>; 3]) -> Output<T> {
        let l = self.0;
        let out = l.filled(
            g.data.len() / l.channels.max(1),
            l.clip,
            #[inline(always)]
            |clip: usize, out: &mut [T]| {
                for i in clip * l.channels..(clip + 1) * l.channels {
                    let (g, f, b) = (l.clip(g.data, i), l.clip(f.data, i), l.picture(b.data, i));
                    let frames = g.chunks_exact(b.len()).zip(f.chunks_exact(b.len()));
                    for (out, (g, f)) in out.chunks_exact_mut(b.len()).zip(frames) {
                        for (((o, g), f), b) in out.iter_mut().zip(g).zip(f).zip(b) {
                            *o += *g * (*f - *b);
                        }
                    }
                }
            },
        );
        let mut shape = g.dims().to_vec();
        shape[1] = 1;
        Ok((out, Shape::from(shape)))
    }
}
