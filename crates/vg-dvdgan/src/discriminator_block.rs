//! A residual block of the discriminators and of the stack for given frames.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Mode, ParamSource, SpectralConv};
use vg_core::ops::Activation;
use vg_core::ops::pool::{PoolParams, avg_pool};

use crate::config::Config;
use crate::layers::{conv, pass, sum};

/// `pool(conv2(relu(conv1(relu(x))))) + pool(conv_sc(x))`, over frames (`D` = 2) or volumes (`D` = 3); means of windows of two on every
/// axis. The first block of a network has no leading ReLU; a block that does not halve has no pool, and the identity in place of `conv_sc`
/// where the widths are equal.
///
/// Source: paper, figure of the discriminator's block; BigGAN.
#[derive(Clone, Debug)]
pub(crate) struct DiscriminatorBlock<const D: usize> {
    conv1: SpectralConv<D>,
    conv2: SpectralConv<D>,
    conv_sc: Option<SpectralConv<D>>,
    first: bool,
    halves: bool,
    recompute: bool,
}

impl<const D: usize> DiscriminatorBlock<D> {
    pub(crate) fn new(
        [inputs, outputs]: [usize; 2],
        first: bool,
        halves: bool,
        config: &Config,
        source: &ParamSource,
    ) -> Result<Self> {
        let project = || conv(inputs, outputs, 1, config, &source.pp("conv_sc"));
        Ok(Self {
            conv1: conv(inputs, outputs, 3, config, &source.pp("conv1"))?,
            conv2: conv(outputs, outputs, 3, config, &source.pp("conv2"))?,
            conv_sc: (halves || inputs != outputs).then(project).transpose()?,
            first,
            halves,
            recompute: config.train.recompute,
        })
    }

    /// `[N, C, *S]` to `[N, C', *(S / 2)]`, sizes rounded down.
    pub(crate) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let block = self.clone();
        pass(self.recompute, x, mode, move |x, mode| block.run(x, mode))
    }

    fn run(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let h = if self.first { x.clone() } else { Activation::Relu.apply(x)? };
        let h = self.conv1.forward_with(&h, Activation::Relu, mode)?;
        // Means and convolutions in one; a 1x1 convolution and means can change places.
        let (h, skip) = if self.halves {
            (self.conv2.forward_halved(&h, mode)?, avg_pool(x, &PoolParams::uniform(2, 2))?)
        } else {
            (self.conv2.forward(&h, mode)?, x.clone())
        };
        match &self.conv_sc {
            Some(conv) => sum(&h, &conv.forward(&skip, mode)?),
            None => sum(&h, &skip),
        }
    }
}
