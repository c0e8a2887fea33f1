//! Configuration.

mod validate;

use serde::{Deserialize, Serialize};
use vg_core::ClipSpec;
use vg_core::ops::conv::Precision;

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
    /// Frames that the video discriminator sees: exactly 16 for `full` and `categorical`, 13 or more for `patch`.
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
    /// There is none: the paper's ablation "without D_I".
    None,
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
    /// It learns the labels of real clips, of which the data must have exactly `categories.count` classes; the generator is to make
    /// clips of the drawn class.
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
    /// Single frames a step for the image discriminator, if there is one; 0: as many as clips.
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
    /// Decay of the moving average of the generator that samples are made with; 0: samples come from the generator itself (paper,
    /// official code).
    pub average: f64,
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
    /// Of the products of all convolutions, in training and in sampling from its weights: `full`, or `bf16` where that is faster on this CPU.
    /// Weights, gradients and the optimizer stay f32.
    #[serde(default)]
    pub precision: Precision,
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

    /// Single frames a step, where there is an image discriminator.
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

    /// Whether there is an image discriminator.
    pub fn judges_images(&self) -> bool {
        self.discriminator.image != ImageKind::None
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
