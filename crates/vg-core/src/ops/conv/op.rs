//! The three operations as nodes of candle's graph.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, WithDType};
use half::bf16;

use super::super::Activation;
use super::super::real::{Real, by_dtype, slice};
use super::bf16::{Bf16, Element};
use super::geometry::{Geometry, Precision};
use super::{apply, weight_grad};
use crate::grad::apply2;

/// `input, weight (, bias) -> output`.
#[derive(Clone, Copy)]
pub(super) struct Forward {
    pub geometry: Geometry,
    pub activation: Activation,
}

/// `output, weight (, bias) -> input`: the transposed convolution.
#[derive(Clone, Copy)]
pub(super) struct Backward {
    pub geometry: Geometry,
    pub activation: Activation,
}

/// `input, output -> weight`.
#[derive(Clone, Copy)]
pub(super) struct WeightGrad {
    pub geometry: Geometry,
}

impl Forward {
    fn linear(geometry: Geometry) -> Self {
        Self { geometry, activation: Activation::Identity }
    }

    fn run<T: Real>(&self, input: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
        apply::forward(&self.geometry, input, weight, apply::Finish { bias, activation: self.activation })
    }

    fn run_bf16<S: Element>(&self, kernel: Bf16, input: &[S], weight: &[S], bias: Option<&[f32]>) -> Vec<S> {
        let finish = apply::Finish { bias, activation: self.activation };
        kernel.forward(&self.geometry, input, weight, finish)
    }

    /// Where products in bf16 are faster than in f32.
    fn bf16(&self) -> Option<Bf16> {
        Bf16::for_input(&self.geometry)
    }

    fn result_shape(&self) -> Shape {
        self.geometry.output_shape().into()
    }

    fn gradients(
        &self,
        input: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let geometry = self.geometry;
        let d_input = wanted(input, || apply2(grad, &weight.contiguous()?, Backward::linear(geometry)))?;
        let d_weight = wanted(weight, || apply2(&input.contiguous()?, grad, WeightGrad { geometry }))?;
        Ok((d_input, d_weight))
    }
}

impl Backward {
    fn linear(geometry: Geometry) -> Self {
        Self { geometry, activation: Activation::Identity }
    }

    fn run<T: Real>(&self, input: &[T], weight: &[T], bias: Option<&[T]>) -> Vec<T> {
        apply::backward(&self.geometry, input, weight, apply::Finish { bias, activation: self.activation })
    }

    fn run_bf16<S: Element>(&self, kernel: Bf16, input: &[S], weight: &[S], bias: Option<&[f32]>) -> Vec<S> {
        let finish = apply::Finish { bias, activation: self.activation };
        kernel.backward(&self.geometry, input, weight, finish)
    }

    /// Where products in bf16 are faster than in f32.
    fn bf16(&self) -> Option<Bf16> {
        Bf16::for_output(&self.geometry)
    }

    fn result_shape(&self) -> Shape {
        self.geometry.input_shape().into()
    }

    fn gradients(
        &self,
        input: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let geometry = self.geometry;
        let d_input = wanted(input, || apply2(grad, &weight.contiguous()?, Forward::linear(geometry)))?;
        let d_weight = wanted(weight, || apply2(grad, &input.contiguous()?, WeightGrad { geometry }))?;
        Ok((d_input, d_weight))
    }
}

/// A gradient for arguments that are part of the graph; constants get none.
fn wanted(arg: &Tensor, gradient: impl FnOnce() -> Result<Tensor>) -> Result<Option<Tensor>> {
    if arg.track_op() { gradient().map(Some) } else { Ok(None) }
}

/// The gradient before an activation that gave `out`.
fn before_activation(activation: Activation, out: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if activation != Activation::Identity && grad.dtype() == DType::BF16 {
        let (out, grad) = (out.to_dtype(DType::F32)?, grad.to_dtype(DType::F32)?);
        return activation.gradient(&out, &grad)?.to_dtype(DType::BF16)?.contiguous();
    }
    activation.gradient(out, grad)?.contiguous()
}

/// The same with the gradient of the bias, from one pass over both tensors.
fn before_activation_and_bias(
    activation: Activation,
    out: &Tensor,
    grad: &Tensor,
) -> Result<(Tensor, Tensor)> {
    if grad.dtype() == DType::BF16 {
        let (out, grad) = (out.to_dtype(DType::F32)?, grad.to_dtype(DType::F32)?);
        let (grad, sum) = activation.gradient_and_sum(&out, &grad)?;
        return Ok((grad.to_dtype(DType::BF16)?.contiguous()?, sum.to_dtype(DType::BF16)?));
    }
    let (grad, sum) = activation.gradient_and_sum(out, grad)?;
    Ok((grad.contiguous()?, sum))
}

type Operand<'a> = (&'a CpuStorage, &'a Layout);

/// Whether f32 operands are to be multiplied in bf16, where that is faster.
fn narrowed(geometry: &Geometry) -> bool {
    geometry.precision == Precision::Bf16
}

fn widened(values: &[bf16]) -> Vec<f32> {
    values.iter().map(|v| v.to_f32()).collect()
}

fn rounded(values: Vec<f32>) -> Vec<bf16> {
    values.into_iter().map(Element::narrow).collect()
}

