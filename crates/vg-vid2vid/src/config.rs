//! Configuration.

mod validate;

use serde::{Deserialize, Serialize};
use vg_core::ClipSpec;
use vg_core::ops::conv::Precision;

/// Everything about a vid2vid model. Names of the official options are in brackets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Size of the frames.
    pub clip: Clip,
    /// What a frame is made from.
    pub maps: Maps,
    /// The encoder of instance-wise features (multimodal synthesis).
    pub features: Features,
    /// The coarse and the fine generators.
    pub generator: Generator,
    /// Image, temporal and face discriminators.
    pub discriminator: Discriminator,
    /// Terms of the losses.
    pub loss: Loss,
    /// Sequences and updates.
    pub train: Train,
    /// How clips are sampled.
    pub sample: Sample,
}

/// Size of the frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Rows of the finest scale.
    pub height: usize,
    /// Columns of the finest scale.
    pub width: usize,
    /// Frames of a sampled clip whose request says nothing else.
    pub frames: usize,
}

/// What a frame is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maps {
    /// Classes of the label maps, one channel each (`label_nc`); 0: continuous maps instead, such as edges or poses.
    pub classes: usize,
    /// Channels of continuous maps (`input_nc`).
    pub channels: usize,
    /// Whether a channel shows the edges between instances.
    pub instances: bool,
}

/// The encoder of instance-wise features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    /// Numbers of an instance that its class leaves open (`feat_num`; paper: 3); 0: no encoder.
    pub channels: usize,
    /// Width of the first layer (`nef`).
    pub width: usize,
    /// Halvings (`n_downsample_E`).
    pub downsamplings: usize,
    /// Statistics of the encoder's norms.
    pub norm: Norm,
}

/// Statistics that a norm takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// Of the batch, with a scale and a shift.
    Batch,
    /// Of each image, with neither.
    Instance,
}

/// Where foreground classes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Composition {
    /// The foreground's picture replaces the frame (official code).
    Replace,
    /// The foreground's picture replaces the hallucinated one, in front of the mask (paper, section 3.3).
    Hallucinated,
}

/// The coarse and the fine generators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Width of the coarse generator's first layer (`ngf`); a finer one has half of it.
    pub width: usize,
    /// Halvings of the coarse generator (`n_downsample_G`).
    pub downsamplings: usize,
    /// Residual blocks of the coarse generator (`n_blocks`): the larger half encodes, the smaller decodes.
    pub blocks: usize,
    /// Residual blocks of a finer generator (`n_blocks_local`).
    pub local_blocks: usize,
    /// Generators, each of twice the size of the one before (`n_scales_spatial`).
    pub scales: usize,
    /// Frames of maps that a frame is made from, its own included (`n_frames_G`); one fewer frames are looked back at.
    pub frames: usize,
    /// Whether frames are warped (off: `no_flow`).
    pub flow: bool,
    /// Classes that a network of their own draws (`fg_labels`); none: no such network.
    pub foreground: Vec<usize>,
    /// Where they are shown.
    pub composition: Composition,
}

/// Image, temporal and face discriminators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discriminator {
    /// Width of the first layer at full size (`ndf`).
    pub width: usize,
    /// Layers between the first and the last (`n_layers_D`).
    pub layers: usize,
    /// Sizes that are looked at (`num_D`).
    pub scales: usize,
    /// Frames that a temporal discriminator sees (`n_frames_D`).
    pub frames: usize,
    /// Temporal discriminators (`n_scales_temporal`): frames of the k-th lie `frames^k` apart.
    pub temporal_scales: usize,
    /// Whether another one looks at the face alone (`add_face_disc`), which the third source channel marks.
    pub face: bool,
}

/// Terms of the losses by their weights; 0 turns a term off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// Feature matching of all discriminators (`lambda_feat`; paper: 10).
    pub feature_matching: f64,
    /// Perceptual distance in VGG-19 (paper: 10), where there are weights for it.
    pub perceptual: f64,
    /// Predicted against reference flow (`lambda_F`; paper: 10).
    pub flow: f64,
    /// The real frame before, moved by the predicted flow, against the real frame (`lambda_T`; paper: 10).
    pub warp: f64,
    /// The generated frame before, moved by the reference flow, against the generated one (code alone).
    pub output_warp: f64,
    /// The mask where the flow is reliable, for models that start from nothing (code alone).
    pub mask: f64,
    /// The face discriminator's terms (code alone).
    pub face: f64,
    /// Whether adversarial and perceptual terms look at the frame without warping too (code alone).
    pub raw: bool,
}

