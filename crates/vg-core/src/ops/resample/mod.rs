//! Separable linear maps along the spatial axes: what average pooling and upsampling have in common.
//!
//! Every output element is a weighted sum of a few input elements, each weight a product of one factor per axis. The adjoint of such a
//! map is another one, in which every element again collects what belongs to it: overlapping windows need no shared sums, and
//! derivatives of any order exist.

mod axis;
mod cpu;

use std::sync::Arc;

use candle_core::{Shape, Tensor};

pub(super) use self::axis::{AxisMap, Tap};
use super::op::{Gradients, Op, Operand, Output, unary};
use super::real::Real;
use crate::Result;

/// A map of the axes `[T, H, W]` of `[B, C, ...]` tensors; axes that a tensor lacks are mapped by the identity.
#[derive(Clone, Debug)]
pub(super) struct Resample(Arc<[AxisMap; 3]>);

impl Resample {
    pub(super) fn new(maps: [AxisMap; 3]) -> Self {
        Self(Arc::new(maps))
    }

    /// The mapped tensor; the sizes of its axes must be those of the map's input.
    pub(super) fn apply(self, x: &Tensor) -> Result<Tensor> {
        Ok(unary(x, self)?)
    }

    fn transposed(&self) -> Self {
        Self::new([0, 1, 2].map(|axis| self.0[axis].transposed()))
    }

    fn shape(&self, input: &[usize]) -> Vec<usize> {
        let missing = 5 - input.len();
        input[..2].iter().copied().chain(self.0[missing..].iter().map(AxisMap::output)).collect()
    }
}

impl Op<1> for Resample {
    const NAME: &'static str = "resample";

    fn run<T: Real>(&self, [x]: [Operand<'_, T>; 1]) -> Output<T> {
        let planes = x.dims()[..2].iter().product();
        let y = cpu::resample(&self.0, planes, x.data);
        Ok((y, Shape::from(self.shape(x.dims()))))
    }

    fn gradients(&self, [_x]: [&Tensor; 1], _y: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(self.transposed().apply(grad)?)])
    }
}
