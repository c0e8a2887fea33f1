//! The three operations as nodes of candle's graph.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use super::super::Activation;
use super::super::real::{Real, by_dtype, slice};
use super::geometry::Geometry;
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

    fn run<T: Real>(&self, input: &[T], weight: &[T], bias: Option<&[T]>) -> (CpuStorage, Shape) {
        let finish = apply::Finish { bias, activation: self.activation };
        let out = apply::forward(&self.geometry, input, weight, finish);
        (T::to_cpu_storage_owned(out), self.geometry.output_shape().into())
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

    fn run<T: Real>(&self, input: &[T], weight: &[T], bias: Option<&[T]>) -> (CpuStorage, Shape) {
        let finish = apply::Finish { bias, activation: self.activation };
        let out = apply::backward(&self.geometry, input, weight, finish);
        (T::to_cpu_storage_owned(out), self.geometry.input_shape().into())
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

macro_rules! fused {
    ($op:ident, $name:literal) => {
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
                by_dtype!(s1, $name, T => Ok(self.run::<T>(slice(s1, l1)?, slice(s2, l2)?, None)))
            }

            fn bwd(
                &self,
                input: &Tensor,
                weight: &Tensor,
                out: &Tensor,
                grad: &Tensor,
            ) -> Result<(Option<Tensor>, Option<Tensor>)> {
                let grad = self.activation.gradient(out, grad)?.contiguous()?;
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
                by_dtype!(s1, $name, T => {
                    Ok(self.run::<T>(slice(s1, l1)?, slice(s2, l2)?, Some(slice(s3, l3)?)))
                })
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
                        let (grad, sum) = self.activation.gradient_and_sum(out, grad)?;
                        (grad, Some(sum))
                    }
                    false => (self.activation.gradient(out, grad)?, None),
                };
                let (d_input, d_weight) = self.gradients(input, weight, &grad.contiguous()?)?;
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
        by_dtype!(s1, "conv_weight_grad", T => {
            let out = weight_grad::weight_grad::<T>(&self.geometry, slice(s1, l1)?, slice(s2, l2)?);
            Ok((T::to_cpu_storage_owned(out), self.geometry.weight_shape().into()))
        })
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
