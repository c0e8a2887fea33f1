//! Blocks of a kernel, a batch norm and an activation, with the paper's sizes and initial weights.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{
    BatchNorm, BatchNormConfig, Conv2d, ConvConfig, ConvTranspose2d, Init, Linear, LinearConfig, Mode,
    ParamSource,
};
use vg_core::ops::Activation;

use crate::config::Backbone;

/// Either direction of a convolution.
#[derive(Clone, Debug)]
pub(crate) enum Kernel {
    Plain(Conv2d),
    Transposed(ConvTranspose2d),
}

impl Kernel {
    pub(crate) fn forward(&self, x: &Tensor, activation: Activation, mode: Mode) -> Result<Tensor> {
        match self {
            Self::Plain(conv) => conv.forward_with(x, activation, mode),
            Self::Transposed(conv) => conv.forward_with(x, activation, mode),
        }
    }

    /// What the first channels of the input contribute, with the bias.
    pub(crate) fn own(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        match self {
            Self::Plain(conv) => conv.forward_part(x, 0, true, mode),
            Self::Transposed(conv) => conv.forward_part(x, 0, true, mode),
        }
    }

    /// What the last channels of the input contribute.
    pub(crate) fn skip(&self, skip: &Tensor, mode: Mode) -> Result<Tensor> {
        let axis = usize::from(matches!(self, Self::Plain(_)));
        let first = self.weight().dim(axis)?.saturating_sub(skip.dim(1)?);
        match self {
            Self::Plain(conv) => conv.forward_part(skip, first, false, mode),
            Self::Transposed(conv) => conv.forward_part(skip, first, false, mode),
        }
    }

    fn weight(&self) -> &Tensor {
        match self {
            Self::Plain(conv) => conv.weight(),
            Self::Transposed(conv) => conv.weight(),
        }
    }
}

/// Convolution with bias, batch norm, activation.
///
/// The bias has no effect but on the running mean: batch norm takes it away. It is there because the official code has it.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    kernel: Kernel,
    norm: BatchNorm,
    activation: Activation,
}

impl Block {
    /// `steps` time steps at once, as [`BatchNorm::forward_steps`] takes them.
    pub(crate) fn forward(&self, x: &Tensor, steps: usize, mode: Mode) -> Result<Tensor> {
        self.finish(&self.kernel.forward(x, Activation::Identity, mode)?, steps, mode)
    }

    /// What comes behind the kernel.
    pub(crate) fn finish(&self, y: &Tensor, steps: usize, mode: Mode) -> Result<Tensor> {
        self.norm.forward_steps(y, steps, self.activation, mode)
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }
}

/// One block after the other.
pub(crate) fn chain(blocks: &[Block], x: &Tensor, steps: usize, mode: Mode) -> Result<Tensor> {
    blocks.iter().try_fold(x.clone(), |x, block| block.forward(&x, steps, mode))
}

/// Makes layers from `inputs` to `outputs` channels at `source`: the kernel is `0`, the batch norm `1` (names of the official code).
#[derive(Clone, Copy)]
pub(crate) struct Layers<'a>(pub(crate) &'a Backbone);

impl Layers<'_> {
    fn weights(self) -> Init {
        Init::Normal { std: self.0.init_std }
    }

    fn leaky(self) -> Activation {
        Activation::LeakyRelu(self.0.slope)
    }

    fn block(
        self,
        source: &ParamSource,
        kernel: Kernel,
        outputs: usize,
        activation: Activation,
    ) -> Result<Block> {
        let config = BatchNormConfig {
            eps: self.0.norm_eps,
            momentum: self.0.norm_momentum,
            gamma_init: Init::NormalAround { mean: 1.0, std: self.0.init_std },
            ..Default::default()
        };
        Ok(Block { kernel, norm: BatchNorm::new(outputs, config, &source.pp(1))?, activation })
    }

    fn plain(
        self,
        source: &ParamSource,
        [inputs, outputs]: [usize; 2],
        config: ConvConfig<2>,
        activation: Activation,
    ) -> Result<Block> {
        let config = config.init(self.weights(), Init::Zeros);
        let kernel = Kernel::Plain(Conv2d::new(inputs, outputs, config, &source.pp(0))?);
        self.block(source, kernel, outputs, activation)
    }

    fn transposed(self, source: &ParamSource, channels: [usize; 2], config: ConvConfig<2>) -> Result<Block> {
        let kernel = Kernel::Transposed(self.deconv(&source.pp(0), channels, config)?);
        self.block(source, kernel, channels[1], self.leaky())
    }

    /// Kernel 4 that halves height and width.
    pub(crate) fn halving(self, source: &ParamSource, channels: [usize; 2]) -> Result<Block> {
        self.plain(source, channels, HALVING, self.leaky())
    }

    /// Transposed kernel 4 that doubles height and width.
    pub(crate) fn doubling(self, source: &ParamSource, channels: [usize; 2]) -> Result<Block> {
        self.transposed(source, channels, HALVING)
    }

    /// Kernel 3 that keeps height and width.
    pub(crate) fn same(self, source: &ParamSource, channels: [usize; 2]) -> Result<Block> {
        self.plain(source, channels, SAME, self.leaky())
    }

    /// A 4x4 map to a vector in (-1, 1).
    pub(crate) fn map_to_vector(self, source: &ParamSource, channels: [usize; 2]) -> Result<Block> {
        self.plain(source, channels, ConvConfig::new(4), Activation::Tanh)
    }

    /// A vector to a 4x4 map.
    pub(crate) fn vector_to_map(self, source: &ParamSource, channels: [usize; 2]) -> Result<Block> {
        self.transposed(source, channels, ConvConfig::new(4))
    }

    /// A transposed convolution alone.
    pub(crate) fn deconv(
        self,
        source: &ParamSource,
        [inputs, outputs]: [usize; 2],
        config: ConvConfig<2>,
    ) -> Result<ConvTranspose2d> {
        ConvTranspose2d::new(inputs, outputs, config.init(self.weights(), Init::Zeros), source)
    }

    /// An affine map.
    pub(crate) fn linear(self, source: &ParamSource, [inputs, outputs]: [usize; 2]) -> Result<Linear> {
        let config = LinearConfig { weight_init: self.weights(), bias_init: Some(Init::Zeros), bias: true };
        Linear::new(inputs, outputs, config, source)
    }
}

/// Kernel 4, stride 2, padding 1.
pub(crate) const HALVING: ConvConfig<2> = ConvConfig::new(4).stride(2).padding(1);
/// Kernel 3, padding 1.
pub(crate) const SAME: ConvConfig<2> = ConvConfig::new(3).padding(1);
