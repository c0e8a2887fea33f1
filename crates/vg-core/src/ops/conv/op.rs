//! The three operations as nodes of candle's graph.

use candle_core::{DType, Result, Shape, Tensor};
use half::bf16;

use super::super::Activation;
use super::super::op::{Gradients, Op, Operand, Output, binary, wanted};
use super::super::real::Real;
use super::bf16::{Bf16, Element};
use super::geometry::{Geometry, Precision};
use super::{apply, kept, weight_grad};

/// `input, weight (, bias) -> output`, or transposed `output, weight (, bias) -> input`.
#[derive(Clone, Copy)]
pub(super) struct Map {
    pub geometry: Geometry,
    pub transposed: bool,
    pub activation: Activation,
}

impl Map {
    fn linear(geometry: Geometry, transposed: bool) -> Self {
        Self { geometry, transposed, activation: Activation::Identity }
    }

    /// Products in the type of the operands.
    fn full<T: Real>(&self, x: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
        let finish = apply::Finish { bias, activation: self.activation };
        if self.transposed {
            apply::backward(&self.geometry, x, weight, finish)
        } else {
            apply::forward(&self.geometry, x, weight, finish)
        }
    }

    /// Where products in bf16 are faster than in f32.
    fn kernel(&self) -> Option<Bf16> {
        if self.transposed { Bf16::for_output(&self.geometry) } else { Bf16::for_input(&self.geometry) }
    }

    fn narrow<S: Element>(&self, kernel: Bf16, x: &[S], weight: &[S], bias: Option<&[f32]>) -> Vec<S> {
        let finish = apply::Finish { bias, activation: self.activation };
        if self.transposed {
            kernel.backward(&self.geometry, x, weight, finish)
        } else {
            kernel.forward(&self.geometry, x, weight, finish)
        }
    }

    fn of_f32(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        match self.kernel().filter(|_| self.geometry.precision == Precision::Bf16) {
            Some(kernel) => self.narrow(kernel, x, weight, bias),
            None => self.full(x, weight, bias),
        }
    }

    /// The products of bf16 numbers are exact in f32, so that converting changes no more than the order of additions.
    fn of_bf16(&self, x: &[bf16], weight: &[bf16], bias: Option<&[bf16]>) -> Vec<bf16> {
        let bias = bias.map(widened);
        match self.kernel() {
            Some(kernel) => self.narrow(kernel, x, weight, bias.as_deref()),
            None => rounded(self.full(&widened(x), &widened(weight), bias.as_deref())),
        }
    }

    fn shape(&self) -> Shape {
        if self.transposed { self.geometry.input_shape() } else { self.geometry.output_shape() }.into()
    }

    /// Gradients behind the activation.
    fn linear_gradients(&self, [x, weight]: [&Tensor; 2], grad: &Tensor) -> Gradients<2> {
        let (geometry, adjoint) = (self.geometry, Self::linear(self.geometry, !self.transposed));
        let (big, small) = if self.transposed { (grad, x) } else { (x, grad) };
        Ok([
            wanted(x, || {
                kept::hold(weight);
                Ok(binary(grad, weight, adjoint)?)
            })?,
            wanted(weight, || Ok(binary(big, small, WeightGrad { geometry })?))?,
        ])
    }
}

impl Op<2> for Map {
    const NAME: &'static str = "convolution";

