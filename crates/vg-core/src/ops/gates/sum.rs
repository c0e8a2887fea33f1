//! The sum of two tensors behind an activation.

use candle_core::{Result, Tensor};

use super::super::activation::{Activation, elu, leaky};
use super::super::op::{Gradients, Op, Operand, Output, binary};
use super::super::real::Real;
use super::super::threads::map2;

/// `x, y -> activation(x + y)`.
pub(super) struct Sum(Activation);

impl Sum {
    pub(super) fn of(x: &Tensor, y: &Tensor, activation: Activation) -> Result<Tensor> {
        binary(x, y, Self(activation))
    }
}

impl Op<2> for Sum {
    const NAME: &'static str = "activated sum";

    fn run<T: Real>(&self, [x, y]: [Operand<'_, T>; 2]) -> Output<T> {
        let (shape, x, y) = (x.shape, x.data, y.data);
        let sum = match self.0 {
            Activation::Identity => map2(x, y, |x, y| x + y),
            Activation::Relu => map2(x, y, |x, y| leaky(x + y, T::nil())),
            Activation::LeakyRelu(slope) => {
                let slope = T::of(slope);
                map2(x, y, move |x, y| leaky(x + y, slope))
            }
            Activation::Elu => map2(x, y, |x, y| elu(x + y)),
            Activation::Tanh => map2(x, y, |x, y| (x + y).tanh()),
            Activation::Sigmoid => map2(x, y, |x, y| (x + y).sigmoid()),
        };
        Ok((sum, shape.clone()))
    }

    fn gradients(&self, [x, y]: [&Tensor; 2], sum: &Tensor, grad: &Tensor) -> Gradients<2> {
        let both = self.0.gradient(sum, grad)?;
        Ok([x.track_op().then(|| both.clone()), y.track_op().then_some(both)])
    }
}
