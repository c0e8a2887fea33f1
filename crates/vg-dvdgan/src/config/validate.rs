//! What values are accepted, alone and together.

use vg_core::Result;
use vg_core::config::{ModelConfig, Preset, require, within};

use super::{Clip, Config};
use crate::presets::PRESETS;

/// Largest batch, list of classes or vector.
const MANY: usize = 1 << 16;
/// Largest number of channels.
const WIDEST: usize = 1 << 14;
/// Most frames of a clip.
const LONGEST: usize = 1024;
/// Most numbers of one tensor: beyond what a machine holds, and far below where sizes overflow.
const MOST_NUMBERS: u64 = 1 << 36;

impl ModelConfig for Config {
    const PRESETS: &'static [Preset<Self>] = PRESETS;

    fn validate(&self) -> Result<()> {
        let t = &self.train;
        within(
            1..=MANY,
            [
                ("latent.noise", self.latent.noise),
                ("latent.embedding", self.latent.embedding),
                ("train.batch", t.batch),
                ("train.frame_stride", t.frame_stride),
                ("sample.standing_clips", self.sample.standing_clips),
            ],
        )?;
        within(1..=64, [("train.d_steps", t.d_steps)])?;
        within(0..=4096, [("sample.standing_batches", self.sample.standing_batches)])?;
        let positive = [
            ("norm.spectral_eps", self.norm.spectral_eps),
            ("norm.eps", self.norm.eps),
            ("train.lr_generator", t.lr_generator),
            ("train.lr_discriminator", t.lr_discriminator),
        ];
        for (key, value) in positive {
            require(value.is_finite() && value > 0.0, key, "greater than 0", value)?;
        }
        for (key, value) in [("train.beta1", t.beta1), ("train.beta2", t.beta2), ("train.average", t.average)]
        {
            require((0.0..1.0).contains(&value), key, "from 0 to below 1", value)?;
        }
        require((0.0..=1.0).contains(&self.norm.momentum), "norm.momentum", "0 to 1", self.norm.momentum)?;
        let accepted = format!("0, or up to `train.batch` ({})", t.batch);
        require(t.micro_batch <= t.batch, "train.micro_batch", &accepted, t.micro_batch)?;
        let strength = t.orthogonal;
        require(strength.is_finite() && strength >= 0.0, "train.orthogonal", "0 or greater", strength)?;
        self.validate_widths()?;
        self.validate_clip()?;
        self.validate_classes()?;
        self.validate_attention()?;
        self.validate_memory()
    }
}

impl Config {
    fn validate_widths(&self) -> Result<()> {
        let (g, d) = (&self.generator, &self.discriminator);
        for (key, width, multipliers) in [
            ("generator.multipliers", g.width, &g.multipliers),
            ("discriminator.multipliers", d.width, &d.multipliers),
        ] {
            within(1..=WIDEST, [(key, width)])?;
            let accepted = "3 to 8 numbers above 0, one more than there are stages";
            let sound = (3..=8).contains(&multipliers.len()) && !multipliers.contains(&0);
            require(sound, key, accepted, format!("{multipliers:?}"))?;
            let widest = multipliers.iter().map(|m| m.saturating_mul(width)).max().unwrap_or(0);
            require(widest <= WIDEST, key, &format!("at most {WIDEST} channels"), widest)?;
        }
        let (wanted, found) = (g.multipliers.len(), d.multipliers.len());
        require(found == wanted, "discriminator.multipliers", &format!("{wanted} as the generator's"), found)
    }

    fn validate_clip(&self) -> Result<()> {
        let Clip { frames, given, side, channels } = self.clip;
        require(matches!(channels, 1 | 3), "clip.channels", "1 or 3", channels)?;
        let own = 4 << self.stages();
        let accepted = format!("{own} with {} stages (`generator.multipliers`)", self.stages());
        require(side == own, "clip.side", &accepted, side)?;
        within(4..=LONGEST, [("clip.frames", frames)])?;
        within(0..=frames - 1, [("clip.given", given)])?;
        within(1..=frames - given, [("discriminator.frames", self.discriminator.frames)])?;
        let standing = self.sample.standing_batches;
        require(given == 0 || standing == 0, "sample.standing_batches", "0 with given frames", standing)
    }

