//! A residual block of the generator.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{FrameNorm, ParamSource, SpectralConv};
use vg_core::ops::Activation;
use vg_core::ops::upsample::{Interpolation, upsample_by};

use crate::config::{Config, Upsampling};
use crate::layers::{Run, conv, frame_norm, sum};

/// `conv2(relu(bn2(conv1(up(relu(bn1(x))))))) + conv_sc(up(x))`, in block A without `up` and with the identity in place of `conv_sc`.
///
/// Source: paper, figure of the generator's block; the order is BigGAN's.
#[derive(Clone, Debug)]
pub(crate) struct GeneratorBlock {
    bn1: FrameNorm,
    conv1: SpectralConv<2>,
    bn2: FrameNorm,
    conv2: SpectralConv<2>,
    conv_sc: Option<SpectralConv<2>>,
    upsampling: Option<Interpolation>,
}

impl GeneratorBlock {
    pub(crate) fn new(
        inputs: usize,
        outputs: usize,
        doubles: bool,
        config: &Config,
        source: &ParamSource,
    ) -> Result<Self> {
        let norm = |name: &str, channels| frame_norm(channels, config.condition(), config, &source.pp(name));
        let projects = doubles || inputs != outputs || config.generator.always_project_skip;
        let project = || conv(inputs, outputs, 1, config, &source.pp("conv_sc"));
        let interpolation = match config.generator.upsampling {
            Upsampling::Bilinear => Interpolation::Linear { align_corners: false },
            Upsampling::Nearest => Interpolation::Nearest,
        };
        Ok(Self {
            bn1: norm("bn1", inputs)?,
            conv1: conv(inputs, outputs, 3, config, &source.pp("conv1"))?,
            bn2: norm("bn2", outputs)?,
            conv2: conv(outputs, outputs, 3, config, &source.pp("conv2"))?,
            conv_sc: projects.then(project).transpose()?,
            upsampling: doubles.then_some(interpolation),
        })
    }

    /// Rows of frames `[B * T, C, H, W]`; `condition` `[B, noise + embedding]`.
    pub(crate) fn forward(&self, x: &Tensor, condition: &Tensor, run: Run) -> Result<Tensor> {
        let Run { mode, share } = run;
        let h = self.bn1.forward(x, condition, Activation::Relu, mode, share)?;
        let h = self.conv1.forward(&self.up(&h)?, mode)?;
        let h = self.bn2.forward(&h, condition, Activation::Relu, mode, share)?;
        let h = self.conv2.forward(&h, mode)?;
        // A 1x1 convolution with its bias and an interpolation can change places: weights of an interpolation add up to 1.
        let skip = match &self.conv_sc {
            Some(conv) => self.up(&conv.forward(x, mode)?)?,
            None => x.clone(),
        };
        sum(&h, &skip)
    }

    fn up(&self, x: &Tensor) -> Result<Tensor> {
        match self.upsampling {
            Some(interpolation) => upsample_by(x, &[2, 2], interpolation),
            None => Ok(x.clone()),
        }
    }
}
