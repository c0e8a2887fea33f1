//! The layers that all networks share, under the indices of the official code's sequences.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::grad::recompute;
use vg_core::nn::{BatchNorm, BatchNormConfig, Conv2d, ConvConfig, ConvTranspose2d, Init, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::ops::gates::activated_sum;
use vg_core::ops::norm::instance_norm;
use vg_core::ops::pad::reflection_pad;
use vg_core::ops::pool::{PoolParams, avg_pool};

use crate::config;

/// Initial weights of all convolutions (official code, `weights_init`).
const WEIGHTS: Init = Init::Normal { std: 0.02 };
/// Settings of batch norms (official code: scales around 1).
const BATCH_NORM: BatchNormConfig = BatchNormConfig {
    eps: 1e-5,
    momentum: 0.1,
    beta: true,
    gamma_init: Init::NormalAround { mean: 1.0, std: 0.02 },
    initial_var: 1.0,
};
/// Added to variances of instance norms.
const INSTANCE_EPS: f64 = 1e-5;
/// Padding of the 7x7 convolutions at both ends of a network.
const WIDE: usize = 3;

/// How a network is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Statistics, gradients, and whether running statistics move.
    pub mode: Mode,
    /// Time steps among the rows, `[B * steps, ...]`, the steps of a clip side by side: norms see each for itself.
    pub steps: usize,
}

impl Run {
    /// One step with batch statistics, which move the running ones, and gradients for the weights.
    pub const TRAIN: Self = Self { mode: Mode::TRAIN, steps: 1 };
    /// One step with batch statistics and constant weights. The official code samples so too: running averages would fit no frame.
    pub const SAMPLE: Self = Self { mode: Mode::TRAIN.keep_running().frozen(), steps: 1 };

    /// With this number of steps.
    pub fn steps(self, steps: usize) -> Self {
        Self { steps, ..self }
    }

    /// With weights as constants.
    pub fn frozen(self) -> Self {
        Self { mode: self.mode.frozen(), ..self }
    }
}

#[derive(Clone, Debug)]
enum Norm {
    None,
    Batch(BatchNorm),
    Instance,
}

impl Norm {
    fn new(kind: config::Norm, channels: usize, source: &ParamSource) -> Result<Self> {
        Ok(match kind {
            config::Norm::Batch => Self::Batch(BatchNorm::new(channels, BATCH_NORM, source)?),
            config::Norm::Instance => Self::Instance,
        })
    }

    fn forward(&self, x: &Tensor, activation: Activation, run: Run) -> Result<Tensor> {
        match self {
            Self::None => activation.apply(x),
            Self::Batch(norm) => norm.forward_steps(x, run.steps, activation, run.mode),
            Self::Instance => instance_norm(x, None, None, INSTANCE_EPS, activation),
        }
    }
}

#[derive(Clone, Debug)]
enum Kernel {
    Plain(Conv2d),
    Transposed(ConvTranspose2d),
}

/// Reflection, convolution, norm, activation.
#[derive(Clone, Debug)]
struct Unit {
    reflection: usize,
    kernel: Kernel,
    norm: Norm,
    activation: Activation,
}

impl Unit {
    fn forward(&self, x: &Tensor, run: Run) -> Result<Tensor> {
        let padded = if self.reflection > 0 { reflection_pad(x, self.reflection)? } else { x.clone() };
        // A convolution takes the activation along where there is no norm in between.
        let fused = if matches!(self.norm, Norm::None) { self.activation } else { Activation::Identity };
        let y = match &self.kernel {
            Kernel::Plain(conv) => conv.forward_with(&padded, fused, run.mode)?,
            Kernel::Transposed(conv) => conv.forward_with(&padded, fused, run.mode)?,
        };
        if matches!(self.norm, Norm::None) { Ok(y) } else { self.norm.forward(&y, self.activation, run) }
    }
}

#[derive(Clone, Debug)]
enum Layer {
    Unit(Box<Unit>),
    /// `x + unit(unit(x))`.
    Residual(Box<[Unit; 2]>),
}

impl Layer {
    fn forward(&self, x: &Tensor, run: Run) -> Result<Tensor> {
        match self {
            Self::Unit(unit) => unit.forward(x, run),
            Self::Residual(units) => {
                let inner = units[1].forward(&units[0].forward(x, run)?, run)?;
                activated_sum(x, &inner, Activation::Identity)
            }
        }
    }
}

/// Layers one after the other; none: the identity.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    layers: Vec<Layer>,
    recompute: bool,
}

impl Sequence {
    pub(crate) fn forward(&self, x: &Tensor, run: Run) -> Result<Tensor> {
        let mut y = x.clone();
        for layer in &self.layers {
            y = match layer {
                Layer::Residual(_) if self.recompute => {
                    let layer = layer.clone();
                    let again = recompute([&y], run.mode, move |[x], mode| {
                        Ok([layer.forward(x, Run { mode, ..run })?])
                    });
                    let [y] = again?;
                    y
                }
                layer => layer.forward(&y, run)?,
            };
        }
        Ok(y)
    }
}

