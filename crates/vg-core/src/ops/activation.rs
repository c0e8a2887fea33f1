//! Pointwise nonlinearities whose gradients are computed from their results, so that their inputs need not be kept.

use candle_core::Tensor;

use super::op::{Gradients, Op, Operand, Output, binary, unary};
use super::real::Real;
use super::threads::{map, map2};
use crate::Result;

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
    /// `x` where positive, else `exp(x) - 1` (exponential linear unit).
    Elu,
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
            _ => Ok(unary(x, Pointwise(self))?),
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

    /// Gradient of the input from the result `y` and its gradient, of one shape; differentiable itself, so that a penalty on gradients can
    /// be written as a forward pass. Of both ReLUs, `y` only chooses the slopes and gets no gradient.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn gradient(self, y: &Tensor, grad: &Tensor) -> candle_core::Result<Tensor> {
        match self {
            Self::Identity => Ok(grad.clone()),
            // Constant slopes: the result only chooses between them, so the second derivative does not reach it.
            Self::Relu | Self::LeakyRelu(_) => binary(&y.detach(), grad, PointwiseGrad(self)),
            _ => binary(y, grad, PointwiseGrad(self)),
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
            Self::Elu => values.iter_mut().for_each(|v| *v = elu(*v)),
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

#[inline(always)]
pub(super) fn elu<T: Real>(x: T) -> T {
    let low = x.exp() - T::of(1.0);
    if x > T::nil() { x } else { low }
}

struct Pointwise(Activation);

impl Op<1> for Pointwise {
    const NAME: &'static str = "activation";

    fn run<T: Real>(&self, [Operand { data: x, shape }]: [Operand<'_, T>; 1]) -> Output<T> {
        let y = match self.0 {
            Activation::Identity => x.to_vec(),
            Activation::Relu => map(x, |v| leaky(v, T::nil())),
            Activation::LeakyRelu(slope) => {
                let slope = T::of(slope);
                map(x, move |v| leaky(v, slope))
            }
            Activation::Elu => map(x, elu),
            Activation::Tanh => map(x, Real::tanh),
            Activation::Sigmoid => map(x, Real::sigmoid),
        };
        Ok((y, shape.clone()))
    }

    fn gradients(&self, [_x]: [&Tensor; 1], y: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(self.0.gradient(y, grad)?)])
    }
}

/// Calls a function with `(y, g) -> g * f'(x)` as its last argument: a function of its own for each activation.
macro_rules! with_derivative {
    ($activation:expr, $t:ty, $call:ident($($argument:expr),*)) => {
        match $activation {
            Activation::Elu => $call(
                $($argument,)*
                #[inline(always)]
                |y: $t, g: $t| if y > <$t>::nil() { g } else { g * (y + <$t>::of(1.0)) },
            ),
            Activation::Tanh => $call(
                $($argument,)*
                #[inline(always)]
                |y: $t, g: $t| g * (<$t>::of(1.0) - y * y),
            ),
            Activation::Sigmoid => $call(
                $($argument,)*
                #[inline(always)]
                |y: $t, g: $t| g * (y * (<$t>::of(1.0) - y)),
            ),
            piecewise => {
                let low = piecewise.slope::<$t>(false);
                $call(
                    $($argument,)*
                    #[inline(always)]
                    move |y: $t, g: $t| if y > <$t>::nil() { g } else { g * low },
                )
            }
        }
    };
}
pub(super) use with_derivative;

/// `(y, g) -> g * f'(x)`, with the derivative written in terms of `y = f(x)`.
pub(super) struct PointwiseGrad(pub(super) Activation);

impl Op<2> for PointwiseGrad {
    const NAME: &'static str = "activation gradient";

    fn run<T: Real>(&self, [y, g]: [Operand<'_, T>; 2]) -> Output<T> {
        let out = with_derivative!(self.0, T, map2(y.data, g.data));
        Ok((out, y.shape.clone()))
    }

    fn gradients(&self, [y, g]: [&Tensor; 2], _res: &Tensor, grad: &Tensor) -> Gradients<2> {
        let d_g = if g.track_op() { Some(self.0.gradient(y, grad)?) } else { None };
        let d_y = match self.0 {
            _ if !y.track_op() => None,
            Activation::Elu => {
                let below = y.lt(0.0)?.to_dtype(y.dtype())?;
                Some(((below * g)? * grad)?)
            }
            Activation::Tanh => Some(((y * g)? * grad)?.affine(-2.0, 0.0)?),
            Activation::Sigmoid => Some(((y.affine(-2.0, 1.0)? * g)? * grad)?),
            _ => Some(y.zeros_like()?),
        };
        Ok([d_y, d_g])
    }
}
