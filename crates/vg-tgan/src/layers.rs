//! Layers with TGAN's sizes and initial weights.

use vg_core::Result;
use vg_core::nn::{
    BatchNorm, BatchNormConfig, Conv2d, Conv3d, ConvConfig, ConvTranspose1d, ConvTranspose2d,
    ConvTranspose3d, Init, Linear, LinearConfig, ParamSource,
};

use crate::config::{Config, WeightInit};

/// Epsilon of every batch norm (Chainer's default).
const NORM_EPS: f64 = 2e-5;
/// Weight of a new batch in the running statistics (Chainer's decay 0.9).
const NORM_MOMENTUM: f64 = 0.1;
/// Bound of the uniform initialisation (official configs, `wscale`).
const UNIFORM: f64 = 0.01;

/// Batch norm over axis 1, with or without a shift.
pub(crate) fn norm(source: &ParamSource, channels: usize, beta: bool, config: &Config) -> Result<BatchNorm> {
    let settings = BatchNormConfig {
        eps: NORM_EPS,
        momentum: NORM_MOMENTUM,
        beta,
        gamma_init: Init::Ones,
        initial_var: config.running_var_start,
    };
    BatchNorm::new(channels, settings, source)
}

impl WeightInit {
    /// Chainer's default divides by `shape[1] * kernel`: the inputs of a convolution, the *outputs* of a deconvolution.
    fn weight(self, second_axis: usize, kernel: usize) -> Init {
        match self {
            Self::Uniform => Init::Uniform { bound: UNIFORM },
            Self::Default => Init::Normal { std: 1.0 / ((second_axis * kernel) as f64).sqrt() },
        }
    }

    /// Kernel 4, stride 2, padding 1 on every axis: halves in a convolution, doubles in a deconvolution. Bias 0.
    fn resize<const D: usize>(self, second_axis: usize) -> ConvConfig<D> {
        let weight = self.weight(second_axis, 4usize.pow(D as u32));
        ConvConfig::new(4).stride(2).padding(1).init(weight, Init::Zeros)
    }

    /// Linear map without bias.
    pub(crate) fn linear(self, source: &ParamSource, inputs: usize, outputs: usize) -> Result<Linear> {
        let config = LinearConfig { bias: false, weight_init: self.weight(inputs, 1), bias_init: None };
        Linear::new(inputs, outputs, config, source)
    }

    /// Deconvolution of one time step into one (G0's first layer).
    pub(crate) fn point_deconv(
        self,
        source: &ParamSource,
        inputs: usize,
        outputs: usize,
    ) -> Result<ConvTranspose1d> {
        let config = ConvConfig::new(1).init(self.weight(outputs, 1), Init::Zeros);
        ConvTranspose1d::new(inputs, outputs, config, source)
    }

    /// Deconvolution that doubles the number of time steps.
    pub(crate) fn deconv1d(
        self,
        source: &ParamSource,
        inputs: usize,
        outputs: usize,
    ) -> Result<ConvTranspose1d> {
        ConvTranspose1d::new(inputs, outputs, self.resize(outputs), source)
    }

    /// Deconvolution that doubles height and width, without bias.
    pub(crate) fn deconv2d(
        self,
        source: &ParamSource,
        inputs: usize,
        outputs: usize,
    ) -> Result<ConvTranspose2d> {
        ConvTranspose2d::new(inputs, outputs, self.resize(outputs).no_bias(), source)
    }

    /// G1's last layer: kernel 3, stride 1, padding 1, with bias.
    pub(crate) fn image_deconv(
        self,
        source: &ParamSource,
        inputs: usize,
        outputs: usize,
    ) -> Result<ConvTranspose2d> {
        let config = ConvConfig::new(3).padding(1).init(self.weight(outputs, 9), Init::Zeros);
        ConvTranspose2d::new(inputs, outputs, config, source)
    }

    /// Deconvolution that doubles time, height and width.
    pub(crate) fn deconv3d(
        self,
        source: &ParamSource,
        inputs: usize,
        outputs: usize,
        bias: bool,
    ) -> Result<ConvTranspose3d> {
        let config = self.resize(outputs);
        ConvTranspose3d::new(inputs, outputs, if bias { config } else { config.no_bias() }, source)
    }

    /// Convolution that halves time, height and width.
    pub(crate) fn conv3d(self, source: &ParamSource, inputs: usize, outputs: usize) -> Result<Conv3d> {
        Conv3d::new(inputs, outputs, self.resize(inputs), source)
    }

    /// Convolution of a whole `side x side` map into one score.
    pub(crate) fn score(self, source: &ParamSource, inputs: usize, side: usize) -> Result<Conv2d> {
        let config = ConvConfig::new(side).init(self.weight(inputs, side * side), Init::Zeros);
        Conv2d::new(inputs, 1, config, source)
    }
}
