//! Configuration.

use serde::{Deserialize, Serialize};
use vg_core::config::{ModelConfig, Preset};
use vg_core::{ClipSpec, Error, Result};

use crate::presets::PRESETS;

/// Everything about a MoCoGAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What clips are made from.
    pub task: Task,
    /// Size of the clips.
    pub clip: Clip,
    /// Sizes of the latents.
    pub latent: Latent,
    /// Classes of the categorical model.
    pub categories: Categories,
    /// The image generator.
    pub generator: Generator,
    /// Both discriminators.
    pub discriminator: Discriminator,
    /// Initial weights.
    pub init: WeightInit,
    /// Losses, batches and updates.
    pub train: Train,
}

/// What clips are made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Noise alone.
    Generate,
    /// A given first frame: an encoder makes the content code and the first motion code of it (paper, section on image-to-video).
    ImageToVideo,
}

/// Size of the clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Frames that the video discriminator sees: exactly 16 for `full` and `categorical`, at least 13 for `patch`.
    pub frames: usize,
    /// Height and width, a multiple of 16.
    pub side: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
}

/// Sizes of the latents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Latent {
    /// Of the content code, drawn once a clip.
    pub content: usize,
    /// Of the motion code of a frame, and of the noise that drives it.
    pub motion: usize,
}

/// Where the class enters the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CategoryInput {
    /// Into the motion network, beside the noise of every step (paper).
    Rnn,
    /// Into the image generator, between content and motion (official code).
    Generator,
}

/// Classes of the categorical model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Categories {
    /// How many; 0 for the unconditional model.
    pub count: usize,
    /// Where the class enters.
    pub input: CategoryInput,
}

/// The image generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Channels of the last hidden layer; the first has eight times as many. Also the width of the image-to-video encoder.
    pub width: usize,
    /// Slope of its leaky ReLUs; 0 is the ReLU of the official code.
    pub slope: f64,
}

/// Kind of the image discriminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageKind {
    /// One logit a patch.
    Patch,
    /// One logit an image.
    Full,
}

/// Kind of the video discriminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VideoKind {
    /// One logit a patch.
    Patch,
    /// One logit a clip.
    Full,
    /// One logit a clip and one for each class.
    Categorical,
}

/// Both discriminators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discriminator {
    /// Channels of the first layer; doubled by each further one.
    pub width: usize,
    /// Which image discriminator.
    pub image: ImageKind,
    /// Which video discriminator.
    pub video: VideoKind,
    /// Standard deviation of the noise added to the input of their layers in training; 0 for none.
    pub noise: f64,
}

/// Initial weights. The motion network always starts uniform in `+-1/sqrt(motion)`, PyTorch's default then and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WeightInit {
    /// Today's PyTorch defaults: uniform in `+-1/sqrt(shape[1] * kernel)`, batch norm scales 1.
    #[serde(rename = "modern")]
    Modern,
    /// Those of PyTorch 0.2, for which the official code was written: transposed convolutions divide by their *input* channels, batch
    /// norm scales are uniform in [0, 1).
    #[serde(rename = "pytorch-0.2")]
    PyTorch02,
    /// DCGAN's: normal with standard deviation 0.02, batch norm scales around 1.
    #[serde(rename = "dcgan")]
    Dcgan,
}

/// What the class head of the video discriminator is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassLoss {
    /// It learns the labels of real clips; the generator is to make clips of the drawn class.
    Supervised,
    /// It learns the drawn classes of generated clips, which the generator is to show (InfoGAN; needs no labels).
    Infogan,
    /// It learns nothing, but the generator follows it: the published commands with `--use_infogan` alone.
    ReferenceInfoganOnly,
    /// It is not used.
    None,
}

/// Losses, batches and updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Clips a step.
    pub batch: usize,
    /// Single frames a step for the image discriminator; 0: as many as clips.
    pub image_batch: usize,
    /// Distance between the frames of a clip in its source.
    pub frame_stride: usize,
    /// Learning rate of Adam.
    pub lr: f64,
    /// Decay of Adam's first moment.
    pub beta1: f64,
    /// Decay of Adam's second moment.
    pub beta2: f64,
    /// L2 weight decay, added to the gradients.
    pub weight_decay: f64,
    /// What the class head is for.
    pub class_loss: ClassLoss,
    /// Weight of the class losses (the paper's lambda).
    pub class_weight: f64,
    /// Weight of the L1 distance to the given frame, image-to-video alone.
    pub l1_weight: f64,
    /// Lengths of generated videos, of which the video discriminator sees a window of `clip.frames`; empty: exactly that many (paper:
    /// the lengths of the training videos).
    pub lengths: Vec<usize>,
    /// How often each of `lengths` is drawn, relative to the others.
    pub length_weights: Vec<f64>,
}

