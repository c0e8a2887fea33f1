//! Configuration.

mod validate;

use serde::{Deserialize, Serialize};
use vg_core::ClipSpec;
use vg_core::ops::conv::Precision;

/// Everything about an SVG.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the latent of a frame comes from.
    pub variant: Variant,
    /// Size of the clips, and how many of their frames are given.
    pub clip: Clip,
    /// Encoder and decoder of frames.
    pub backbone: Backbone,
    /// The recurrent networks.
    pub recurrent: Recurrent,
    /// Losses, batches and updates.
    pub train: Train,
    /// How clips are continued.
    pub sample: Sample,
}

/// Where the latent of a frame comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// SVG-LP: the posterior in training, a learned prior of the frames before at test time.
    LearnedPrior,
    /// SVG-FP: the posterior in training, N(0, I) at test time.
    FixedPrior,
    /// There is none: the paper's baseline, trained by the reconstruction alone.
    Deterministic,
}

/// Size of the clips, and how many of their frames are given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Height and width, a power of two from 16 to 256; the paper has 64 and 128.
    pub side: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Given frames, the official `n_past`.
    pub past: usize,
    /// Frames behind them that a training clip shows, the official `n_future`.
    pub future: usize,
}

/// Kind of encoder and decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BackboneKind {
    /// Strided convolutions with kernel 4, transposed ones in the decoder.
    Dcgan,
    /// Convolutions with kernel 3 and max pooling, nearest-neighbour upsampling in the decoder.
    Vgg,
}

/// Which frame's feature maps the decoder sees beside its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipSource {
    /// Those of the frame before; from the last given frame on, that one's (paper).
    LastContext,
    /// The same, but the last is the given frame before the last one (official code, `i < n_past`); needs two given frames.
    Official,
    /// Always those of the frame before (the official `last_frame_skip`).
    Previous,
}

/// Encoder and decoder of frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backbone {
    /// Which layers they have.
    pub kind: BackboneKind,
    /// Channels of the finest feature map; coarser ones have 2, 4 and from there on 8 times as many. The official `nf`.
    pub width: usize,
    /// Size of a frame's vector, the official `g_dim`.
    pub features: usize,
    /// Which frame's feature maps the decoder sees.
    pub skip_source: SkipSource,
    /// Slope of the leaky ReLUs, greater than 0.
    pub slope: f64,
    /// Added to the variance in batch norms.
    pub norm_eps: f64,
    /// Share of a batch in the running statistics of batch norms.
    pub norm_momentum: f64,
    /// Standard deviation of the initial weights of convolutions and linear layers (around 0) and batch norms (around 1). Recurrent cells
    /// start uniform in `+-1/sqrt(hidden)`.
    pub init_std: f64,
}

/// The recurrent networks: a linear map, a stack of LSTM cells, and linear maps of its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recurrent {
    /// Size of a cell's state, the official `rnn_size`.
    pub hidden: usize,
    /// Size of the latent of a frame, the official `z_dim`; not used by the deterministic variant.
    pub latent: usize,
    /// Cells of the frame predictor.
    pub predictor_layers: usize,
    /// Cells of the posterior.
    pub posterior_layers: usize,
    /// Cells of the learned prior.
    pub prior_layers: usize,
}

/// Losses, batches and updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Clips a step, at least 2: the encoder's last batch norm sees one number a clip and channel. From 3 on it passes gradients well.
    pub batch: usize,
    /// Distance between the frames of a clip in its source.
    pub frame_stride: usize,
    /// Weight of the KL divergence (sum over the latent, mean over the batch), the paper's beta, beside a mean squared error. Beside a sum
    /// over pixels the same weight would be `beta * channels * side^2`.
    pub beta: f64,
    /// Learning rate of Adam.
    pub lr: f64,
    /// Decay of Adam's first moment.
    pub beta1: f64,
    /// Decay of Adam's second moment.
    pub beta2: f64,
    /// Added to the denominator of Adam's step.
    pub eps: f64,
    /// Mirror each clip left-right with probability one half; not in the official code.
    pub flip: bool,
    /// Clips whose gradients are taken at a time, for less memory; 0 for all of a step. Batch norms then see these alone.
    #[serde(default)]
    pub micro_batch: usize,
    /// Run the levels of encoder and decoder again for their gradients instead of keeping all that they compute: the same numbers with less
    /// memory in more time.
    #[serde(default)]
    pub recompute: bool,
    /// Of the products of all convolutions, in training and in sampling from its weights: `full`, or `bf16` where that is faster on this CPU.
    /// Weights, gradients and the optimizer stay f32.
    #[serde(default)]
    pub precision: Precision,
}

/// Statistics that batch norms use when clips are continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SampleNorm {
    /// Running ones: a clip depends on nothing but its given frames and its seed.
    Running,
    /// Those of the clips asked for together, as the official scripts for SVG-LP: a clip depends on its neighbours.
    Batch,
}

/// How clips are continued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Frames of a clip with the given ones, the official `n_eval`, where a request does not say otherwise.
    pub frames: usize,
    /// Statistics of batch norms.
    pub norm: SampleNorm,
}

impl Config {
    /// Size of the clips that a training step takes.
    pub fn clip_spec(&self) -> ClipSpec {
        let Clip { side, channels, past, future } = self.clip;
        ClipSpec { frames: past + future, height: side, width: side, channels }
    }

    /// Channels of the feature maps, finest first: the finest is as large as the frame (`vgg`) or half (`dcgan`), each further one half
    /// of the one before, and the last one is 4x4 behind its halving.
    pub fn widths(&self) -> Vec<usize> {
        let levels = (self.clip.side / 4).ilog2();
        (0..levels).map(|level| self.backbone.width << level.min(3)).collect()
    }

    /// Size of the latent of a frame, 0 without one.
    pub fn latent(&self) -> usize {
        if self.variant == Variant::Deterministic { 0 } else { self.recurrent.latent }
    }

    /// Whether frame `frame`, counted from 0, is decoded beside the feature maps of the frame before it, instead of those kept so far.
    ///
    /// Source: official code, `train_svg_lp.py` (`i < n_past`); the paper takes those of the last given frame from there on.
    pub fn takes_skips(&self, frame: usize) -> bool {
        match self.backbone.skip_source {
            SkipSource::Previous => true,
            SkipSource::LastContext => frame <= self.clip.past,
            SkipSource::Official => frame < self.clip.past,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vg_core::config::ModelConfig;

    #[test]
    fn levels_halve_the_side_down_to_four() {
        for (side, want) in [
            (16, &[4, 8][..]),
            (32, &[4, 8, 16]),
            (64, &[4, 8, 16, 32]),
            (128, &[4, 8, 16, 32, 32]),
            (256, &[4, 8, 16, 32, 32, 32]),
        ] {
            let mut config = Config::preset("tiny").unwrap();
            config.clip.side = side;
            assert_eq!(config.widths(), want, "{side}");
        }
    }
}