    fn validate_classes(&self) -> Result<()> {
        let (groups, counts) = (&self.classes.groups, &self.classes.counts);
        let (key, found) = ("classes.counts", format!("{counts:?}"));
        require(groups.len() == counts.len(), key, "one for each of `classes.groups`", &found)?;
        let total = counts.iter().try_fold(1usize, |total, n| total.checked_mul(*n)).unwrap_or(usize::MAX);
        let accepted = format!("1 or more each, with at most {MANY} combinations");
        require((1..=MANY).contains(&total), key, &accepted, found)?;
        let unique = groups.iter().enumerate().all(|(k, name)| !groups[..k].contains(name));
        let sound = unique && groups.iter().all(|name| !name.is_empty());
        require(sound, "classes.groups", "different names", format!("{groups:?}"))?;
        let given = self.clip.given;
        require(given == 0 || groups.is_empty(), "classes.groups", "empty with given frames", groups.len())
    }

    fn validate_attention(&self) -> Result<()> {
        let (d, widths) = (&self.discriminator, self.discriminator_widths());
        for (key, sides, first, input) in [
            ("discriminator.spatial_attention", &d.spatial_attention, 0, self.clip.side),
            ("discriminator.temporal_attention", &d.temporal_attention, 1, self.clip.side / 2),
        ] {
            let own: Vec<usize> = (first..self.stages()).map(|block| input >> (block + 1)).collect();
            for side in sides {
                let block = own.iter().position(|s| s == side);
                // Keys are pooled: a map of 1x1 has none.
                let accepted = format!("sides of its feature maps of at least 2: {own:?}");
                require(block.is_some() && *side >= 2, key, &accepted, side)?;
                let channels = widths[block.unwrap_or(0) + first + 1];
                let accepted = "maps with a multiple of 8 channels (`discriminator.multipliers`)";
                require(channels.is_multiple_of(8), key, accepted, format!("{channels} channels"))?;
            }
        }
        let (g, widths) = (&self.generator, self.generator_widths());
        for (key, on, channels) in [
            ("generator.attention_full", g.attention_full, widths[0]),
            ("generator.attention_separable", g.attention_separable, widths[self.stages() - 1]),
        ] {
            let accepted = "false, or its feature maps have a multiple of 8 channels";
            require(!on || channels.is_multiple_of(8), key, accepted, format!("{channels} channels"))?;
        }
        Ok(())
    }

    /// Values that are each accepted may still ask for too much together.
    fn validate_memory(&self) -> Result<()> {
        let widest = |widths: &[usize]| widths.iter().copied().max().unwrap_or(0) as u64;
        let (wide, narrow) = (widest(&self.generator_widths()), widest(&self.discriminator_widths()));
        let numbers = [
            (
                "train.batch",
                "a step's clips fill",
                (self.clips_of_a_step() * self.clip.frames) as u64 * (self.clip.side * self.clip.side) as u64,
            ),
            ("generator.width", "a convolution has", 18 * wide * wide),
            ("discriminator.width", "a convolution has", 27 * narrow * narrow),
            ("latent.noise", "a first layer has", 16 * wide * self.condition() as u64),
            (
                "classes.counts",
                "an embedding has",
                self.class_count() as u64 * narrow.max(self.condition() as u64),
            ),
        ];
        for (key, what, numbers) in numbers {
            let accepted =
                format!("small enough together with other sizes: {what} at most {MOST_NUMBERS} numbers");
            require(numbers <= MOST_NUMBERS, key, &accepted, format!("{numbers} numbers"))?;
        }
        Ok(())
    }
}
