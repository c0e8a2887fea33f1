//! The encoder of the image-to-video model.

use candle_core::Tensor;
use vg_core::nn::{BatchNorm, Conv2d, Mode, ParamSource};
use vg_core::{Result, expect_dims};

use crate::config::{Config, Task};
use crate::generator::Start;
use crate::layers::{LEAKY, halving, whole};

/// E: images `[B, C, H, W]` -> content code and first motion code.
///
/// Source: paper, image-to-video translation ("encoder-decoder"); the layers are unpublished and ours, after the image discriminator.
pub struct Encoder {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    last: Conv2d,
    content: usize,
    motion: usize,
    dims: [usize; 3],
}

impl Encoder {
    /// A network over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let source = source.pp("encoder");
        let (init, n) = (config.init, config.generator.width);
        let (mut convs, mut norms) = (Vec::with_capacity(4), Vec::with_capacity(3));
        let mut width = config.clip.channels;
        for k in 0..4 {
            convs.push(init.conv(&source.pp(format!("conv{k}")), width, n << k, halving())?);
            if k > 0 {
                norms.push(init.norm(&source.pp(format!("bn{k}")), n << k)?);
            }
            width = n << k;
        }
        let (content, motion) = (config.latent.content, config.latent.motion);
        let last = init.conv(&source.pp("conv4"), width, content + motion, whole(config.base()))?;
        let dims = [config.clip.channels, config.clip.side, config.clip.side];
        Ok(Self { convs, norms, last, content, motion, dims })
    }

    /// The network, where the task has one.
    pub(crate) fn of(source: &ParamSource, config: &Config) -> Result<Option<Self>> {
        match config.task {
            Task::Generate => Ok(None),
            Task::ImageToVideo => Self::new(source, config).map(Some),
        }
    }

    /// See [`Encoder`].
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when the images are not of the configured size.
    pub fn forward(&self, images: &Tensor, mode: Mode) -> Result<Start> {
        let [channels, height, width] = self.dims;
        expect_dims!("given frames", images.dims(), [B, (channels), (height), (width)])?;
        let mut h = images.clone();
        for (k, conv) in self.convs.iter().enumerate() {
            h = match k.checked_sub(1) {
                None => conv.forward_with(&h, LEAKY, mode)?,
                Some(n) => self.norms[n].forward_with(&conv.forward(&h, mode)?, LEAKY, mode)?,
            };
        }
        let codes = self.last.forward(&h, mode)?.flatten_from(1)?;
        Ok(Start {
            content: codes.narrow(1, 0, self.content)?,
            state: codes.narrow(1, self.content, self.motion)?.contiguous()?,
        })
    }
}