/// Sequences and updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Clips at a time.
    pub batch: usize,
    /// Frames of a sequence at the start that are generated (`n_frames_total`).
    pub frames: usize,
    /// Frames of an update (`max_frames_per_gpu` times the generators' GPUs).
    pub chunk: usize,
    /// Epochs after which sequences get twice as long (`niter_step`); 0: never.
    pub grow_every: u64,
    /// Most frames of a sequence that are generated.
    pub longest: usize,
    /// Frames through which gradients flow back in time (`max_frames_backpropagate`).
    pub backprop_frames: usize,
    /// Epochs in which the finest generator alone is trained (`niter_fix_global`).
    pub fix_coarse_epochs: u64,
    /// Distance between the frames of a clip in its source.
    pub frame_stride: usize,
    /// Whether clips are mirrored at random.
    pub flip: bool,
    /// Learning rate.
    pub lr: f64,
    /// Epochs at this rate (`niter`).
    pub constant_epochs: u64,
    /// Epochs in which it falls to nothing (`niter_decay`).
    pub decay_epochs: u64,
    /// Decay of Adam's first moment.
    pub beta1: f64,
    /// Decay of Adam's second moment.
    pub beta2: f64,
    /// Two time scales (`TTUR`): half the rate for generators, twice for the image discriminator, no first moment in both.
    pub two_rates: bool,
    /// The rate's rules of the official code with their errors: temporal discriminators keep their rate, and two rates become one with the
    /// first fall.
    pub official_rates: bool,
    /// Whether residual blocks are run again for their gradients instead of being kept: the same step with less memory, in more time.
    pub recompute: bool,
    /// Precision of the products of all convolutions.
    pub precision: Precision,
}

/// The frames before the first generated one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// Given ones: real frames, in training too (`use_real_img`).
    Given,
    /// None: black, with the first frame made without warping, in training too (`no_first_img`).
    Nothing,
}

/// How clips are sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The frames before the first generated one. A model samples as it was trained.
    pub start: Start,
}

impl Config {
    /// Size of a sampled clip.
    pub fn clip_spec(&self) -> ClipSpec {
        let Clip { height, width, frames } = self.clip;
        ClipSpec { frames, height, width, channels: 3 }
    }

    /// Frames that are looked back at.
    pub fn past(&self) -> usize {
        self.generator.frames - 1
    }

    /// Channels of a frame's maps as discriminators see them.
    pub fn source_channels(&self) -> usize {
        let maps = if self.maps.classes > 0 { self.maps.classes } else { self.maps.channels };
        maps + usize::from(self.maps.instances)
    }

    /// Channels that a generator gets of all maps of a frame, and of all frames before it.
    pub fn generator_inputs(&self) -> (usize, usize) {
        ((self.source_channels() + self.features.channels) * self.generator.frames, 3 * self.past())
    }

    /// Channels that a temporal discriminator gets: frames and the flows between them.
    pub fn temporal_channels(&self) -> usize {
        3 * self.discriminator.frames + 2 * (self.discriminator.frames - 1)
    }

    /// Width of the first layers of generator `scale`, and of its foreground network.
    pub fn widths(&self, scale: usize) -> (usize, usize) {
        let width = self.generator.width >> scale;
        (width, if self.generator.downsamplings > 2 { width / 2 } else { width })
    }

    /// Distance between the frames that temporal discriminator `scale` sees.
    pub fn stride(&self, scale: usize) -> usize {
        self.discriminator.frames.pow(scale as u32)
    }

    /// Whether frames start from nothing.
    pub fn starts_from_nothing(&self) -> bool {
        self.sample.start == Start::Nothing
    }

    /// Names of the maps that a frame is made from.
    pub fn map_names(&self) -> Vec<String> {
        let maps =
            if self.maps.classes > 0 { crate::source::SEGMENTATION } else { crate::source::CONDITIONS };
        let mut names = vec![maps.to_owned()];
        if self.maps.instances || self.features.channels > 0 {
            names.push(crate::source::INSTANCES.to_owned());
        }
        names
    }
}
