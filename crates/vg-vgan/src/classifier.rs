//! The action classifier.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Mode, ParamSource};

use crate::config::{Config, Start, Trained};
use crate::discriminator::Discriminator;
use crate::layers::Initial;

/// Clips `[B, 3, T, H, W]` -> logits `[B, classes]`.
///
/// Source: paper, section 3.3; official `main_ucf.lua`: the discriminator's layers, whole channels dropped, a new last layer.
#[derive(Clone, Debug)]
pub struct Classifier {
    layers: Discriminator,
    kept: f64,
    frozen: bool,
}

impl Classifier {
    /// A classifier over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let c = &config.classifier;
        let initial = match c.start {
            Start::Discriminator => Initial::Narrow,
            Start::Random => Initial::Torch,
        };
        let layers = Discriminator::with(source, config, c.classes, initial, Initial::Torch)?;
        Ok(Self { layers, kept: 1.0 - c.dropout, frozen: c.trained == Trained::Last })
    }

    /// Logits in training: `keep` `[B, 8 c]` has 0 for the channels that are dropped and 1 for the others, which are not scaled up
    /// (Torch7's form). Where the last layer alone learns, its features are those of [`Classifier::classify`].
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when the clips are not of the configured size.
    pub fn forward(&self, clips: &Tensor, keep: &Tensor, mode: Mode) -> Result<Tensor> {
        let features = self.layers.features(clips, if self.frozen { Mode::EVAL } else { mode })?;
        let (batch, channels) = keep.dims2()?;
        let kept = features.broadcast_mul(&keep.reshape((batch, channels, 1, 1, 1))?)?;
        self.layers.outputs(&kept, mode)
    }

    /// Logits by running statistics, with all channels, scaled by the share that training keeps.
    ///
    /// # Errors
    /// As [`Classifier::forward`].
    pub fn classify(&self, clips: &Tensor) -> Result<Tensor> {
        let features = (self.layers.features(clips, Mode::EVAL)? * self.kept)?;
        self.layers.outputs(&features, Mode::EVAL)
    }
}
