//! The discriminators.

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::nn::{Mode, ParamSource, SpectralEmbedding, SpectralLinear};
use vg_core::ops::Activation;
use vg_core::ops::fold::fold_frames;
use vg_core::ops::pool::{PoolParams, avg_pool};
use vg_core::{Error, Result};

use crate::attention::Attention;
use crate::config::Config;
use crate::discriminator_block::DiscriminatorBlock;
use crate::layers::{LINEAR, WEIGHTS, pass};

/// Blocks of the temporal discriminator that see time.
const VOLUMES: usize = 2;

/// D_S on single frames, or D_T on whole clips at half the size, whose first two blocks are three-dimensional.
///
/// Source: paper, figures of the architecture and the discriminator; projection of the class: Miyato and Koyama, "cGANs with Projection
/// Discriminator", 2018.
#[derive(Clone, Debug)]
pub struct Discriminator {
    volumes: Vec<DiscriminatorBlock<3>>,
    blocks: Vec<DiscriminatorBlock<2>>,
    /// By the block before it.
    attention: BTreeMap<usize, Attention>,
    linear: SpectralLinear,
    embed: SpectralEmbedding,
    recompute: bool,
}

impl Discriminator {
    /// D_S over the parameters of `source`, below `spatial`.
    ///
    /// # Errors
    /// [`Error::Weights`] when a name is taken.
    pub fn spatial(source: &ParamSource, config: &Config) -> Result<Self> {
        let sides = &config.discriminator.spatial_attention;
        Self::new(0, config.clip.side, sides, config, &source.pp("spatial"))
    }

    /// D_T over the parameters of `source`, below `temporal`.
    ///
    /// # Errors
    /// [`Error::Weights`] when a name is taken.
    pub fn temporal(source: &ParamSource, config: &Config) -> Result<Self> {
        let sides = &config.discriminator.temporal_attention;
        Self::new(VOLUMES, config.clip.side / 2, sides, config, &source.pp("temporal"))
    }

    fn new(
        volumes: usize,
        side: usize,
        attend: &[usize],
        config: &Config,
        source: &ParamSource,
    ) -> Result<Self> {
        let (widths, eps) = (config.discriminator_widths(), config.norm.spectral_eps);
        let last = widths.len() - 2;
        let blocks = source.pp("blocks");
        let volume = |i: usize| {
            DiscriminatorBlock::new([widths[i], widths[i + 1]], i == 0, true, config, &blocks.pp(i))
        };
        let block = |i: usize| {
            DiscriminatorBlock::new([widths[i], widths[i + 1]], i == 0, i < last, config, &blocks.pp(i))
        };
        let attended = (volumes.saturating_sub(1)..last).filter(|i| attend.contains(&(side >> (i + 1))));
        let attention =
            |i: usize| Ok((i, Attention::new(widths[i + 1], config, &source.pp("attention").pp(i))?));
        let features = widths[last + 1];
        Ok(Self {
            volumes: (0..volumes).map(volume).collect::<Result<_>>()?,
            blocks: (volumes..=last).map(block).collect::<Result<_>>()?,
            attention: attended.map(attention).collect::<Result<_>>()?,
            linear: SpectralLinear::new(features, 1, LINEAR, eps, &source.pp("linear"))?,
            embed: SpectralEmbedding::new(config.class_count(), features, WEIGHTS, eps, &source.pp("embed"))?,
            recompute: config.train.recompute,
        })
    }

    /// Scores of clips, `[B]`: sums of those of their frames.
    ///
    /// # Shapes
    /// - D_S: `x` `[B * k, C, H, W]`, the frames of a clip one after the other; D_T: `[B, C, T, H, W]`
    /// - `classes` B numbers
    ///
    /// # Errors
    /// As [`Discriminator::frame_scores`].
    pub fn forward(&self, x: &Tensor, classes: &[usize], mode: Mode) -> Result<Tensor> {
        Ok(self.frame_scores(x, classes, mode)?.sum(1)?)
    }

    /// Scores of the frames of clips, `[B, k]`; of D_T those of the remaining positions in time.
    ///
    /// # Errors
    /// [`Error::Shape`] for other channels, rows that are no multiple of the classes, or a class that there is not.
    pub fn frame_scores(&self, x: &Tensor, classes: &[usize], mode: Mode) -> Result<Tensor> {
        let mut h = x.clone();
        for block in &self.volumes {
            h = block.forward(&h, mode)?;
        }
        let volumes = self.volumes.len();
        if volumes > 0 {
            h = self.attend(volumes - 1, fold_frames(&h)?, mode)?;
        }
        for (number, block) in (volumes..).zip(&self.blocks) {
            h = self.attend(number, block.forward(&h, mode)?, mode)?;
        }
        self.head(&h, classes, mode)
    }

    fn attend(&self, block: usize, h: Tensor, mode: Mode) -> Result<Tensor> {
        let Some(attention) = self.attention.get(&block).cloned() else { return Ok(h) };
        pass(self.recompute, &h, mode, move |h, mode| attention.forward(h, mode))
    }

    /// `linear(f) + <embed[class], f>` with f the sums of a frame's positive features.
    fn head(&self, h: &Tensor, classes: &[usize], mode: Mode) -> Result<Tensor> {
        let (rows, channels, height, width) = h.dims4()?;
        let clips = classes.len();
        if clips == 0 || !rows.is_multiple_of(clips) {
            return Err(Error::shape(
                "frames of a discriminator",
                format!("[{clips} * k, C, H, W]"),
                h.dims(),
            ));
        }
        let means = avg_pool(&Activation::Relu.apply(h)?, &PoolParams::per_axis([height, width]))?;
        let features = means.reshape((rows, channels))?.affine((height * width) as f64, 0.0)?;
        let of_rows: Vec<usize> = (0..rows).map(|row| classes[row * clips / rows]).collect();
        let projected = (self.embed.forward(&of_rows, mode)? * &features)?.sum(1)?;
        let scores = (self.linear.forward(&features, mode)?.squeeze(1)? + projected)?;
        Ok(scores.reshape((clips, rows / clips))?)
    }
}
