//! The encoder of instance-wise features.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::ParamSource;
use vg_core::ops::Activation;
use vg_core::ops::segments::Segments;

use crate::config::Config;
use crate::layers::{Builder, Run, Sequence};

/// E: a few numbers for each instance of an image, which its labels leave open.
///
/// Source: paper, section 3.4; layers and training of pix2pixHD (`encoder`), see the README.
#[derive(Clone, Debug)]
pub struct Encoder {
    model: Sequence,
}

impl Encoder {
    /// The encoder over the parameters of `source`, below `E`.
    ///
    /// # Errors
    /// [`vg_core::Error::Weights`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (f, source) = (&config.features, source.pp("E").pp("model"));
        let builder = Builder::new(&source, f.norm, false).entry(3, f.width)?;
        let builder = builder.down(f.width, f.downsamplings)?.up(f.width, f.downsamplings)?;
        Ok(Self { model: builder.head(f.width, f.channels, Activation::Tanh)?.finish() })
    }

    /// Features of images, the same for all pixels of an instance.
    ///
    /// # Shapes
    /// - `frames` `[N, 3, H, W]`; `instances` of N images; returns `[N, channels, H, W]` on [-1, 1]
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when they do not fit.
    pub fn forward(&self, frames: &Tensor, instances: &Segments, run: Run) -> Result<Tensor> {
        instances.mean(&self.pixels(frames, run)?)
    }

    /// The same before the means.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn pixels(&self, frames: &Tensor, run: Run) -> Result<Tensor> {
        self.model.forward(frames, run)
    }
}
