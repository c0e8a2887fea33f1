//! Scale, shift and sums per channel of `[B, C, ...]` tensors; each derivative is written with the others.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Shape, Tensor, WithDType};

use super::real::{Real, by_dtype, slice};
use super::threads::{Shared, filled, for_each};
use crate::grad::{apply1, apply2, apply3};
use crate::{Error, Result};

/// `x * scale + shift` per channel.
///
/// # Shapes
/// - `x` `[B, C, ...]`; `scale` and `shift` `[C]`
///
/// # Errors
/// [`Error::Shape`] when `x` has fewer than two axes or the vectors are not `[C]`.
pub fn channel_affine(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    check(x, scale, "channel scale")?;
    check(x, shift, "channel shift")?;
    Ok(apply3(&x.contiguous()?, &scale.contiguous()?, &shift.contiguous()?, Affine)?)
}

/// `x * scale` per channel; shapes and errors as [`channel_affine`].
pub fn channel_scale(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    check(x, scale, "channel scale")?;
    Ok(apply2(&x.contiguous()?, &scale.contiguous()?, Scale)?)
}

/// `x + shift` per channel (a bias); shapes and errors as [`channel_affine`].
pub fn channel_shift(x: &Tensor, shift: &Tensor) -> Result<Tensor> {
    check(x, shift, "channel shift")?;
    Ok(apply2(&x.contiguous()?, &shift.contiguous()?, Shift)?)
}

/// Sum over all axes but the second: `[B, C, ...]` to `[C]`. Partial sums of f32 values are added up in f64.
///
/// # Errors
/// [`Error::Shape`] when `x` has fewer than two axes.
pub fn channel_sum(x: &Tensor) -> Result<Tensor> {
    channels(x)?;
    Ok(apply1(&x.contiguous()?, Sum)?)
}

/// Sum of `x * y` over all axes but the second: `[B, C, ...]` twice to `[C]`. Partial sums of f32 products are added up in f64.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ or have fewer than two axes.
pub fn channel_dot(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    channels(x)?;
    if x.dims() != y.dims() {
        return Err(Error::shape("second operand of channel_dot", format!("{:?}", x.dims()), y.dims()));
    }
    Ok(apply2(&x.contiguous()?, &y.contiguous()?, Dot)?)
}

pub(super) fn channels(x: &Tensor) -> Result<usize> {
    x.dims().get(1).copied().ok_or_else(|| Error::shape("channel operand", "[B, C, ...]", x.dims()))
}

pub(super) fn check(x: &Tensor, vector: &Tensor, what: &'static str) -> Result<()> {
    let n = channels(x)?;
    if vector.dims() != [n] {
        return Err(Error::shape(what, format!("[{n}]"), vector.dims()));
    }
    if vector.dtype() != x.dtype() {
        let types = format!(
            "{what}: {:?} beside an input of {:?}; convert with `to_dtype`",
            vector.dtype(),
            x.dtype()
        );
        return Err(Error::Unsupported(types));
    }
    Ok(())
}

/// A contiguous tensor seen as `[batch, channels, inner]`.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub batch: usize,
    pub channels: usize,
    pub inner: usize,
}

impl View {
    pub(super) fn of(dims: &[usize]) -> Self {
        Self { batch: dims[0], channels: dims[1], inner: dims[2..].iter().product() }
    }

    pub(super) fn elements(&self) -> usize {
        self.batch * self.channels * self.inner
    }

    /// Elements per channel.
    pub(super) fn population(&self) -> usize {
        self.batch * self.inner
    }

    /// Channels of one task: whole cache lines of a row where rows are short.
    pub(super) fn block(&self) -> usize {
        (64 / self.inner.max(1)).max(1)
    }

    /// Number of tasks.
    pub(super) fn blocks(&self) -> usize {
        self.channels.div_ceil(self.block())
    }

    /// The channels of task `i`.
    pub(super) fn block_range(&self, i: usize) -> std::ops::Range<usize> {
        i * self.block()..((i + 1) * self.block()).min(self.channels)
    }

    /// Where the elements of `image` for the channels of a task lie: one stretch, channel after channel.
    pub(super) fn stretch(&self, image: usize, block: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        let base = image * self.channels;
        (base + block.start) * self.inner..(base + block.end) * self.inner
    }
}

