//! Configuration.

mod validate;

use serde::{Deserialize, Serialize};
use vg_core::ClipSpec;
use vg_core::ops::conv::Precision;
use vg_core::optim::{Adam, AdamEpsilon};

/// Channels of a clip: RGB.
pub const CHANNELS: usize = 3;
/// By how much four layers of stride 2 shrink a clip.
pub const SHRINK: usize = 16;

/// Everything about a VGAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which of the paper's models.
    pub variant: Variant,
    /// Size of the clips.
    pub clip: Clip,
    /// The generator; the decoder of the autoencoder.
    pub generator: Generator,
    /// The discriminator; also the classifier and the encoder of the autoencoder, which have its layers.
    pub discriminator: Discriminator,
    /// The action classifier.
    pub classifier: Classifier,
    /// The mixture over the codes of the autoencoder.
    pub mixture: Mixture,
    /// Losses and updates.
    pub train: Train,
}

/// Which of the paper's models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// A moving foreground over a still background (the paper's main model).
    TwoStream,
    /// One stream of 3-D transposed convolutions.
    OneStream,
    /// Two streams from the first frame of a clip: future prediction.
    Conditional,
    /// The discriminator's layers with a new last one, trained on action labels.
    Classifier,
    /// The baseline: an autoencoder, and a Gaussian mixture over its codes.
    Autoencoder,
}

/// Size of the clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Frames, a multiple of 16; the paper has 32.
    pub frames: usize,
    /// Height and width, a multiple of 16; the paper has 64.
    pub size: usize,
}

/// How the conditional generator sees its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conditioning {
    /// Four convolutions give a map, which both streams start from (the official code).
    Map,
    /// Five convolutions give a code in place of z, before unchanged streams (the paper).
    Code,
}

/// The generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Size of z, of the conditional code and of the autoencoder's code.
    pub z_dim: usize,
    /// Channels of the last hidden layer; twice, four and eight times as many before it.
    pub channels: usize,
    /// How the conditional variant sees its frame.
    pub conditioning: Conditioning,
}

/// The discriminator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discriminator {
    /// Channels of the first layer; doubled by each of three more.
    pub channels: usize,
}

/// What the classifier's layers start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The weights of a discriminator that are handed over (`train --from`), the discriminator's initial values without them; the
    /// last layer from Torch's default.
    Discriminator,
    /// All layers from Torch's default (the paper's baseline).
    Random,
}

/// Which layers of the classifier learn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trained {
    /// All of them (fine-tuning).
    #[default]
    All,
    /// The last one, on features of a discriminator that stay as they are: the paper's logistic regression.
    Last,
}

/// The action classifier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    /// Number of classes, which must be that of the data.
    pub classes: usize,
    /// Share of the channels that are dropped before the last layer in training.
    pub dropout: f64,
    /// What the layers start from.
    pub start: Start,
    /// Which of them learn.
    #[serde(default)]
    pub trained: Trained,
}

/// The Gaussian mixture over the autoencoder's codes; its covariances are diagonal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixture {
    /// Number of components.
    pub components: usize,
    /// Codes that it is fitted to: those of the latest clips.
    pub codes: usize,
    /// Iterations of k-means, from which EM starts.
    pub kmeans_iterations: usize,
    /// Iterations of expectation-maximisation.
    pub em_iterations: usize,
    /// Seed of the first centres.
    pub seed: u64,
}

/// How the mask's sizes are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// Their mean (the official code).
    Mean,
    /// Their sum (the paper's formula).
    Sum,
}

/// The norm of the conditional variant's reconstruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reconstruction {
    /// Mean absolute difference (the paper's text, the official code).
    L1,
    /// Mean squared difference (the paper's equation).
    L2,
}

/// Losses and updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Clips per step.
    pub batch: usize,
    /// Learning rate of Adam.
    pub lr: f64,
    /// Decay of Adam's first moment.
    pub beta1: f64,
    /// Decay of Adam's second moment.
    pub beta2: f64,
    /// Adam's epsilon.
    pub eps: f64,
    /// Where it is added: after bias correction (PyTorch) or before it (Torch7).
    pub epsilon: AdamEpsilon,
    /// Weight of the mask's sparsity; 0 for none.
    pub mask_weight: f64,
    /// How the mask's sizes are put together.
    pub mask_reduction: Reduction,
    /// Weight of the conditional variant's reconstruction of its frame.
    pub reconstruction_weight: f64,
    /// Its norm.
    pub reconstruction: Reconstruction,
    /// Mirror clips left-right with probability one half (off in the official code).
    pub flip: bool,
    /// Of the products of all convolutions, in training and in sampling from its weights: `full`, or `bf16` where that is faster on this CPU.
    /// Weights, gradients and the optimizer stay f32.
    #[serde(default)]
    pub precision: Precision,
}

impl Train {
    /// The optimizer of every network.
    pub(crate) fn adam(&self) -> Adam {
        Adam { eps: self.eps, epsilon: self.epsilon, ..Adam::new(self.lr, self.beta1, self.beta2) }
    }
}

impl Config {
    /// Size of the clips.
    pub fn clip_spec(&self) -> ClipSpec {
        let Clip { frames, size } = self.clip;
        ClipSpec { frames, height: size, width: size, channels: CHANNELS }
    }

    /// Frames, height and width of the coarsest map: `[2, 4, 4]` for 32 frames of 64x64.
    pub fn base(&self) -> [usize; 3] {
        let side = self.clip.size / SHRINK;
        [self.clip.frames / SHRINK, side, side]
    }
}