    fn run<T: Real>(&self, [x, w]: [Operand<'_, T>; 2]) -> Output<T> {
        Ok((self.full(x.data, w.data, None), self.shape()))
    }

    fn run_f32(&self, [x, w]: [Operand<'_, f32>; 2]) -> Output<f32> {
        Ok((self.of_f32(x.data, w.data, None), self.shape()))
    }

    fn run_bf16(&self, [x, w]: [Operand<'_, bf16>; 2]) -> Output<bf16> {
        Ok((self.of_bf16(x.data, w.data, None), self.shape()))
    }

    fn gradients(&self, operands: [&Tensor; 2], result: &Tensor, grad: &Tensor) -> Gradients<2> {
        self.linear_gradients(operands, &before(self.activation, result, &grad.contiguous()?)?)
    }
}

impl Op<3> for Map {
    const NAME: &'static str = "convolution with bias";

    fn run<T: Real>(&self, [x, w, b]: [Operand<'_, T>; 3]) -> Output<T> {
        Ok((self.full(x.data, w.data, Some(b.data)), self.shape()))
    }

    fn run_f32(&self, [x, w, b]: [Operand<'_, f32>; 3]) -> Output<f32> {
        Ok((self.of_f32(x.data, w.data, Some(b.data)), self.shape()))
    }

    fn run_bf16(&self, [x, w, b]: [Operand<'_, bf16>; 3]) -> Output<bf16> {
        Ok((self.of_bf16(x.data, w.data, Some(b.data)), self.shape()))
    }

    fn gradients(&self, [x, w, bias]: [&Tensor; 3], result: &Tensor, grad: &Tensor) -> Gradients<3> {
        let grad = &grad.contiguous()?;
        let (grad, d_bias) = if bias.track_op() {
            let (grad, sum) = before_with_sum(self.activation, result, grad)?;
            (grad, Some(sum))
        } else {
            (before(self.activation, result, grad)?, None)
        };
        let [d_x, d_w] = self.linear_gradients([x, w], &grad)?;
        Ok([d_x, d_w, d_bias])
    }
}

/// `input, output -> weight`.
#[derive(Clone, Copy)]
pub(super) struct WeightGrad {
    pub geometry: Geometry,
}

impl WeightGrad {
    fn shape(&self) -> Shape {
        self.geometry.weight_shape().into()
    }
}

impl Op<2> for WeightGrad {
    const NAME: &'static str = "gradient of a convolution's weight";

    fn run<T: Real>(&self, [x, g]: [Operand<'_, T>; 2]) -> Output<T> {
        Ok((weight_grad::weight_grad(&self.geometry, x.data, g.data), self.shape()))
    }

    fn run_f32(&self, operands: [Operand<'_, f32>; 2]) -> Output<f32> {
        let wanted = self.geometry.precision == Precision::Bf16;
        let [x, g] = operands;
        match Bf16::for_input(&self.geometry).filter(|_| wanted) {
            Some(kernel) => Ok((kernel.weight_grad(&self.geometry, x.data, g.data), self.shape())),
            None => self.run(operands),
        }
    }

    fn run_bf16(&self, [x, g]: [Operand<'_, bf16>; 2]) -> Output<bf16> {
        let values = match Bf16::for_input(&self.geometry) {
            Some(kernel) => kernel.weight_grad(&self.geometry, x.data, g.data),
            None => rounded(weight_grad::weight_grad(&self.geometry, &widened(x.data), &widened(g.data))),
        };
        Ok((values, self.shape()))
    }

    fn gradients(&self, [x, g]: [&Tensor; 2], _weight: &Tensor, grad: &Tensor) -> Gradients<2> {
        let grad = &grad.contiguous()?;
        let map = |transposed| Map::linear(self.geometry, transposed);
        Ok([wanted(x, || Ok(binary(g, grad, map(true))?))?, wanted(g, || Ok(binary(x, grad, map(false))?))?])
    }
}

/// The gradient before an activation that gave `result`.
fn before(activation: Activation, result: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if activation != Activation::Identity && grad.dtype() == DType::BF16 {
        let (result, grad) = (result.to_dtype(DType::F32)?, grad.to_dtype(DType::F32)?);
        return activation.gradient(&result, &grad)?.to_dtype(DType::BF16);
    }
    activation.gradient(result, grad)
}

/// The same with the gradient of the bias, from one pass over both tensors.
fn before_with_sum(activation: Activation, result: &Tensor, grad: &Tensor) -> Result<(Tensor, Tensor)> {
    if grad.dtype() == DType::BF16 && activation == Activation::Identity {
        let (_, sum) = activation.gradient_and_sum(result, &grad.to_dtype(DType::F32)?)?;
        return Ok((grad.clone(), sum.to_dtype(DType::BF16)?));
    }
    if grad.dtype() == DType::BF16 {
        let (result, grad) = (result.to_dtype(DType::F32)?, grad.to_dtype(DType::F32)?);
        let (grad, sum) = activation.gradient_and_sum(&result, &grad)?;
        return Ok((grad.to_dtype(DType::BF16)?, sum.to_dtype(DType::BF16)?));
    }
    activation.gradient_and_sum(result, grad)
}

fn widened(values: &[bf16]) -> Vec<f32> {
    values.iter().map(|v| v.to_f32()).collect()
}

fn rounded(values: Vec<f32>) -> Vec<bf16> {
    values.into_iter().map(Element::narrow).collect()
}
