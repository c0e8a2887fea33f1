//! Scale, shift and sums per channel of `[B, C, ...]` tensors; each derivative is written with the others.

use candle_core::{Shape, Tensor};

use super::Activation;
use super::op::{Gradients, Op, Operand, Output, binary, ternary, unary, wanted};
use super::real::Real;
use super::reduce::{View, per_channel, reduce};
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
        rest.apply(&ternary(x, scale, shift, op)?)
    }

    pub(super) fn scale(self, x: &Tensor, scale: &Tensor) -> Result<Tensor> {
        Ok(binary(x, scale, Scale(self))?)
    }

    pub(super) fn shift(self, x: &Tensor, shift: &Tensor) -> Result<Tensor> {
        Ok(binary(x, shift, Shift(self))?)
    }

    pub(super) fn sum(self, x: &Tensor) -> Result<Tensor> {
        Ok(unary(x, Sum(self))?)
    }

    pub(super) fn dot(self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        Ok(binary(x, y, Dot(self))?)
    }
}

struct Affine {
    view: View,
    /// Piecewise linear.
    activation: Activation,
}

impl Op<3> for Affine {
    const NAME: &'static str = "channel_affine";

    fn run<T: Real>(&self, [x, scale, shift]: [Operand<'_, T>; 3]) -> Output<T> {
        let lines: Vec<_> = scale.data.iter().copied().zip(shift.data.iter().copied()).collect();
        let low = self.activation.slope::<T>(false);
        let y = per_channel(
            self.view,
            x.data,
            &lines,
            #[inline(always)]
            move |(scale, shift), x| {
                let y = x * scale + shift;
                if y > T::nil() { y } else { y * low }
            },
        );
        Ok((y, x.shape.clone()))
    }

    fn gradients(&self, [x, scale, shift]: [&Tensor; 3], y: &Tensor, grad: &Tensor) -> Gradients<3> {
        let grad = &self.activation.gradient(y, grad)?;
        Ok([
            wanted(x, || self.view.scale(grad, scale))?,
            wanted(scale, || self.view.dot(x, grad))?,
            wanted(shift, || self.view.sum(grad))?,
        ])
    }
}

struct Scale(View);

impl Op<2> for Scale {
    const NAME: &'static str = "channel_scale";

    fn run<T: Real>(&self, [x, scale]: [Operand<'_, T>; 2]) -> Output<T> {
        let y = per_channel(
            self.0,
            x.data,
            scale.data,
            #[inline(always)]
            |scale, x| x * scale,
        );
        Ok((y, x.shape.clone()))
    }

    fn gradients(&self, [x, scale]: [&Tensor; 2], _y: &Tensor, grad: &Tensor) -> Gradients<2> {
        Ok([wanted(x, || self.0.scale(grad, scale))?, wanted(scale, || self.0.dot(x, grad))?])
    }
}

struct Shift(View);

impl Op<2> for Shift {
    const NAME: &'static str = "channel_shift";

    fn run<T: Real>(&self, [x, shift]: [Operand<'_, T>; 2]) -> Output<T> {
        let y = per_channel(
            self.0,
            x.data,
            shift.data,
            #[inline(always)]
            |shift, x| x + shift,
        );
        Ok((y, x.shape.clone()))
    }

    fn gradients(&self, [x, shift]: [&Tensor; 2], _y: &Tensor, grad: &Tensor) -> Gradients<2> {
        Ok([wanted(x, || Ok(grad.clone()))?, wanted(shift, || self.0.sum(grad))?])
    }
}

struct Sum(View);

impl Op<1> for Sum {
    const NAME: &'static str = "channel_sum";

    fn run<T: Real>(&self, [x]: [Operand<'_, T>; 1]) -> Output<T> {
        let x = x.data;
        Ok((reduce(self.0, x, x, |a, _| a), Shape::from(self.0.channels)))
    }

    fn gradients(&self, [x]: [&Tensor; 1], _y: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(self.0.shift(&x.zeros_like()?, grad)?)])
    }
}

struct Dot(View);

impl Op<2> for Dot {
    const NAME: &'static str = "channel_dot";

    fn run<T: Real>(&self, [x, y]: [Operand<'_, T>; 2]) -> Output<T> {
        let sums = reduce::<T>(self.0, x.data, y.data, |a, b| a * b);
        Ok((sums, Shape::from(self.0.channels)))
    }

    fn gradients(&self, [x, y]: [&Tensor; 2], _sums: &Tensor, grad: &Tensor) -> Gradients<2> {
        Ok([wanted(x, || self.0.scale(y, grad))?, wanted(y, || self.0.scale(x, grad))?])
    }
}
