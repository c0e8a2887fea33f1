//! The sum of two tensors behind an activation.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, WithDType};

use super::super::activation::{Activation, leaky};
use super::super::real::{Real, by_dtype, slice};
use super::super::threads::map2;
use crate::grad::apply2;

/// `x, y -> activation(x + y)`.
pub(super) struct Sum(Activation);

impl Sum {
    pub(super) fn of(x: &Tensor, y: &Tensor, activation: Activation) -> Result<Tensor> {
        apply2(&x.contiguous()?, &y.contiguous()?, Self(activation))
    }
}

impl CustomOp2 for Sum {
    fn name(&self) -> &'static str {
        "activated sum"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "activated sum", T => {
            let (x, y) = (slice::<T>(s1, l1)?, slice::<T>(s2, l2)?);
            let sum = match self.0 {
                Activation::Identity => map2(x, y, |x, y| x + y),
                Activation::Relu => map2(x, y, |x, y| leaky(x + y, T::nil())),
                Activation::LeakyRelu(slope) => {
                    let slope = T::of(slope);
                    map2(x, y, move |x, y| leaky(x + y, slope))
                }
                Activation::Tanh => map2(x, y, |x, y| (x + y).tanh()),
                Activation::Sigmoid => map2(x, y, |x, y| (x + y).sigmoid()),
            };
            Ok((T::to_cpu_storage_owned(sum), l1.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        sum: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let both = self.0.gradient(sum, grad)?;
        Ok((x.track_op().then(|| both.clone()), y.track_op().then_some(both)))
    }
}