/// Sums of `N` quantities per channel. `term` maps what is known of a channel and the elements of the operands to the quantities;
/// `known` has one entry for each channel of the block, copied into registers before the loops.
///
/// Order of additions: partial sums of the operands' type over fixed short pieces, interleaved; pieces and images in order, in f64.
#[inline(always)]
pub(super) fn sums<T: Real, K: Copy, const N: usize>(
    view: View,
    block: &std::ops::Range<usize>,
    x: &[T],
    y: &[T],
    known: &[K],
    term: impl Fn(K, T, T) -> [T; N] + Copy,
) -> Vec<[f64; N]> {
    if view.inner < 64 {
        return short_sums(view, block, x, y, known, term);
    }
    let mut total = [0.0; N];
    let known = known[0];
    for image in 0..view.batch {
        let at = view.stretch(image, block);
        row_sums(
            &x[at.clone()],
            &y[at],
            #[inline(always)]
            |a, b| term(known, a, b),
            &mut total,
        );
    }
    vec![total]
}

/// Interleaved sums; together they fill a few vectors.
const LANES: usize = 32;
/// Additions of a partial sum: so few that rounding stays near that of a single addition.
const DEPTH: usize = 32;

#[inline(always)]
fn row_sums<T: Real, const N: usize>(
    x: &[T],
    y: &[T],
    term: impl Fn(T, T) -> [T; N] + Copy,
    total: &mut [f64; N],
) {
    for (x, y) in x.chunks(LANES * DEPTH).zip(y.chunks(LANES * DEPTH)) {
        let mut lanes = [[T::nil(); LANES]; N];
        let (xs, x_rest) = x.as_chunks::<LANES>();
        let (ys, y_rest) = y.as_chunks::<LANES>();
        for (x, y) in xs.iter().zip(ys) {
            for l in 0..LANES {
                let t = term(x[l], y[l]);
                for n in 0..N {
                    lanes[n][l] += t[n];
                }
            }
        }
        for (l, (x, y)) in x_rest.iter().zip(y_rest).enumerate() {
            let t = term(*x, *y);
            for n in 0..N {
                lanes[n][l] += t[n];
            }
        }
        for n in 0..N {
            total[n] += lanes[n].iter().map(|v| v.to_f64()).sum::<f64>();
        }
    }
}

/// The same for rows that are shorter than a few vectors: one sum for each element of a row.
#[inline(always)]
fn short_sums<T: Real, K: Copy, const N: usize>(
    view: View,
    block: &std::ops::Range<usize>,
    x: &[T],
    y: &[T],
    known: &[K],
    term: impl Fn(K, T, T) -> [T; N] + Copy,
) -> Vec<[f64; N]> {
    let n = block.len() * view.inner;
    let mut totals = vec![[0.0; N]; block.len()];
    let mut partial = vec![T::nil(); N * n];
    for first in (0..view.batch).step_by(DEPTH) {
        partial.fill(T::nil());
        for image in first..(first + DEPTH).min(view.batch) {
            let at = view.stretch(image, block);
            let (x, y) = (&x[at.clone()], &y[at]);
            for (c, known) in known.iter().copied().enumerate() {
                for i in c * view.inner..(c + 1) * view.inner {
                    let t = term(known, x[i], y[i]);
                    for k in 0..N {
                        partial[k * n + i] += t[k];
                    }
                }
            }
        }
        for (k, partial) in partial.chunks_exact(n).enumerate() {
            for (total, row) in totals.iter_mut().zip(partial.chunks_exact(view.inner)) {
                total[k] += row.iter().map(|v| v.to_f64()).sum::<f64>();
            }
        }
    }
    totals
}

/// One sum per channel of a term of two operands.
fn reduce<T: Real>(
    dims: &[usize],
    x: &[T],
    y: &[T],
    term: impl Fn(T, T) -> T + Copy + Sync + Send,
) -> Vec<T> {
    let view = View::of(dims);
    if view.elements() == 0 {
        return vec![T::nil(); view.channels];
    }
    // SAFETY: the blocks partition the channels.
    unsafe {
        filled(view.channels, |out: Shared<T>| {
            for_each(view.blocks(), |i| {
                let block = view.block_range(i);
                let total = T::simd().run(
                    #[inline(always)]
                    || {
                        sums(
                            view,
                            &block,
                            x,
                            y,
                            &vec![(); block.len()],
                            #[inline(always)]
                            |(), a, b| [term(a, b)],
                        )
                    },
                );
                for (channel, sum) in block.zip(total) {
                    out.ptr().add(channel).write(T::of(sum[0]));
                }
            });
        })
    }
}

