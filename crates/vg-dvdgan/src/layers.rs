//! How networks are run, and the layers that all of them share.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::grad::recompute;
use vg_core::nn::{
    ConvConfig, ConvGru2dCell, ConvGruConfig, FrameNorm, FrameNormConfig, Init, LinearConfig, Mode,
    ParamSource, SpectralConv, SpectralNorm,
};
use vg_core::ops::Activation;
use vg_core::train::Part;

use crate::config::Config;

/// Initial weights: orthogonal (paper).
pub(crate) const WEIGHTS: Init = Init::Orthogonal { gain: 1.0 };
/// Settings of linear layers: biases start at zero.
pub(crate) const LINEAR: LinearConfig =
    LinearConfig { bias: true, weight_init: WEIGHTS, bias_init: Some(Init::Zeros) };

/// How the generator is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Statistics, gradients, and whether power iterations and running statistics move.
    pub mode: Mode,
    /// Share of a batch in running statistics that move.
    pub share: f64,
}

impl Run {
    /// A pass of training: `norm.momentum` is the share.
    pub fn train(config: &Config) -> Self {
        Self { mode: Mode::TRAIN, share: config.norm.momentum }
    }

    /// With stored statistics; nothing moves.
    pub fn eval() -> Self {
        Self { mode: Mode::EVAL, share: 0.0 }
    }

    /// The pass of some clips of an update: parts but the first are [`Mode::again`].
    pub(crate) fn part(self, part: Part) -> Self {
        if part.start > 0 { Self { mode: self.mode.again(), ..self } } else { self }
    }

    /// With weights as constants.
    pub fn frozen(self) -> Self {
        Self { mode: self.mode.frozen(), ..self }
    }
}

/// A convolution that keeps the size, with kernels of `kernel` (odd) on each axis.
pub(crate) fn conv<const D: usize>(
    inputs: usize,
    outputs: usize,
    kernel: usize,
    config: &Config,
    source: &ParamSource,
) -> Result<SpectralConv<D>> {
    let settings = ConvConfig::new(kernel).padding(kernel / 2).init(WEIGHTS, Init::Zeros);
    SpectralConv::new(inputs, outputs, settings, config.norm.spectral_eps, source)
}

/// A norm with statistics a frame; the condition is noise and class, or nothing for a plain one.
pub(crate) fn frame_norm(
    channels: usize,
    condition: usize,
    config: &Config,
    source: &ParamSource,
) -> Result<FrameNorm> {
    let settings = FrameNormConfig {
        frames: config.generated(),
        condition,
        eps: config.norm.eps,
        weight_init: WEIGHTS,
        spectral_eps: config.norm.spectral_eps,
    };
    FrameNorm::new(channels, &settings, source)
}

/// A ConvGRU whose three weights have spectral norms of their own.
#[derive(Clone, Debug)]
pub(crate) struct SpectralGru {
    cell: ConvGru2dCell,
    norms: [SpectralNorm; 3],
}

impl SpectralGru {
    pub(crate) fn new(channels: usize, config: &Config, source: &ParamSource) -> Result<Self> {
        let settings =
            ConvGruConfig { weight_init: WEIGHTS, bias_init: Some(Init::Zeros), ..ConvGruConfig::default() };
        let norm = |name: &str| SpectralNorm::new(channels, config.norm.spectral_eps, &source.pp(name));
        Ok(Self {
            cell: ConvGru2dCell::new(channels, channels, settings, source)?,
            norms: [norm("read")?, norm("update")?, norm("out")?],
        })
    }

    /// States of all steps, step by step, `[steps * B, C, H, W]`; `x` likewise, or with `same` the input of every step. Weights are divided
    /// once for all steps.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        steps: usize,
        same: bool,
        state: Option<&Tensor>,
        mode: Mode,
    ) -> Result<Tensor> {
        let [read, update, out] = self.cell.raw_weights();
        let divided = [
            self.norms[0].divide(read, mode)?,
            self.norms[1].divide(update, mode)?,
            self.norms[2].divide(out, mode)?,
        ];
        self.cell.weights_from(&divided, mode)?.run(x, steps, same, state)
    }
}

/// A block's pass over `x`; with `again` it is [run again](recompute) for its gradients.
pub(crate) fn pass(
    again: bool,
    x: &Tensor,
    mode: Mode,
    block: impl Fn(&Tensor, Mode) -> Result<Tensor> + 'static,
) -> Result<Tensor> {
    if !again {
        return block(x, mode);
    }
    let [y] = recompute([x], mode, move |[x], mode| Ok([block(x, mode)?]))?;
    Ok(y)
}

/// `x + y` in one recorded operation.
pub(crate) fn sum(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    vg_core::ops::gates::activated_sum(x, y, Activation::Identity)
}
