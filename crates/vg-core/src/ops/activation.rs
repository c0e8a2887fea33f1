//! Pointwise nonlinearities whose gradients are computed from their results, so that their inputs need not be kept.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor, WithDType};

use super::real::{Real, by_dtype, slice};
use super::threads::{map, map2};
use crate::Result;
use crate::grad::{apply1, apply2};

/// A pointwise nonlinearity, alone or fused into the operation before it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Activation {
    /// `x`.
    #[default]
    Identity,
    /// `max(x, 0)`; the gradient at 0 is 0.
    Relu,
    /// `x` where positive, else `slope * x`; `slope` must be positive. The gradient at 0 is `slope`.
    LeakyRelu(f64),
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

impl Activation {
    /// The activation of each element, for f32 and f64 tensors of any shape; twice differentiable.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) for other element types.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Identity => Ok(x.clone()),
            _ => Ok(apply1(&x.contiguous()?, Pointwise(self))?),
        }
    }

    /// Whether the gradient can be told from the sign of the input alone (the identity and both ReLUs).
    pub(crate) fn is_piecewise_linear(self) -> bool {
        matches!(self, Self::Identity | Self::Relu | Self::LeakyRelu(_))
    }

    /// What can be fused into the operation before it, and what remains to be applied after it.
    pub(crate) fn split(self) -> (Self, Self) {
        if self.is_piecewise_linear() { (self, Self::Identity) } else { (Self::Identity, self) }
    }

    /// Gradient of the input from the result `y` and its gradient.
    pub(crate) fn gradient(self, y: &Tensor, grad: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Identity => Ok(grad.clone()),
            // Constant slopes: the result only chooses between them, so the second derivative does not reach it.
            Self::Relu | Self::LeakyRelu(_) => {
                apply2(&y.detach().contiguous()?, &grad.contiguous()?, PointwiseGrad(self))
            }
            _ => apply2(&y.contiguous()?, &grad.contiguous()?, PointwiseGrad(self)),
        }
    }

    /// The slope where the result has the sign of `y`; 0 for the curved ones.
    #[inline(always)]
    pub(crate) fn slope<T: Real>(self, positive: bool) -> T {
        match self {
            Self::Identity => T::of(1.0),
            _ if positive => T::of(1.0),
            Self::LeakyRelu(slope) => T::of(slope),
            _ => T::nil(),
        }
    }

    /// Replaces each element by its activation.
    #[inline(always)]
    pub(crate) fn apply_in_place<T: Real>(self, values: &mut [T]) {
        match self {
            Self::Identity => {}
            Self::Relu => values.iter_mut().for_each(|v| *v = leaky(*v, T::nil())),
            Self::LeakyRelu(slope) => {
                let slope = T::of(slope);
                values.iter_mut().for_each(|v| *v = leaky(*v, slope));
            }
            Self::Tanh => values.iter_mut().for_each(|v| *v = v.tanh()),
            Self::Sigmoid => values.iter_mut().for_each(|v| *v = v.sigmoid()),
        }
    }
}

/// NaN stays NaN: `NaN > 0` is false and the product keeps it.
#[inline(always)]
pub(super) fn leaky<T: Real>(x: T, slope: T) -> T {
    if x > T::nil() { x } else { x * slope }
}

struct Pointwise(Activation);

impl CustomOp1 for Pointwise {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s, "activation", T => {
            let x = slice::<T>(s, l)?;
            let y = match self.0 {
                Activation::Identity => x.to_vec(),
                Activation::Relu => map(x, |v| leaky(v, T::nil())),
                Activation::LeakyRelu(slope) => { let slope = T::of(slope); map(x, move |v| leaky(v, slope)) }
                Activation::Tanh => map(x, Real::tanh),
                Activation::Sigmoid => map(x, Real::sigmoid),
            };
            Ok((T::to_cpu_storage_owned(y), l.shape().clone()))
        })
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        self.0.gradient(y, grad).map(Some)
    }
}

/// `(y, g) -> g * f'(x)`, with the derivative written in terms of `y = f(x)`.
struct PointwiseGrad(Activation);

impl CustomOp2 for PointwiseGrad {
    fn name(&self) -> &'static str {
        "activation gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "activation gradient", T => {
            let (y, g) = (slice::<T>(s1, l1)?, slice::<T>(s2, l2)?);
            let one = T::of(1.0);
            let out = match self.0 {
                Activation::Identity => g.to_vec(),
                Activation::Tanh => map2(y, g, move |y, g| g * (one - y * y)),
                Activation::Sigmoid => map2(y, g, move |y, g| g * (y * (one - y))),
                piecewise => {
                    let low = piecewise.slope::<T>(false);
                    map2(y, g, move |y, g| if y > T::nil() { g } else { g * low })
                }
            };
            Ok((T::to_cpu_storage_owned(out), l1.shape().clone()))
        })
    }

    fn bwd(
        &self,
        y: &Tensor,
        g: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let d_g = if g.track_op() { Some(self.0.gradient(y, grad)?) } else { None };
        let d_y = match self.0 {
            _ if !y.track_op() => None,
            Activation::Tanh => Some(((y * g)? * grad)?.affine(-2.0, 0.0)?),
            Activation::Sigmoid => Some(((y.affine(-2.0, 1.0)? * g)? * grad)?),
            _ => Some(y.zeros_like()?),
        };
        Ok((d_y, d_g))
    }
}
