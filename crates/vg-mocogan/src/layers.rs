//! Layers with MoCoGAN's sizes and initial weights.

use vg_core::Result;
use vg_core::nn::{BatchNorm, BatchNormConfig, Conv, ConvConfig, ConvTranspose2d, Init, ParamSource};
use vg_core::ops::Activation;

use crate::config::WeightInit;

/// Slope of the leaky ReLUs of discriminators and encoder (official code).
pub(crate) const LEAKY: Activation = Activation::LeakyRelu(0.2);
/// Standard deviation of DCGAN's initial weights.
const DCGAN: f64 = 0.02;

/// Kernel 4 that halves height and width; a clip's time is neither strided nor padded and shrinks by 3. No bias.
pub(crate) fn halving<const D: usize>() -> ConvConfig<D> {
    let mut config = ConvConfig::new(4).stride(2).padding(1);
    if let [time, _, _] = &mut config.stride[..] {
        *time = 1;
    }
    if let [time, _, _] = &mut config.padding[..] {
        *time = 0;
    }
    config
}

/// A kernel that takes in a map of `side x side` whole, and 4 time steps of a clip. No bias.
pub(crate) fn whole<const D: usize>(side: usize) -> ConvConfig<D> {
    let mut config = ConvConfig::new(side);
    if let [time, _, _] = &mut config.kernel[..] {
        *time = 4;
    }
    config
}

impl WeightInit {
    /// A convolution without bias.
    pub(crate) fn conv<const D: usize>(
        self,
        source: &ParamSource,
        inputs: usize,
        outputs: usize,
        config: ConvConfig<D>,
    ) -> Result<Conv<D>> {
        let weight = match self {
            Self::Modern | Self::PyTorch02 => Init::KaimingUniform,
            Self::Dcgan => Init::Normal { std: DCGAN },
        };
        Conv::new(inputs, outputs, config.no_bias().init(weight, Init::Zeros), source)
    }

    /// A transposed convolution without bias.
    pub(crate) fn deconv(
        self,
        source: &ParamSource,
        inputs: usize,
        outputs: usize,
        config: ConvConfig<2>,
    ) -> Result<ConvTranspose2d> {
        let area: usize = config.kernel.iter().product();
        let weight = match self {
            // Divides by shape[1], the output channels.
            Self::Modern => Init::KaimingUniform,
            Self::PyTorch02 => Init::Uniform { bound: 1.0 / ((inputs * area) as f64).sqrt() },
            Self::Dcgan => Init::Normal { std: DCGAN },
        };
        ConvTranspose2d::new(inputs, outputs, config.no_bias().init(weight, Init::Zeros), source)
    }

    /// Batch norm over axis 1.
    pub(crate) fn norm(self, source: &ParamSource, channels: usize) -> Result<BatchNorm> {
        let gamma_init = match self {
            Self::Modern => Init::Ones,
            Self::PyTorch02 => Init::Between { low: 0.0, high: 1.0 },
            Self::Dcgan => Init::NormalAround { mean: 1.0, std: DCGAN },
        };
        BatchNorm::new(channels, BatchNormConfig { gamma_init, ..Default::default() }, source)
    }
}
