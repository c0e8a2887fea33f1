//! Fully connected layers.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::ops::{Activation, linear::linear};

use super::loader::Loader;

/// A fully connected layer with bias.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// `NAME.weight` and `NAME.bias`.
    pub(crate) fn load(loader: &mut Loader<'_>, name: &str, shape: [usize; 2]) -> Result<Self> {
        let weight = loader.tensor(&format!("{name}.weight"), &shape)?;
        let bias = loader.tensor(&format!("{name}.bias"), &shape[..1])?;
        Ok(Self { weight, bias })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, Some(&self.bias))
    }

    pub(crate) fn relu(&self, x: &Tensor) -> Result<Tensor> {
        Activation::Relu.apply(&self.forward(x)?)
    }

    pub(crate) fn without_bias(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, None)
    }
}