/// Makes a [`Sequence`], counting layers as the official code does: paddings, norms and activations have numbers of their own.
pub(crate) struct Builder<'a> {
    source: &'a ParamSource,
    norm: config::Norm,
    recompute: bool,
    next: usize,
    layers: Vec<Layer>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(source: &'a ParamSource, norm: config::Norm, recompute: bool) -> Self {
        Self { source, norm, recompute, next: 0, layers: Vec::new() }
    }

    pub(crate) fn finish(self) -> Sequence {
        Sequence { layers: self.layers, recompute: self.recompute }
    }

    /// 7x7 convolution, norm, ReLU.
    pub(crate) fn entry(mut self, inputs: usize, outputs: usize) -> Result<Self> {
        let conv = Conv2d::new(inputs, outputs, settings(7), &self.source.pp(self.next + 1))?;
        let norm = Norm::new(self.norm, outputs, &self.source.pp(self.next + 2))?;
        self.push(
            Unit { reflection: WIDE, kernel: Kernel::Plain(conv), norm, activation: Activation::Relu },
            4,
        );
        Ok(self)
    }

    /// 7x7 convolution and an activation.
    pub(crate) fn head(mut self, inputs: usize, outputs: usize, activation: Activation) -> Result<Self> {
        let conv = Conv2d::new(inputs, outputs, settings(7), &self.source.pp(self.next + 1))?;
        self.push(Unit { reflection: WIDE, kernel: Kernel::Plain(conv), norm: Norm::None, activation }, 3);
        Ok(self)
    }

    /// Halvings from `width` channels on, each of which doubles them.
    pub(crate) fn down(mut self, width: usize, times: usize) -> Result<Self> {
        for step in 0..times {
            let (inputs, outputs) = (width << step, width << (step + 1));
            let conv =
                Conv2d::new(inputs, outputs, settings(3).stride(2).padding(1), &self.source.pp(self.next))?;
            self.halved(Kernel::Plain(conv), outputs)?;
        }
        Ok(self)
    }

    /// Doublings of the size down to `width` channels.
    pub(crate) fn up(mut self, width: usize, times: usize) -> Result<Self> {
        for step in (0..times).rev() {
            let (inputs, outputs) = (width << (step + 1), width << step);
            let settings = ConvConfig {
                output_padding: [1; 2],
                // PyTorch takes the second axis of the weight for the fan, which is the outputs here.
                bias_init: Some(Init::BiasFor { fan_in: outputs * 9 }),
                ..settings(3).stride(2).padding(1)
            };
            let conv = ConvTranspose2d::new(inputs, outputs, settings, &self.source.pp(self.next))?;
            self.halved(Kernel::Transposed(conv), outputs)?;
        }
        Ok(self)
    }

    fn halved(&mut self, kernel: Kernel, outputs: usize) -> Result<()> {
        let norm = Norm::new(self.norm, outputs, &self.source.pp(self.next + 1))?;
        self.push(Unit { reflection: 0, kernel, norm, activation: Activation::Relu }, 3);
        Ok(())
    }

    /// Residual blocks.
    pub(crate) fn blocks(mut self, channels: usize, count: usize) -> Result<Self> {
        for _ in 0..count {
            let block = self.source.pp(self.next).pp("conv_block");
            let unit = |conv: usize, activation| -> Result<Unit> {
                let kernel = Kernel::Plain(Conv2d::new(channels, channels, settings(3), &block.pp(conv))?);
                let norm = Norm::new(self.norm, channels, &block.pp(conv + 1))?;
                Ok(Unit { reflection: 1, kernel, norm, activation })
            };
            let units = [unit(1, Activation::Relu)?, unit(5, Activation::Identity)?];
            self.layers.push(Layer::Residual(Box::new(units)));
            self.next += 1;
        }
        Ok(self)
    }

    fn push(&mut self, unit: Unit, numbers: usize) {
        self.layers.push(Layer::Unit(Box::new(unit)));
        self.next += numbers;
    }
}

fn settings(kernel: usize) -> ConvConfig<2> {
    ConvConfig { weight_init: WEIGHTS, ..ConvConfig::new(kernel) }
}

/// A 4x4 convolution of a discriminator with padding 2, leaky ReLU behind it and batch norm between them where asked for.
#[derive(Clone, Debug)]
pub(crate) struct Patch(Unit);

impl Patch {
    pub(crate) fn new(
        channels: [usize; 2],
        stride: usize,
        norm: bool,
        activation: Activation,
        source: &ParamSource,
    ) -> Result<Self> {
        let [inputs, outputs] = channels;
        let conv = Conv2d::new(inputs, outputs, settings(4).stride(stride).padding(2), &source.pp(0))?;
        let norm = if norm { Norm::new(config::Norm::Batch, outputs, &source.pp(1))? } else { Norm::None };
        Ok(Self(Unit { reflection: 0, kernel: Kernel::Plain(conv), norm, activation }))
    }

    pub(crate) fn forward(&self, x: &Tensor, run: Run) -> Result<Tensor> {
        self.0.forward(x, run)
    }
}

/// The next level of an image pyramid: means of 3x3 pixels at every second position; what lies outside does not count.
///
/// # Errors
/// [`vg_core::Error::Shape`] for another rank than `[N, C, H, W]`.
pub fn halve(x: &Tensor) -> Result<Tensor> {
    avg_pool(x, &PoolParams::uniform(3, 2).padding([1, 1]).count_include_pad(false))
}
