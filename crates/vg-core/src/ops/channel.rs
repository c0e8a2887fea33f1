//! Scale, shift and sums per channel of `[B, C, ...]` tensors; each derivative is written with the others.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Shape, Tensor, WithDType};

use super::Activation;
use super::real::{Real, by_dtype, slice};
use super::reduce::{View, per_channel, reduce};
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
    View::of(x.dims()).affine(x, scale, shift, Activation::Identity)
}

/// `x * scale` per channel; shapes and errors as [`channel_affine`].
pub fn channel_scale(x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    check(x, scale, "channel scale")?;
    View::of(x.dims()).scale(x, scale)
}

/// `x + shift` per channel (a bias); shapes and errors as [`channel_affine`].
pub fn channel_shift(x: &Tensor, shift: &Tensor) -> Result<Tensor> {
    check(x, shift, "channel shift")?;
    View::of(x.dims()).shift(x, shift)
}

/// Sum over all axes but the second: `[B, C, ...]` to `[C]`. Partial sums of f32 values are added up in f64.
///
/// # Errors
/// [`Error::Shape`] when `x` has fewer than two axes.
pub fn channel_sum(x: &Tensor) -> Result<Tensor> {
    channels(x)?;
    View::of(x.dims()).sum(x)
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
    View::of(x.dims()).dot(x, y)
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

/// The same operations on any view of contiguous tensors: with `[1, B * C, ...]` for `[B, C, ...]`, constants belong to a sample and a
/// channel. Vectors are `[channels]`, and all tensors have the elements of the view, in any shape.
impl View {
    /// `activation(x * scale + shift)`; both ReLUs without a further pass.
    pub(super) fn affine(
        self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        activation: Activation,
    ) -> Result<Tensor> {
        let (fused, rest) = activation.split();
        let op = Affine { view: self, activation: fused };
        rest.apply(&apply3(&x.contiguous()?, &scale.contiguous()?, &shift.contiguous()?, op)?)
    }

    pub(super) fn scale(self, x: &Tensor, scale: &Tensor) -> Result<Tensor> {
        Ok(apply2(&x.contiguous()?, &scale.contiguous()?, Scale(self))?)
    }

    pub(super) fn shift(self, x: &Tensor, shift: &Tensor) -> Result<Tensor> {
        Ok(apply2(&x.contiguous()?, &shift.contiguous()?, Shift(self))?)
    }

    pub(super) fn sum(self, x: &Tensor) -> Result<Tensor> {
        Ok(apply1(&x.contiguous()?, Sum(self))?)
    }

    pub(super) fn dot(self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        Ok(apply2(&x.contiguous()?, &y.contiguous()?, Dot(self))?)
    }
}

struct Affine {
    view: View,
    /// Piecewise linear.
    activation: Activation,
}

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
            let lines: Vec<_> = slice::<T>(s2, l2)?.iter().copied().zip(slice::<T>(s3, l3)?.iter().copied()).collect();
            let low = self.activation.slope::<T>(false);
            let y = per_channel(self.view, slice::<T>(s1, l1)?, &lines, #[inline(always)] move |(scale, shift), x| {
                let y = x * scale + shift;
                if y > T::nil() { y } else { y * low }
            });
            Ok((T::to_cpu_storage_owned(y), l1.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        shift: &Tensor,
        y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = &self.activation.gradient(y, grad)?;
        Ok((
            wanted(x, || self.view.scale(grad, scale))?,
            wanted(scale, || self.view.dot(x, grad))?,
            wanted(shift, || self.view.sum(grad))?,
        ))
    }
}

struct Scale(View);

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
            let y = per_channel(self.0, slice::<T>(s1, l1)?, slice::<T>(s2, l2)?, #[inline(always)] |scale, x| x * scale);
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
        Ok((wanted(x, || self.0.scale(grad, scale))?, wanted(scale, || self.0.dot(x, grad))?))
    }
}

struct Shift(View);

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
            let y = per_channel(self.0, slice::<T>(s1, l1)?, slice::<T>(s2, l2)?, #[inline(always)] |shift, x| x + shift);
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
        Ok((wanted(x, || Ok(grad.clone()))?, wanted(shift, || self.0.sum(grad))?))
    }
}

struct Sum(View);

impl CustomOp1 for Sum {
    fn name(&self) -> &'static str {
        "channel_sum"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s, "channel_sum", T => {
            let x = slice::<T>(s, l)?;
            Ok((T::to_cpu_storage_owned(reduce(self.0, x, x, |a, _| a)), Shape::from(self.0.channels)))
        })
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.0.shift(&x.zeros_like()?, grad)?))
    }
}

struct Dot(View);

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
            let sums = reduce::<T>(self.0, slice(s1, l1)?, slice(s2, l2)?, |a, b| a * b);
            Ok((T::to_cpu_storage_owned(sums), Shape::from(self.0.channels)))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _sums: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((wanted(x, || self.0.scale(y, grad))?, wanted(y, || self.0.scale(x, grad))?))
    }
}

/// A gradient for arguments that are part of the graph; constants get none.
pub(super) fn wanted(
    arg: &Tensor,
    gradient: impl FnOnce() -> Result<Tensor>,
) -> candle_core::Result<Option<Tensor>> {
    if arg.track_op() { Ok(Some(gradient()?)) } else { Ok(None) }
}
