//! Configuration.

mod validate;

use serde::{Deserialize, Serialize};
use vg_core::ClipSpec;
use vg_core::ops::conv::Precision;
use vg_core::optim::Adam;
use vg_core::sample::Attribute;

/// Everything about a VideoVAE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is trained.
    pub variant: Variant,
    /// Size of the clips.
    pub clip: Clip,
    /// The holistic attributes.
    pub attributes: Attributes,
    /// Sizes of the networks.
    pub networks: NetworkSizes,
    /// The classifier that scores generated clips.
    pub evaluation: Evaluation,
    /// Losses, batches and updates.
    pub train: Train,
    /// How clips are made.
    pub sample: Sample,
}

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variant {
    /// The VideoVAE: stage 2 on a given encoder (`train --from`), or all at once (`train.train_encoder`).
    Video,
    /// Stage 1: the encoder and the attribute heads, on single frames.
    Classifier,
    /// The 3-D classifier that scores generated clips; no part of the VideoVAE.
    EvaluationClassifier,
}

/// Size of the clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Frames of a training clip.
    pub frames: usize,
    /// Height and width.
    pub side: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
}

/// The holistic attributes: label groups of the data, each with a fixed number of classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attributes {
    /// Names of the label groups, in the order of their blocks in the attribute vector.
    pub names: Vec<String>,
    /// For each of them, the number of classes.
    pub classes: Vec<usize>,
    /// Share of the clips whose labels are used; the labels of the others are inferred by the classifier's vote, in stage 2 and joint
    /// training, or the clips are left out, in stage 1.
    pub labelled_fraction: f64,
    /// Seed of the choice of labelled clips, which is a function of this and a clip's number: the same in both stages.
    pub labelled_seed: u64,
}

/// Sizes of the networks. The encoder has four convolutions, which the decoder undoes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSizes {
    /// Channels of the encoder's convolutions.
    pub channels: [usize; 4],
    /// Their square kernels.
    pub kernels: [usize; 4],
    /// Their strides.
    pub strides: [usize; 4],
    /// Width of the linear layer next to the feature maps, in encoder and decoder.
    pub linear: usize,
    /// Size of a frame's latent z and of the encoder's vector.
    pub latent: usize,
    /// Size of the LSTM's state h.
    pub hidden: usize,
    /// Hidden width of the small networks: posteriors, prior, attribute heads, map of h.
    pub mlp: usize,
    /// Whether the decoder sees the map of h beside z, as in a VRNN.
    pub decoder_sees_h: bool,
    /// Whether the decoder ends linearly; with a tanh otherwise.
    pub linear_output: bool,
    /// Whether linear layers start from N(0, 0.001) and biases of 0 (the public port) instead of PyTorch's values.
    pub small_linear_init: bool,
}

/// The classifier that scores generated clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Channels of its first layer; doubled by each of three more.
    pub width: usize,
    /// Rows and columns that a random crop takes off its training clips, which are then enlarged to their old size; 0 for none.
    pub crop: usize,
}

/// How frames are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reconstruction {
    /// Sum of absolute differences (the public port).
    L1Sum,
    /// Sum of squared differences: a Gaussian likelihood of fixed variance.
    L2Sum,
}

/// Losses, batches and updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Clips a step; frames in stage 1.
    pub batch: usize,
    /// Distance between the frames of a clip in its source.
    pub frame_stride: usize,
    /// Whether encoder and attribute heads are trained with all else (joint training) instead of staying as they are (stage 2).
    pub train_encoder: bool,
    /// How frames are compared.
    pub reconstruction: Reconstruction,
    /// Weight of the divergence.
    pub beta: f64,
    /// Weight of the attribute loss in joint training, the specification's alpha.
    pub attribute_weight: f64,
    /// Learning rate of Adam.
    pub lr: f64,
    /// Factor of the learning rate for each pass over the data.
    pub lr_decay: f64,
    /// Decay of Adam's first moment.
    pub beta1: f64,
    /// Decay of Adam's second moment.
    pub beta2: f64,
    /// Added to the denominator of Adam's step.
    pub eps: f64,
    /// Weight decay, added to the gradients.
    pub weight_decay: f64,
    /// Mirror each clip left-right with probability one half.
    pub flip: bool,
    /// Of the products of all convolutions, in training and in sampling from its weights: `full`, or `bf16` where that is faster on this CPU.
    /// Weights, gradients and the optimizer stay f32.
    #[serde(default)]
    pub precision: Precision,
}

impl Train {
    /// The optimizer.
    pub(crate) fn adam(&self) -> Adam {
        let rule = Adam::new(self.lr, self.beta1, self.beta2);
        Adam { eps: self.eps, weight_decay: self.weight_decay, ..rule }
    }

    /// The learning rate after `epoch` passes over the data.
    pub(crate) fn lr_at(&self, epoch: f64) -> f64 {
        self.lr * self.lr_decay.powf(epoch.floor())
    }
}

/// How clips are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Frames of a clip, where a request does not say otherwise.
    pub frames: usize,
    /// Whether clips without given frames start from standard normal states of the LSTM (the public port) instead of zeros.
    pub random_initial_state: bool,
}

impl Config {
    /// Size of the clips that a training step takes; stage 1 takes single frames of them.
    pub fn clip_spec(&self) -> ClipSpec {
        let Clip { frames, side, channels } = self.clip;
        ClipSpec { frames, height: side, width: side, channels }
    }

    /// Height and width of the image and behind each convolution of the encoder; 0 where a kernel is larger than its input.
    pub fn sizes(&self) -> [usize; 5] {
        let NetworkSizes { kernels, strides, .. } = &self.networks;
        let mut sizes = [self.clip.side; 5];
        for k in 0..4 {
            sizes[k + 1] = match sizes[k].checked_sub(kernels[k]) {
                Some(room) if sizes[k] > 0 => room / strides[k].max(1) + 1,
                _ => 0,
            };
        }
        sizes
    }

    /// Numbers in the encoder's last feature map.
    pub fn flat(&self) -> usize {
        self.networks.channels[3] * self.sizes()[4].pow(2)
    }

    /// Size of the attribute vector.
    pub fn attribute_dims(&self) -> usize {
        self.attributes.classes.iter().sum()
    }

    /// The label groups.
    pub fn groups(&self) -> Vec<Attribute> {
        let Attributes { names, classes, .. } = &self.attributes;
        let group = |(name, classes): (&String, &usize)| Attribute { name: name.clone(), classes: *classes };
        names.iter().zip(classes).map(group).collect()
    }

    /// Classes of all groups together: the product.
    pub fn joint_classes(&self) -> usize {
        self.attributes.classes.iter().product()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vg_core::config::ModelConfig;

    /// Sections 2.1, 2.2 and 10.1 of the specification.
    #[test]
    fn feature_maps_have_the_published_sizes() {
        assert_eq!(Config::preset("paper").unwrap().sizes(), [64, 56, 17, 13, 4]);
        assert_eq!(Config::preset("weizmann-256").unwrap().sizes(), [256, 123, 58, 18, 4]);
        let mut config = Config::preset("paper").unwrap();
        config.clip.side = 20;
        assert_eq!(config.sizes(), [20, 12, 2, 0, 0]);
    }
}
