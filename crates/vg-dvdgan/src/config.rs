//! Configuration.

mod validate;

use serde::{Deserialize, Serialize};
use vg_core::ClipSpec;

/// Everything about a DVD-GAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Size of the clips.
    pub clip: Clip,
    /// Label groups that generator and discriminators are conditioned on.
    pub classes: Classes,
    /// What a clip is made from.
    pub latent: Latent,
    /// The generator.
    pub generator: Generator,
    /// Both discriminators.
    pub discriminator: Discriminator,
    /// Normalisations of weights and activations.
    pub norm: Norm,
    /// Batches and updates.
    pub train: Train,
    /// How clips are sampled.
    pub sample: Sample,
}

/// Size of the clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Frames, the given ones included.
    pub frames: usize,
    /// Given frames at the start (DVD-GAN-FP); 0: clips are made from noise alone.
    pub given: usize,
    /// Height and width: 4 times 2 for each stage of the generator.
    pub side: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
}

/// Label groups that generator and discriminators are conditioned on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classes {
    /// Names of the groups in the data; none for the unconditional model.
    pub groups: Vec<String>,
    /// Classes of each group. Every combination is a class of the model; without groups there is one.
    pub counts: Vec<usize>,
}

/// What a clip is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latent {
    /// Numbers of the noise vector.
    pub noise: usize,
    /// Numbers of the embedding of a class.
    pub embedding: usize,
}

/// How feature maps are doubled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upsampling {
    /// Half-pixel centres, clamped at the edges (paper's figure).
    Bilinear,
    /// BigGAN's and the public ports'.
    Nearest,
}

/// Where recurrent units stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recurrence {
    /// Before every pair of residual blocks (version 2 of the paper).
    EveryStage,
    /// At 4x4 alone (version 1).
    FirstStage,
}

/// Scale and shift of the norm in front of the last convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputNorm {
    /// Maps of noise and class (paper's figure).
    Conditional,
    /// Parameters (BigGAN's PyTorch code).
    Plain,
}

/// The generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Channels that the multipliers multiply.
    pub width: usize,
    /// Width at the start of the first stage, then at the end of each.
    pub multipliers: Vec<usize>,
    /// Where the recurrent units stand.
    pub recurrence: Recurrence,
    /// How feature maps are doubled.
    pub upsampling: Upsampling,
    /// A 1x1 convolution also in skip connections that need none (the figure, one public port).
    pub always_project_skip: bool,
    /// The last norm.
    pub output_norm: OutputNorm,
    /// Attention over all positions of all frames behind the first recurrent unit (version 1).
    pub attention_full: bool,
    /// Attention along H, then W, then T, in front of the last stage's second residual block (version 1).
    pub attention_separable: bool,
}

/// Both discriminators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discriminator {
    /// Channels that the multipliers multiply.
    pub width: usize,
    /// Width behind each block, of both discriminators and of the stack for given frames: as many as the generator's.
    pub multipliers: Vec<usize>,
    /// Frames of each clip that the spatial discriminator sees.
    pub frames: usize,
    /// Sides of the feature maps of the spatial discriminator that get attention.
    pub spatial_attention: Vec<usize>,
    /// The same of the temporal discriminator, of two-dimensional maps alone.
    pub temporal_attention: Vec<usize>,
}

/// Normalisations of weights and activations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Norm {
    /// Least length of vectors in the power iteration of spectral norms.
    pub spectral_eps: f64,
    /// Added to variances.
    pub eps: f64,
    /// Share of a batch in the running statistics of the generator.
    pub momentum: f64,
}

/// Batches and updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Clips an update.
    pub batch: usize,
    /// Distance between the frames of a clip in its source.
    pub frame_stride: usize,
    /// Whether clips are mirrored at random.
    pub flip: bool,
    /// Updates of the discriminators before each of the generator, each with clips of its own.
    pub d_steps: usize,
    /// Learning rate of the generator.
    pub lr_generator: f64,
    /// Learning rate of the discriminators.
    pub lr_discriminator: f64,
    /// Decay of Adam's first moment.
    pub beta1: f64,
    /// Decay of Adam's second moment.
    pub beta2: f64,
    /// Decay of the moving average of the generator that samples are made with.
    pub average: f64,
    /// Number of the first step whose result is averaged; the average is a copy before it.
    pub average_start: u64,
    /// Strength of the orthogonal regularisation of all weights (BigGAN); 0 for none.
    pub orthogonal: f64,
    /// Clips whose gradients are taken at a time, for batches that do not fit in memory; 0: all clips of an update. The generator's norms
    /// see these clips alone.
    #[serde(default)]
    pub micro_batch: usize,
    /// Whether blocks are run again for their gradients instead of being kept: the same step with less memory, in more time.
    #[serde(default)]
    pub recompute: bool,
}

/// How clips are sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Batches of noise whose statistics the generator normalises by; 0: its running averages. With given frames 0, because sampling
    /// has none but those to be continued.
    pub standing_batches: usize,
    /// Clips of such a batch.
    pub standing_clips: usize,
}

impl Config {
    /// Size of the clips.
    pub fn clip_spec(&self) -> ClipSpec {
        let Clip { frames, side, channels, .. } = self.clip;
        ClipSpec { frames, height: side, width: side, channels }
    }

    /// Frames that the generator makes.
    pub fn generated(&self) -> usize {
        self.clip.frames.saturating_sub(self.clip.given)
    }

    /// Classes of the model: combinations of those of all groups, 1 without any.
    pub fn class_count(&self) -> usize {
        self.classes.counts.iter().product()
    }

    /// Stages of the generator, each of which doubles the size.
    pub fn stages(&self) -> usize {
        self.generator.multipliers.len().saturating_sub(1)
    }

    /// Channels of the generator at the start of the first stage, then at the end of each.
    pub fn generator_widths(&self) -> Vec<usize> {
        self.generator.multipliers.iter().map(|m| m * self.generator.width).collect()
    }

    /// Channels of a discriminator: its input's, then those behind each block.
    pub fn discriminator_widths(&self) -> Vec<usize> {
        let widths = self.discriminator.multipliers.iter().map(|m| m * self.discriminator.width);
        std::iter::once(self.clip.channels).chain(widths).collect()
    }

    /// Numbers of what conditions the generator: noise and class.
    pub fn condition(&self) -> usize {
        self.latent.noise + self.latent.embedding
    }

    /// Whether stage `stage` has a recurrent unit.
    pub fn is_recurrent(&self, stage: usize) -> bool {
        stage == 0 || self.generator.recurrence == Recurrence::EveryStage
    }

    /// Clips that a step takes from the data: of the generator's update only given frames are needed.
    pub fn clips_of_a_step(&self) -> usize {
        self.train.batch * (self.train.d_steps + usize::from(self.clip.given > 0))
    }
}
