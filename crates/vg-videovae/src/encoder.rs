//! The encoder of frames.

use candle_core::Tensor;
use vg_core::nn::{Linear, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::{Result, expect_dims};

use crate::config::Config;
use crate::layers::{DownBlock, linear};

/// phi_enc: frames `[N, C, S, S]` in [-1, 1] -> vectors `[N, latent]`.
///
/// Source: specification, section 2.1: the public port, whose layers are taken to be the paper's.
#[derive(Clone, Debug)]
pub struct Encoder {
    blocks: Vec<DownBlock>,
    fc5: Linear,
    fc6: Linear,
    dims: [usize; 2],
}

impl Encoder {
    /// A network over the parameters of `source`, named `enc.`.
    ///
    /// # Errors
    /// [`vg_core::Error::Unsupported`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (source, n) = (source.pp("enc"), &config.networks);
        let block = |k: usize| {
            let inputs = if k == 0 { config.clip.channels } else { n.channels[k - 1] };
            let source = source.pp(format!("conv{}", k + 1));
            DownBlock::new(&source, [inputs, n.channels[k]], n.kernels[k], n.strides[k])
        };
        Ok(Self {
            blocks: (0..4).map(block).collect::<Result<_>>()?,
            fc5: linear(&source.pp("fc5"), [config.flat(), n.linear], n.small_linear_init)?,
            fc6: linear(&source.pp("fc6"), [n.linear, n.latent], n.small_linear_init)?,
            dims: [config.clip.channels, config.clip.side],
        })
    }

    /// See [`Encoder`]. `keep` `[N, C']` has 0 for the channels of the last feature map that are dropped and 1 for the others, which are
    /// doubled; nothing is dropped without it.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when the frames are not of the configured size.
    pub fn forward(&self, frames: &Tensor, keep: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        self.vectors(&self.maps(frames, keep, mode)?, mode)
    }

    /// The last feature maps, flat: `[N, flat]`. With batch statistics these are of the frames given together.
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn maps(&self, frames: &Tensor, keep: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
        let [channels, side] = self.dims;
        expect_dims!("frames", frames.dims(), [N, (channels), (side), (side)])?;
        let mut x = frames.contiguous()?;
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        if let Some(keep) = keep {
            let (n, channels) = keep.dims2()?;
            x = x.broadcast_mul(&(keep.reshape((n, channels, 1, 1))? * 2.0)?)?;
        }
        Ok(x.flatten_from(1)?)
    }

    /// Vectors `[N, latent]` of flat feature maps; frames do not see each other.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for maps of another size.
    pub fn vectors(&self, maps: &Tensor, mode: Mode) -> Result<Tensor> {
        let hidden = Activation::Relu.apply(&self.fc5.forward(maps, mode)?)?;
        self.fc6.forward(&hidden, mode)
    }
}
