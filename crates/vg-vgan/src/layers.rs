//! Layers with VGAN's sizes and initial weights.

use vg_core::Result;
use vg_core::nn::{BatchNorm, BatchNormConfig, Conv, ConvConfig, ConvTranspose, Init, ParamSource};

/// Epsilon of the batch norms in generators (official code).
pub(crate) const GENERATOR_EPS: f64 = 1e-5;
/// Epsilon of the batch norms in discriminators and in the conditional encoder (official code).
pub(crate) const DISCRIMINATOR_EPS: f64 = 1e-3;
/// Standard deviation of weights (paper and official code).
const WEIGHT_STD: f64 = 0.01;
/// Standard deviation of batch norm scales around 1 (official code).
const GAMMA_STD: f64 = 0.02;

/// Initial values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Initial {
    /// The paper's: normal weights, biases 0, scales around 1.
    Narrow,
    /// Torch7's defaults: uniform with bound `1 / sqrt(fan_in)`, scales 1.
    Torch,
}

impl Initial {
    /// Batch norm over axis 1.
    pub(crate) fn norm(self, source: &ParamSource, channels: usize, eps: f64) -> Result<BatchNorm> {
        let gamma_init = match self {
            Self::Narrow => Init::NormalAround { mean: 1.0, std: GAMMA_STD },
            Self::Torch => Init::Ones,
        };
        BatchNorm::new(channels, BatchNormConfig { eps, gamma_init, ..BatchNormConfig::default() }, source)
    }

    /// With a bias, as all convolutions of the official code have, also in front of batch norms.
    fn config<const D: usize>(self, kernel: [usize; D]) -> ConvConfig<D> {
        let config = ConvConfig { kernel, ..ConvConfig::new(1) };
        match self {
            Self::Narrow => config.init(Init::Normal { std: WEIGHT_STD }, Init::Zeros),
            Self::Torch => config,
        }
    }

    /// Convolution that halves every axis: kernel 4, stride 2, padding 1.
    pub(crate) fn halve<const D: usize>(
        self,
        source: &ParamSource,
        inputs: usize,
        outputs: usize,
    ) -> Result<Conv<D>> {
        Conv::new(inputs, outputs, self.config([4; D]).stride(2).padding(1), source)
    }

    /// Convolution of a whole map into one place.
    pub(crate) fn gather<const D: usize>(
        self,
        source: &ParamSource,
        inputs: usize,
        outputs: usize,
        map: [usize; D],
    ) -> Result<Conv<D>> {
        Conv::new(inputs, outputs, self.config(map), source)
    }

    /// Transposed convolution that doubles every axis: kernel 4, stride 2, padding 1.
    pub(crate) fn double<const D: usize>(
        self,
        source: &ParamSource,
        inputs: usize,
        outputs: usize,
    ) -> Result<ConvTranspose<D>> {
        ConvTranspose::new(inputs, outputs, self.config([4; D]).stride(2).padding(1), source)
    }

    /// Transposed convolution of every place into a whole map.
    pub(crate) fn spread<const D: usize>(
        self,
        source: &ParamSource,
        inputs: usize,
        outputs: usize,
        map: [usize; D],
    ) -> Result<ConvTranspose<D>> {
        ConvTranspose::new(inputs, outputs, self.config(map), source)
    }
}