/// `f(channel, element)` of each element.
pub(super) fn per_channel<T: Real>(view: View, x: &[T], f: impl Fn(usize, T) -> T + Sync + Send) -> Vec<T> {
    // SAFETY: images and blocks partition the elements, and every stretch is written in full.
    unsafe {
        filled(view.elements(), |out: Shared<T>| {
            for_each(view.blocks(), |i| {
                let block = view.block_range(i);
                T::simd().run(
                    #[inline(always)]
                    || {
                        for image in 0..view.batch {
                            let at = view.stretch(image, &block);
                            let to = out.ptr().add(at.start);
                            let x = &x[at];
                            for (c, channel) in block.clone().enumerate() {
                                let start = c * view.inner;
                                for (j, v) in x[start..start + view.inner].iter().enumerate() {
                                    to.add(start + j).write(f(channel, *v));
                                }
                            }
                        }
                    },
                );
            });
        })
    }
}

struct Affine;

impl CustomOp3 for Affine {
    fn name(&self) -> &'static str {
        "channel_affine"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "channel_affine", T => {
            let (scale, shift) = (slice::<T>(s2, l2)?, slice::<T>(s3, l3)?);
            let y = per_channel(View::of(l1.dims()), slice::<T>(s1, l1)?, |c, x| x * scale[c] + shift[c]);
            Ok((T::to_cpu_storage_owned(y), l1.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        Ok((
            wanted(x, || channel_scale(grad, scale))?,
            wanted(scale, || channel_dot(x, grad))?,
            wanted(shift, || channel_sum(grad))?,
        ))
    }
}

struct Scale;

impl CustomOp2 for Scale {
    fn name(&self) -> &'static str {
        "channel_scale"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "channel_scale", T => {
            let scale = slice::<T>(s2, l2)?;
            let y = per_channel(View::of(l1.dims()), slice::<T>(s1, l1)?, |c, x| x * scale[c]);
            Ok((T::to_cpu_storage_owned(y), l1.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((wanted(x, || channel_scale(grad, scale))?, wanted(scale, || channel_dot(x, grad))?))
    }
}

struct Shift;

impl CustomOp2 for Shift {
    fn name(&self) -> &'static str {
        "channel_shift"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "channel_shift", T => {
            let shift = slice::<T>(s2, l2)?;
            let y = per_channel(View::of(l1.dims()), slice::<T>(s1, l1)?, |c, x| x + shift[c]);
            Ok((T::to_cpu_storage_owned(y), l1.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        shift: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((wanted(x, || Ok(grad.clone()))?, wanted(shift, || channel_sum(grad))?))
    }
}

struct Sum;

impl CustomOp1 for Sum {
    fn name(&self) -> &'static str {
        "channel_sum"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s, "channel_sum", T => {
            let x = slice::<T>(s, l)?;
            Ok((T::to_cpu_storage_owned(reduce(l.dims(), x, x, |a, _| a)), Shape::from(l.dims()[1])))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(channel_shift(&x.zeros_like()?, grad)?))
    }
}

struct Dot;

impl CustomOp2 for Dot {
    fn name(&self) -> &'static str {
        "channel_dot"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "channel_dot", T => {
            let sums = reduce::<T>(l1.dims(), slice(s1, l1)?, slice(s2, l2)?, |a, b| a * b);
            Ok((T::to_cpu_storage_owned(sums), Shape::from(l1.dims()[1])))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _sums: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((wanted(x, || channel_scale(y, grad))?, wanted(y, || channel_scale(x, grad))?))
    }
}

/// A gradient for arguments that are part of the graph; constants get none.
pub(super) fn wanted(
    arg: &Tensor,
    gradient: impl FnOnce() -> Result<Tensor>,
) -> candle_core::Result<Option<Tensor>> {
    if arg.track_op() { Ok(Some(gradient()?)) } else { Ok(None) }
}
