//! What values are accepted, alone and together.

use vg_core::Result;
use vg_core::config::{ModelConfig, Preset, require, within};

use super::{Attributes, Config, Variant};
use crate::evaluation;
use crate::presets::PRESETS;
use crate::sample::MAX_FRAMES;

/// Largest size of a vector, a state or a batch.
const MANY: usize = 1 << 16;
/// Most channels of a layer.
const WIDEST: usize = 1 << 12;
/// Most label groups, and most classes of all of them together.
const GROUPS: usize = 16;
const JOINT: usize = 1 << 16;
/// Most numbers of one tensor, or of a step's activations: beyond what a machine holds, and far below where sizes overflow.
const MOST_NUMBERS: u64 = 1 << 36;

impl ModelConfig for Config {
    const PRESETS: &'static [Preset<Self>] = PRESETS;

    fn validate(&self) -> Result<()> {
        let (n, t) = (&self.networks, &self.train);
        require(matches!(self.clip.channels, 1 | 3), "clip.channels", "1 or 3", self.clip.channels)?;
        within(1..=MAX_FRAMES, [("clip.frames", self.clip.frames), ("sample.frames", self.sample.frames)])?;
        within(8..=1024, [("clip.side", self.clip.side)])?;
        self.validate_attributes()?;
        within(
            1..=MANY,
            [
                ("networks.linear", n.linear),
                ("networks.latent", n.latent),
                ("networks.hidden", n.hidden),
                ("networks.mlp", n.mlp),
                ("train.batch", t.batch),
                ("train.frame_stride", t.frame_stride),
            ],
        )?;
        within(1..=WIDEST, n.channels.map(|c| ("networks.channels", c)))?;
        within(1..=64, n.kernels.map(|k| ("networks.kernels", k)))?;
        within(1..=64, n.strides.map(|s| ("networks.strides", s)))?;
        within(1..=WIDEST, [("evaluation.width", self.evaluation.width)])?;
        within(0..=self.clip.side / 2, [("evaluation.crop", self.evaluation.crop)])?;
        for (key, value) in [
            ("train.beta", t.beta),
            ("train.attribute_weight", t.attribute_weight),
            ("train.weight_decay", t.weight_decay),
        ] {
            require(value.is_finite() && value >= 0.0, key, "0 or greater", value)?;
        }
        for (key, value) in [("train.lr", t.lr), ("train.eps", t.eps)] {
            require(value.is_finite() && value > 0.0, key, "greater than 0", value)?;
        }
        require(
            t.lr_decay > 0.0 && t.lr_decay <= 1.0,
            "train.lr_decay",
            "above 0 and at most 1",
            t.lr_decay,
        )?;
        for (key, value) in [("train.beta1", t.beta1), ("train.beta2", t.beta2)] {
            require((0.0..1.0).contains(&value), key, "from 0 to below 1", value)?;
        }
        match self.variant {
            Variant::EvaluationClassifier => self.validate_evaluation(),
            Variant::Video | Variant::Classifier => self.validate_maps(),
        }
    }
}

impl Config {
    fn validate_attributes(&self) -> Result<()> {
        let Attributes { names, classes, labelled_fraction, .. } = &self.attributes;
        within(1..=GROUPS, [("attributes.names", names.len())])?;
        let accepted = format!("one number for each of the {} names", names.len());
        require(classes.len() == names.len(), "attributes.classes", &accepted, format!("{classes:?}"))?;
        for (k, name) in names.iter().enumerate() {
            let plain = !name.is_empty() && !name.contains(['.', '=', ':', ' ']);
            require(
                plain,
                "attributes.names",
                "names without dots, blanks, colons and equals signs",
                format!("{name:?}"),
            )?;
            require(
                !names[..k].contains(name),
                "attributes.names",
                "different names",
                format!("{name:?} twice"),
            )?;
        }
        within(2..=MANY, classes.iter().map(|n| ("attributes.classes", *n)))?;
        let joint = classes.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
        let accepted = format!("at most {JOINT} in their product");
        require(joint.is_some_and(|n| n <= JOINT), "attributes.classes", &accepted, format!("{classes:?}"))?;
        let share = *labelled_fraction;
        require((0.0..=1.0).contains(&share), "attributes.labelled_fraction", "from 0 to 1", share)?;
        let learns = self.variant != Variant::Video;
        require(!learns || share > 0.0, "attributes.labelled_fraction", "above 0 for a classifier", share)
    }

    fn validate_evaluation(&self) -> Result<()> {
        let [frames, side] = evaluation::CLIP;
        let accepted = |n| format!("{n} for the evaluation classifier");
        require(self.clip.frames == frames, "clip.frames", &accepted(frames), self.clip.frames)?;
        require(self.clip.side == side, "clip.side", &accepted(side), self.clip.side)
    }

    /// The convolutions must fit into each other; values that are each accepted may still ask for too much together.
    fn validate_maps(&self) -> Result<()> {
        let (sizes, n) = (self.sizes(), &self.networks);
        let accepted = format!(
            "such that every kernel fits into the map before it, for images of side {}",
            self.clip.side
        );
        require(sizes[4] > 0, "networks.kernels", &accepted, format!("maps of side {sizes:?}"))?;
        let of = |n: usize| n as u64;
        let maps = (0..4).map(|k| of(n.channels[k]) * of(sizes[k + 1]).pow(2)).max().unwrap_or(0);
        let frames = of(self.train.batch) * of(self.clip.frames);
        let sizes = [
            ("train.batch", "the largest feature maps of a step have", frames * maps),
            ("networks.linear", "the linear layer next to the maps has", of(n.linear) * of(self.flat())),
            ("networks.hidden", "the LSTM has", 4 * of(n.hidden) * of(3 * n.latent + n.hidden)),
        ];
        for (key, what, numbers) in sizes {
            let accepted =
                format!("smaller together with the other sizes: {what} at most {MOST_NUMBERS} numbers");
            require(numbers <= MOST_NUMBERS, key, &accepted, format!("{numbers} numbers"))?;
        }
        Ok(())
    }
}
