//! Separable linear maps along the spatial axes: what average pooling and upsampling have in common.
//!
//! Every output element is a weighted sum of a few input elements, each weight a product of one factor per axis. The adjoint of such a
//! map is another one, in which every element again collects what belongs to it: overlapping windows need no shared sums, and
//! derivatives of any order exist.

mod axis;
mod cpu;

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, WithDType};

pub(super) use self::axis::{AxisMap, Tap};
use super::real::{by_dtype, slice};
use crate::Result;
use crate::grad::apply1;

/// A map of the axes `[T, H, W]` of `[B, C, ...]` tensors; axes that a tensor lacks are mapped by the identity.
#[derive(Clone, Debug)]
pub(super) struct Resample(Arc<[AxisMap; 3]>);

impl Resample {
    pub(super) fn new(maps: [AxisMap; 3]) -> Self {
        Self(Arc::new(maps))
    }

    /// The mapped tensor; the sizes of its axes must be those of the map's input.
    pub(super) fn apply(self, x: &Tensor) -> Result<Tensor> {
        Ok(apply1(&x.contiguous()?, self)?)
    }

    fn transposed(&self) -> Self {
        Self::new([0, 1, 2].map(|axis| self.0[axis].transposed()))
    }

    fn shape(&self, input: &[usize]) -> Vec<usize> {
        let missing = 5 - input.len();
        input[..2].iter().copied().chain(self.0[missing..].iter().map(AxisMap::output)).collect()
    }
}

impl CustomOp1 for Resample {
    fn name(&self) -> &'static str {
        "resample"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s, "pooling or upsampling", T => {
            let planes = l.dims()[..2].iter().product();
            let y = cpu::resample(&self.0, planes, slice::<T>(s, l)?);
            Ok((T::to_cpu_storage_owned(y), Shape::from(self.shape(l.dims()))))
        })
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.transposed().apply(grad)?))
    }
}
