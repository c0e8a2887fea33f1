//! The discriminator, whose layers also classify actions and encode clips.

use candle_core::Tensor;
use vg_core::nn::{BatchNorm, Conv3d, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::{ClipSpec, Result, expect_dims};

use crate::config::{CHANNELS, Config};
use crate::layers::{DISCRIMINATOR_EPS, Initial};

/// Slope of the leaky ReLU (paper and official code).
const SLOPE: f64 = 0.2;
/// Logits of a discriminator: real and fake.
pub(crate) const VERDICTS: usize = 2;

/// Clips `[B, 3, T, H, W]` -> `[B, outputs]`, unbounded.
///
/// Source: paper, section 3.2; official `main.lua`, `netD`. The first layer has no batch norm. A discriminator's two outputs are logits
/// of the classes real and fake, in this order.
#[derive(Clone, Debug)]
pub struct Discriminator {
    convs: Vec<Conv3d>,
    norms: Vec<BatchNorm>,
    last: Conv3d,
    clip: ClipSpec,
}

impl Discriminator {
    /// The discriminator over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        Self::with(source, config, VERDICTS, Initial::Narrow, Initial::Narrow)
    }

    /// The same layers with another number of outputs, and initial values for all layers but the last, and for the last.
    pub(crate) fn with(
        source: &ParamSource,
        config: &Config,
        outputs: usize,
        initial: Initial,
        last: Initial,
    ) -> Result<Self> {
        let n = config.discriminator.channels;
        let mut convs = Vec::with_capacity(4);
        let mut norms = Vec::with_capacity(3);
        let mut width = CHANNELS;
        for k in 0..4 {
            convs.push(initial.halve(&source.pp(format!("conv{}", k + 1)), width, n << k)?);
            width = n << k;
            if k > 0 {
                norms.push(initial.norm(&source.pp(format!("bn{}", k + 1)), width, DISCRIMINATOR_EPS)?);
            }
        }
        let last = last.gather(&source.pp("conv5"), width, outputs, config.base())?;
        Ok(Self { convs, norms, last, clip: config.clip_spec() })
    }

    /// Outputs `[B, outputs]` of clips.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when the clips are not of the configured size.
    pub fn forward(&self, clips: &Tensor, mode: Mode) -> Result<Tensor> {
        self.outputs(&self.features(clips, mode)?, mode)
    }

    /// Features `[B, 8 c, T / 16, H / 16, W / 16]` of clips.
    ///
    /// # Errors
    /// As [`Discriminator::forward`].
    pub fn features(&self, clips: &Tensor, mode: Mode) -> Result<Tensor> {
        let ClipSpec { frames, height, width, .. } = self.clip;
        expect_dims!("clips", clips.dims(), [B, (CHANNELS), (frames), (height), (width)])?;
        let leaky = Activation::LeakyRelu(SLOPE);
        let mut h = self.convs[0].forward_with(clips, leaky, mode)?;
        for (conv, norm) in self.convs[1..].iter().zip(&self.norms) {
            h = norm.forward_with(&conv.forward(&h, mode)?, leaky, mode)?;
        }
        Ok(h)
    }

    /// The last layer.
    pub(crate) fn outputs(&self, features: &Tensor, mode: Mode) -> Result<Tensor> {
        Ok(self.last.forward(features, mode)?.flatten_from(1)?)
    }
}