macro_rules! fused {
    ($op:ident, $name:literal) => {
        impl $op {
            fn cpu(&self, input: Operand<'_>, weight: Operand<'_>, bias: Option<Operand<'_>>) -> Result<(CpuStorage, Shape)> {
                let out = match (input.0, self.bf16().filter(|_| narrowed(&self.geometry))) {
                    (CpuStorage::BF16(_), _) => self.of_bf16(input, weight, bias)?,
                    (CpuStorage::F32(_), Some(kernel)) => {
                        let bias = bias.map(|(s, l)| slice(s, l)).transpose()?;
                        let out = self.run_bf16::<f32>(kernel, slice(input.0, input.1)?, slice(weight.0, weight.1)?, bias);
                        CpuStorage::F32(out)
                    }
                    _ => by_dtype!(input.0, $name, T => {
                        let bias = bias.map(|(s, l)| slice(s, l)).transpose()?;
                        let out = self.run::<T>(slice(input.0, input.1)?, slice(weight.0, weight.1)?, bias);
                        Ok(T::to_cpu_storage_owned(out))
                    })?,
                };
                Ok((out, self.result_shape()))
            }

            /// The products of bf16 numbers are exact in f32, so that converting changes no more than the order of additions.
            fn of_bf16(&self, input: Operand<'_>, weight: Operand<'_>, bias: Option<Operand<'_>>) -> Result<CpuStorage> {
                let bias = bias.map(|(s, l)| Ok::<_, candle_core::Error>(widened(slice(s, l)?))).transpose()?;
                let (input, weight) = (slice::<bf16>(input.0, input.1)?, slice::<bf16>(weight.0, weight.1)?);
                Ok(CpuStorage::BF16(match self.bf16() {
                    Some(kernel) => self.run_bf16(kernel, input, weight, bias.as_deref()),
                    None => rounded(self.run::<f32>(&widened(input), &widened(weight), bias.as_deref())),
                }))
            }
        }

        impl CustomOp2 for $op {
            fn name(&self) -> &'static str {
                $name
            }

            fn cpu_fwd(
                &self,
                s1: &CpuStorage,
                l1: &Layout,
                s2: &CpuStorage,
                l2: &Layout,
            ) -> Result<(CpuStorage, Shape)> {
                self.cpu((s1, l1), (s2, l2), None)
            }

            fn bwd(
                &self,
                input: &Tensor,
                weight: &Tensor,
                out: &Tensor,
                grad: &Tensor,
            ) -> Result<(Option<Tensor>, Option<Tensor>)> {
                let grad = before_activation(self.activation, out, grad)?;
                self.gradients(input, weight, &grad)
            }
        }

        impl CustomOp3 for $op {
            fn name(&self) -> &'static str {
                $name
            }

            fn cpu_fwd(
                &self,
                s1: &CpuStorage,
                l1: &Layout,
                s2: &CpuStorage,
                l2: &Layout,
                s3: &CpuStorage,
                l3: &Layout,
            ) -> Result<(CpuStorage, Shape)> {
                self.cpu((s1, l1), (s2, l2), Some((s3, l3)))
            }

            fn bwd(
                &self,
                input: &Tensor,
                weight: &Tensor,
                bias: &Tensor,
                out: &Tensor,
                grad: &Tensor,
            ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
                let (grad, d_bias) = match bias.track_op() {
                    true => {
                        let (grad, sum) = before_activation_and_bias(self.activation, out, grad)?;
                        (grad, Some(sum))
                    }
                    false => (before_activation(self.activation, out, grad)?, None),
                };
                let (d_input, d_weight) = self.gradients(input, weight, &grad)?;
                Ok((d_input, d_weight, d_bias))
            }
        }
    };
}
fused!(Forward, "conv");
fused!(Backward, "conv_transpose");

impl CustomOp2 for WeightGrad {
    fn name(&self) -> &'static str {
        "conv_weight_grad"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let g = &self.geometry;
        let kernel = Bf16::for_input(g);
        let out = match (s1, kernel.filter(|_| narrowed(g))) {
            (CpuStorage::BF16(_), _) => {
                let (input, grad) = (slice::<bf16>(s1, l1)?, slice::<bf16>(s2, l2)?);
                CpuStorage::BF16(match kernel {
                    Some(kernel) => kernel.weight_grad(g, input, grad),
                    None => rounded(weight_grad::weight_grad(g, &widened(input), &widened(grad))),
                })
            }
            (CpuStorage::F32(_), Some(kernel)) => {
                CpuStorage::F32(kernel.weight_grad::<f32>(g, slice(s1, l1)?, slice(s2, l2)?))
            }
            _ => by_dtype!(s1, "conv_weight_grad", T => {
                Ok(T::to_cpu_storage_owned(weight_grad::weight_grad::<T>(g, slice(s1, l1)?, slice(s2, l2)?)))
            })?,
        };
        Ok((out, g.weight_shape().into()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        output: &Tensor,
        _weight: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (geometry, grad) = (self.geometry, grad.contiguous()?);
        let d_input = wanted(input, || apply2(&output.contiguous()?, &grad, Backward::linear(geometry)))?;
        let d_output = wanted(output, || apply2(&input.contiguous()?, &grad, Forward::linear(geometry)))?;
        Ok((d_input, d_output))
    }
}