impl Config {
    /// Size of the clips.
    pub fn clip_spec(&self) -> ClipSpec {
        let Clip { frames, side, channels } = self.clip;
        ClipSpec { frames, height: side, width: side, channels }
    }

    /// Side of the coarsest feature map.
    pub fn base(&self) -> usize {
        self.clip.side / 16
    }

    /// Single frames a step.
    pub fn images(&self) -> usize {
        if self.train.image_batch == 0 { self.train.batch } else { self.train.image_batch }
    }

    /// Whether the class goes to the motion network.
    pub fn class_to_motion(&self) -> bool {
        self.categories.count > 0 && self.categories.input == CategoryInput::Rnn
    }

    /// Whether the class goes to the image generator.
    pub fn class_to_image(&self) -> bool {
        self.categories.count > 0 && self.categories.input == CategoryInput::Generator
    }

    /// Size of the latent of a frame.
    pub fn frame_latent(&self) -> usize {
        let classes = if self.class_to_image() { self.categories.count } else { 0 };
        self.latent.content + classes + self.latent.motion
    }

    /// Longest video that a training step generates.
    pub fn longest(&self) -> usize {
        self.train.lengths.iter().copied().max().unwrap_or(self.clip.frames)
    }
}

impl ModelConfig for Config {
    const PRESETS: &'static [Preset<Self>] = PRESETS;

    fn validate(&self) -> Result<()> {
        let t = &self.train;
        let at_least_1 = [
            ("latent.content", self.latent.content),
            ("latent.motion", self.latent.motion),
            ("generator.width", self.generator.width),
            ("discriminator.width", self.discriminator.width),
            ("train.batch", t.batch),
            ("train.frame_stride", t.frame_stride),
        ];
        for (key, value) in at_least_1 {
            require(value >= 1, key, "at least 1", value)?;
        }
        let not_negative = [
            ("generator.slope", self.generator.slope),
            ("discriminator.noise", self.discriminator.noise),
            ("train.weight_decay", t.weight_decay),
            ("train.class_weight", t.class_weight),
            ("train.l1_weight", t.l1_weight),
        ];
        for (key, value) in not_negative {
            require(value.is_finite() && value >= 0.0, key, "0 or greater", value)?;
        }
        require(t.lr.is_finite() && t.lr > 0.0, "train.lr", "greater than 0", t.lr)?;
        for (key, value) in [("train.beta1", t.beta1), ("train.beta2", t.beta2)] {
            require((0.0..1.0).contains(&value), key, "from 0 to below 1", value)?;
        }
        self.validate_clip()?;
        self.validate_classes()?;
        self.validate_lengths()
    }
}

impl Config {
    fn validate_clip(&self) -> Result<()> {
        let Clip { frames, side, channels } = self.clip;
        require(matches!(channels, 1 | 3), "clip.channels", "1 or 3", channels)?;
        require(side >= 16 && side.is_multiple_of(16), "clip.side", "a multiple of 16", side)?;
        if self.discriminator.video == VideoKind::Patch {
            require(frames >= 13, "clip.frames", "13 or more for the patch video discriminator", frames)
        } else {
            require(frames == 16, "clip.frames", "16, which this video discriminator takes alone", frames)
        }
    }

    fn validate_classes(&self) -> Result<()> {
        let (classes, used) = (self.categories.count, self.train.class_loss != ClassLoss::None);
        let head = self.discriminator.video == VideoKind::Categorical;
        let key = "discriminator.video";
        require(!head || classes > 0, key, "`full` or `patch` without classes", "categorical")?;
        let found = if head { "categorical" } else { "no class head" };
        require(!used || head, key, "`categorical` for a class loss (`train.class_loss`)", found)
    }

    fn validate_lengths(&self) -> Result<()> {
        let (lengths, weights) = (&self.train.lengths, &self.train.length_weights);
        let shortest = lengths.iter().copied().min().unwrap_or(self.clip.frames);
        let longest = self.longest();
        require(shortest >= self.clip.frames, "train.lengths", "at least `clip.frames` each", shortest)?;
        require(longest <= 4096, "train.lengths", "at most 4096 each", longest)?;
        let key = "train.length_weights";
        require(weights.len() == lengths.len(), key, "one for each of `train.lengths`", weights.len())?;
        let sound = weights.iter().all(|w| w.is_finite() && *w >= 0.0);
        let some = weights.is_empty() || weights.iter().any(|w| *w > 0.0);
        require(sound && some, key, "0 or greater, and one above 0", format!("{weights:?}"))
    }
}

fn require(holds: bool, key: &str, accepted: &str, found: impl std::fmt::Display) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::config(key, format!("must be {accepted}, got {found}"))) }
}
