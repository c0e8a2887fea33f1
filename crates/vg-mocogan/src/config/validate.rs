//! What values are accepted, alone and together.

use vg_core::Result;
use vg_core::config::{ModelConfig, Preset, require, within};

use super::{ClassLoss, Clip, Config, VideoKind};
use crate::presets::PRESETS;

/// Largest size of a latent, batch or list of classes.
const MANY: usize = 1 << 16;
/// Largest width of a network; its layers have up to eight times as many channels.
const WIDEST: usize = 1024;
/// Most frames of a clip or a generated video.
const LONGEST: usize = 4096;
/// Most numbers of one tensor: beyond what a machine holds, and far below where sizes overflow.
const MOST_NUMBERS: u64 = 1 << 34;

impl ModelConfig for Config {
    const PRESETS: &'static [Preset<Self>] = PRESETS;

    fn validate(&self) -> Result<()> {
        let t = &self.train;
        within(
            1..=MANY,
            [
                ("latent.content", self.latent.content),
                ("latent.motion", self.latent.motion),
                ("train.batch", t.batch),
                ("train.frame_stride", t.frame_stride),
            ],
        )?;
        within(
            0..=MANY,
            [("train.image_batch", t.image_batch), ("categories.count", self.categories.count)],
        )?;
        within(
            1..=WIDEST,
            [("generator.width", self.generator.width), ("discriminator.width", self.discriminator.width)],
        )?;
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
        for (key, value) in [("train.beta1", t.beta1), ("train.beta2", t.beta2), ("train.average", t.average)]
        {
            require((0.0..1.0).contains(&value), key, "from 0 to below 1", value)?;
        }
        self.validate_clip()?;
        self.validate_classes()?;
        self.validate_lengths()?;
        self.validate_memory()
    }
}

impl Config {
    fn validate_clip(&self) -> Result<()> {
        let Clip { frames, side, channels } = self.clip;
        require(matches!(channels, 1 | 3), "clip.channels", "1 or 3", channels)?;
        require(side.is_multiple_of(16), "clip.side", "a multiple of 16", side)?;
        within(16..=1024, [("clip.side", side)])?;
        if self.discriminator.video == VideoKind::Patch {
            let accepted = format!("13 or more for the patch video discriminator, and at most {LONGEST}");
            require((13..=LONGEST).contains(&frames), "clip.frames", &accepted, frames)
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
        require(longest <= LONGEST, "train.lengths", &format!("at most {LONGEST} each"), longest)?;
        let key = "train.length_weights";
        require(weights.len() == lengths.len(), key, "one for each of `train.lengths`", weights.len())?;
        let sound = weights.iter().all(|w| *w >= 0.0) && weights.iter().sum::<f64>().is_finite();
        let some = weights.is_empty() || weights.iter().any(|w| *w > 0.0);
        require(sound && some, key, "0 or greater, and one above 0", format!("{weights:?}"))
    }

    /// Values that are each accepted may still ask for too much together.
    fn validate_memory(&self) -> Result<()> {
        let area = |side: usize| (side * side) as u64;
        let (clips, images) = (self.train.batch as u64, self.images() as u64);
        let (narrow, wide) = (self.discriminator.width as u64, 8 * self.generator.width as u64);
        let frames = (clips * self.clip.frames as u64).max(images);
        let latents = clips.max(images) * self.longest() as u64 * self.frame_latent() as u64;
        let classes = self.categories.count as u64 + 1;
        let sizes = [
            ("clip.side", "a step's clips fill", frames * area(self.clip.side) * narrow.max(wide / 8)),
            ("train.lengths", "the latents of a step fill", latents),
            (
                "latent.content",
                "the generator's first layer has",
                self.frame_latent() as u64 * wide * area(self.base()),
            ),
            ("categories.count", "the class head has", classes * 8 * narrow * 4 * area(self.base())),
        ];
        for (key, what, numbers) in sizes {
            let accepted =
                format!("small enough together with batch and widths: {what} at most {MOST_NUMBERS} numbers");
            require(numbers <= MOST_NUMBERS, key, &accepted, format!("{numbers} numbers"))?;
        }
        Ok(())
    }
}
