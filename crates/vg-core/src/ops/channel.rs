//! Scale, shift and sums per channel of `[B, C, ...]` tensors; each derivative is written with the others.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Shape, Tensor, WithDType};

use super::real::{Real, by_dtype, slice};
use super::threads::{Shared, filled, for_each};
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
    Ok(x.contiguous()?.apply_op3(&scale.contiguous()?, &shift.contiguous()?, Affine)?)
}

/// `x * scale` per channel; shapes and errors as [`channel_affine`].
pub fn channel_scale(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    check(x, scale, "channel scale")?;
    Ok(x.contiguous()?.apply_op2(&scale.contiguous()?, Scale)?)
}

/// `x + shift` per channel (a bias); shapes and errors as [`channel_affine`].
pub fn channel_shift(x: &Tensor, shift: &Tensor) -> Result<Tensor> {
    check(x, shift, "channel shift")?;
    Ok(x.contiguous()?.apply_op2(&shift.contiguous()?, Shift)?)
}

/// Sum over all axes but the second: `[B, C, ...]` to `[C]`. f32 values are added up in f64.
///
/// # Errors
/// [`Error::Shape`] when `x` has fewer than two axes.
pub fn channel_sum(x: &Tensor) -> Result<Tensor> {
    channels(x)?;
    Ok(x.contiguous()?.apply_op1(Sum)?)
}

/// Sum of `x * y` over all axes but the second: `[B, C, ...]` twice to `[C]`. f32 products are added up in f64.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ or have fewer than two axes.
pub fn channel_dot(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    channels(x)?;
    if x.dims() != y.dims() {
        return Err(Error::shape("second operand of channel_dot", format!("{:?}", x.dims()), y.dims()));
    }
    Ok(x.contiguous()?.apply_op2(&y.contiguous()?, Dot)?)
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

/// Sums of `N` quantities per channel in f64. `term` maps the elements of the operands to the quantities.
///
/// Order of additions: 16 interleaved partial sums along each row (or one for each element of a short row), images in order.
pub(super) fn sums<T: Real, const N: usize>(
    view: View,
    block: &std::ops::Range<usize>,
    x: &[T],
    y: &[T],
    term: impl Fn(usize, T, T) -> [f64; N] + Copy,
) -> Vec<[f64; N]> {
    const LANES: usize = 16;
    if view.inner < 64 {
        return short_sums(view, block, x, y, term);
    }
    let channel = block.start;
    let mut lanes = [[0.0; LANES]; N];
    for image in 0..view.batch {
        let at = view.stretch(image, block);
        let (x, y) = (&x[at.clone()], &y[at]);
        let (xs, x_rest) = x.as_chunks::<LANES>();
        let (ys, y_rest) = y.as_chunks::<LANES>();
        // A local copy, so that the sums can live in registers.
        let mut local = lanes;
        for (x, y) in xs.iter().zip(ys) {
            let terms: [[f64; N]; LANES] = std::array::from_fn(|l| term(channel, x[l], y[l]));
            for n in 0..N {
                for l in 0..LANES {
                    local[n][l] += terms[l][n];
                }
            }
        }
        for (l, (x, y)) in x_rest.iter().zip(y_rest).enumerate() {
            let t = term(channel, *x, *y);
            for n in 0..N {
                local[n][l] += t[n];
            }
        }
        lanes = local;
    }
    vec![lanes.map(|l| l.iter().sum())]
}

fn short_sums<T: Real, const N: usize>(
    view: View,
    block: &std::ops::Range<usize>,
    x: &[T],
    y: &[T],
    term: impl Fn(usize, T, T) -> [f64; N] + Copy,
) -> Vec<[f64; N]> {
    let mut all = vec![[0.0; N]; block.len() * view.inner];
    for image in 0..view.batch {
        let at = view.stretch(image, block);
        let (x, y) = (&x[at.clone()], &y[at]);
        for (c, channel) in block.clone().enumerate() {
            for i in c * view.inner..(c + 1) * view.inner {
                let t = term(channel, x[i], y[i]);
                for n in 0..N {
                    all[i][n] += t[n];
                }
            }
        }
    }
    let fold = |row: &[[f64; N]]| row.iter().fold([0.0; N], |s, t| std::array::from_fn(|n| s[n] + t[n]));
    all.chunks_exact(view.inner.max(1)).map(fold).collect()
}

/// One sum per channel of a term of two operands.
fn reduce<T: Real>(
    dims: &[usize],
    x: &[T],
    y: &[T],
    term: impl Fn(T, T) -> f64 + Copy + Sync + Send,
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
                let total = sums(view, &block, x, y, |_, a, b| [term(a, b)]);
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
            Ok((T::to_cpu_storage_owned(reduce(l.dims(), x, x, |a, _| a.to_f64())), Shape::from(l.dims()[1])))
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
            let sums = reduce::<T>(l1.dims(), slice(s1, l1)?, slice(s2, l2)?, |a, b| a.to_f64() * b.to_f64());
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
