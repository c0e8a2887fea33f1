//! Configuration.

mod validate;

use serde::{Deserialize, Serialize};
use vg_core::ClipSpec;
use vg_core::optim::{Adam, AdamEpsilon};

use crate::sizes::{self, LEVELS};

/// Everything about a sliced Wasserstein model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is trained.
    pub variant: Variant,
    /// Size of clips and images.
    pub clip: Clip,
    /// What the generators and critics have in common, and the networks of the video model.
    pub networks: Networks,
    /// The networks of the image model.
    pub image: Image,
    /// The auto-encoder.
    pub autoencoder: Autoencoder,
    /// How the video model grows.
    pub growth: Growth,
    /// The critic's penalties.
    pub penalties: Penalties,
    /// Batches and updates.
    pub train: Train,
}

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// PG-SWGAN-3D: clips that grow from 4x4 pixels.
    Video,
    /// SWGAN: images by residual networks.
    Image,
    /// SWAE: an auto-encoder for images.
    Autoencoder,
}

/// Size of clips and images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Height and width: for clips a power of two from 8 to 256, which also fixes the number of frames; for images a multiple of 16; for the
    /// auto-encoder a multiple of 8.
    pub side: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
}

/// Sizes of the networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Networks {
    /// Video: a block at 2^r pixels has `min(base_channels / 2^(r-1), max_channels)` channels.
    pub base_channels: usize,
    /// Video: most channels of a block.
    pub max_channels: usize,
    /// Size of the latent z.
    pub latent: usize,
    /// Features of the critic, the width r of its dual blocks.
    pub features: usize,
    /// Dual blocks, each with an orthogonal matrix of its own.
    pub dual_blocks: usize,
    /// Video: samples over which the critic sees a standard deviation.
    pub stddev_group: usize,
    /// Video: taps of a kernel in the fan-in of the generator's enlarging layers; the official code counts 9 of the 27.
    pub up_taps: usize,
    /// Video: where time does not change, smooth over time and rows instead of rows and columns, as the official code does.
    pub strict_reference: bool,
}

/// The networks of the image model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Channels at full size; up to 8 times as many below.
    pub width: usize,
}

/// The auto-encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Autoencoder {
    /// Size of a code.
    pub code: usize,
    /// Channels of the decoder.
    pub width: usize,
    /// Primal blocks, each with an orthogonal matrix of its own.
    pub blocks: usize,
    /// Bins of the soft histograms.
    pub bins: usize,
    /// Move codes one bin too low, as the official code does.
    pub shifted: bool,
}

/// How the video model grows. Lists have an entry for each of 4, 8, 16, 32, 64, 128 and 256 pixels; those above the clips' size are unused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Level of detail at which training starts: 0 is full size, each step up halves it, fractions fade. At most `log2(side) - 2`, where
    /// clips are 4x4; 0 for training without growth.
    pub start_lod: f64,
    /// Clips shown at a size before the next one begins to fade in.
    pub stable_clips: [u64; LEVELS],
    /// Clips of the fade from a size to the next.
    pub fade_clips: [u64; LEVELS],
    /// Clips a step.
    pub batch: [usize; LEVELS],
    /// Learning rates.
    pub lr: [f64; LEVELS],
    /// Steps between two looks at the schedule.
    pub refresh_steps: u64,
}

/// How the critic's features are penalised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeaturePenalty {
    /// As the official code: the slopes of the dual block times the size of its outputs.
    Reference,
    /// The slopes themselves, as its comments say.
    Derivative,
}

/// The critic's penalties.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Penalties {
    /// Weight of the squared gradient for pixels.
    pub gradient: f64,
    /// Weight of the penalty on the dual blocks.
    pub feature: f64,
    /// What the penalised quantity of the dual blocks is drawn to.
    pub target: f64,
    /// Which quantity that is.
    pub form: FeaturePenalty,
}

/// Batches and updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Images of an update; clips have [`Growth::batch`].
    pub batch: usize,
    /// Learning rate for images; clips have [`Growth::lr`].
    pub lr: f64,
    /// Decay of Adam's first moment.
    pub beta1: f64,
    /// Decay of Adam's second moment.
    pub beta2: f64,
    /// Added to the denominator, before bias correction as in TensorFlow.
    pub eps: f64,
    /// Updates of the critic for one of the generator, image model; the video model makes one.
    pub critic_steps: usize,
    /// Decay of the generator's moving average, video model.
    pub average: f64,
    /// Mirror each clip left-right with probability one half.
    pub flip: bool,
}

impl Config {
    /// Size of the clips that are made.
    pub fn clip_spec(&self) -> ClipSpec {
        let frames = if self.variant == Variant::Video { sizes::frames(self.levels()) } else { 1 };
        ClipSpec { frames, height: self.clip.side, width: self.clip.side, channels: self.clip.channels }
    }

    /// R: clips are 2^R pixels high and wide.
    pub fn levels(&self) -> usize {
        self.clip.side.max(1).ilog2() as usize
    }

    /// Channels of the video model's blocks at 2^r pixels.
    pub fn channels(&self, r: usize) -> usize {
        (self.networks.base_channels >> (r - 1)).min(self.networks.max_channels)
    }
}

impl Train {
    /// The optimizer of every network.
    pub(crate) fn adam(&self, lr: f64) -> Adam {
        let rule = Adam::new(lr, self.beta1, self.beta2);
        Adam { eps: self.eps, epsilon: AdamEpsilon::Uncorrected, ..rule }
    }
}
