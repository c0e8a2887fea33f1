//! Layers with the initial weights of the public port.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{
    BatchNorm, BatchNormConfig, Conv2d, ConvConfig, ConvTranspose2d, Init, Linear, LinearConfig, Mode,
    ParamSource,
};
use vg_core::ops::Activation;

/// Standard deviation of the small initial weights of linear layers.
const SMALL: f64 = 0.001;

/// An affine map.
pub(crate) fn linear(source: &ParamSource, [inputs, outputs]: [usize; 2], small: bool) -> Result<Linear> {
    let config = if small {
        LinearConfig { bias: true, weight_init: Init::Normal { std: SMALL }, bias_init: Some(Init::Zeros) }
    } else {
        LinearConfig::default()
    };
    Linear::new(inputs, outputs, config, source)
}

/// Convolution without bias, batch norm, ReLU: layers `conv1` and `bn1`.
#[derive(Clone, Debug)]
pub(crate) struct DownBlock {
    conv: Conv2d,
    norm: BatchNorm,
}

impl DownBlock {
    pub(crate) fn new(
        source: &ParamSource,
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        stride: usize,
    ) -> Result<Self> {
        // Kaiming's, by the fan-out and for a ReLU.
        let std = (2.0 / (outputs * kernel * kernel) as f64).sqrt();
        let config = ConvConfig {
            weight_init: Init::Normal { std },
            ..ConvConfig::new(kernel).stride(stride).no_bias()
        };
        Ok(Self {
            conv: Conv2d::new(inputs, outputs, config, &source.pp("conv1"))?,
            norm: BatchNorm::new(outputs, BatchNormConfig::default(), &source.pp("bn1"))?,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.norm.forward_with(&self.conv.forward(x, mode)?, Activation::Relu, mode)
    }
}

/// Transposed convolution, batch norm, ReLU: layers `convt1` and `bn1`.
///
/// The bias has no effect but on the running mean: batch norm takes it away. It is there because the public port has it.
#[derive(Clone, Debug)]
pub(crate) struct UpBlock {
    conv: ConvTranspose2d,
    norm: BatchNorm,
}

impl UpBlock {
    pub(crate) fn new(source: &ParamSource, channels: [usize; 2], config: ConvConfig<2>) -> Result<Self> {
        let [inputs, outputs] = channels;
        Ok(Self {
            conv: ConvTranspose2d::new(inputs, outputs, config, &source.pp("convt1"))?,
            norm: BatchNorm::new(outputs, BatchNormConfig::default(), &source.pp("bn1"))?,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.norm.forward_with(&self.conv.forward(x, mode)?, Activation::Relu, mode)
    }
}
