//! The linear layer.

use candle_core::Tensor;

use super::{Init, Mode, ParamSource};
use crate::Result;

/// Settings of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearConfig {
    /// Whether there is a bias.
    pub bias: bool,
    /// Initial weight.
    pub weight_init: Init,
    /// Initial bias; `None` is PyTorch's default, uniform with bound `sqrt(1 / in)`.
    pub bias_init: Option<Init>,
}

impl Default for LinearConfig {
    /// With bias and PyTorch's initial values.
    fn default() -> Self {
        Self { bias: true, weight_init: Init::KaimingUniform, bias_init: None }
    }
}

/// Affine map of the last axis; parameters `weight` `[out, in]` and `bias` `[out]`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// Makes the layer's parameters at `source`.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) when a name is taken.
    pub fn new(inputs: usize, outputs: usize, config: LinearConfig, source: &ParamSource) -> Result<Self> {
        let weight = source.var("weight", &[outputs, inputs], config.weight_init)?;
        let bias_init = config.bias_init.unwrap_or(Init::BiasFor { fan_in: inputs });
        let bias = config.bias.then(|| source.var("bias", &[outputs], bias_init)).transpose()?;
        Ok(Self { weight, bias })
    }

    /// `x W^T + b` for `x` `[..., in]`.
    ///
    /// # Errors
    /// As [`linear`](crate::ops::linear::linear).
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(|b| mode.weights.see(b));
        crate::ops::linear::linear(x, &mode.weights.see(&self.weight), bias.as_ref())
    }

    /// The weight.
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// The bias, if there is one.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }
}
