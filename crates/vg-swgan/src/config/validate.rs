//! What values are accepted, alone and together.

use vg_core::Result;
use vg_core::config::{ModelConfig, Preset, require, within};

use super::{Config, Variant};
use crate::presets::PRESETS;
use crate::sizes::{LEVELS, SMALLEST};

/// Most channels of a layer, and largest vectors.
const WIDEST: usize = 1 << 12;
/// Largest batches.
const MANY: usize = 1 << 12;
/// Longest phases.
const LONG: u64 = 1 << 40;

impl ModelConfig for Config {
    const PRESETS: &'static [Preset<Self>] = PRESETS;

    fn validate(&self) -> Result<()> {
        require(matches!(self.clip.channels, 1 | 3), "clip.channels", "1 or 3", self.clip.channels)?;
        let n = &self.networks;
        let sizes = [
            ("networks.base_channels", n.base_channels),
            ("networks.max_channels", n.max_channels),
            ("networks.latent", n.latent),
            ("networks.features", n.features),
            ("networks.stddev_group", n.stddev_group),
            ("image.width", self.image.width),
            ("autoencoder.code", self.autoencoder.code),
            ("autoencoder.width", self.autoencoder.width),
        ];
        within(1..=WIDEST, sizes)?;
        within(
            1..=64,
            [("networks.dual_blocks", n.dual_blocks), ("autoencoder.blocks", self.autoencoder.blocks)],
        )?;
        within(1..=27, [("networks.up_taps", n.up_taps)])?;
        within(2..=WIDEST, [("autoencoder.bins", self.autoencoder.bins)])?;
        self.validate_train()?;
        match self.variant {
            Variant::Video => self.validate_video(),
            Variant::Image => self.validate_side(16),
            // A batch of one has no distribution.
            Variant::Autoencoder => {
                within(2..=MANY, [("train.batch", self.train.batch)])?;
                self.validate_side(8)
            }
        }
    }
}

impl Config {
    fn validate_side(&self, multiple: usize) -> Result<()> {
        let side = self.clip.side;
        let fits = (multiple..=1024).contains(&side) && side.is_multiple_of(multiple);
        require(fits, "clip.side", &format!("a multiple of {multiple} up to 1024"), side)
    }

    fn validate_train(&self) -> Result<()> {
        let (t, p) = (&self.train, &self.penalties);
        within(1..=MANY, [("train.batch", t.batch)])?;
        within(1..=64, [("train.critic_steps", t.critic_steps)])?;
        for (key, value) in [("train.lr", t.lr), ("train.eps", t.eps)] {
            require(value.is_finite() && value > 0.0, key, "greater than 0", value)?;
        }
        for (key, value) in [("train.beta1", t.beta1), ("train.beta2", t.beta2), ("train.average", t.average)]
        {
            require((0.0..1.0).contains(&value), key, "from 0 to below 1", value)?;
        }
        for (key, value) in [("penalties.gradient", p.gradient), ("penalties.feature", p.feature)] {
            require(value.is_finite() && value >= 0.0, key, "0 or greater", value)?;
        }
        require(p.target.is_finite(), "penalties.target", "a number", p.target)
    }

    fn validate_video(&self) -> Result<()> {
        let side = self.clip.side;
        let is_size = side.is_power_of_two() && (8..=256).contains(&side);
        require(is_size, "clip.side", "a power of two from 8 to 256", side)?;
        let (levels, n) = (self.levels(), &self.networks);
        let last = self.channels(levels);
        require(
            last >= 1,
            "networks.base_channels",
            &format!("at least {}, so that {side} pixels have a channel", 1 << (levels - 1)),
            n.base_channels,
        )?;
        let (g, most) = (&self.growth, levels - SMALLEST);
        require(
            (0.0..=most as f64).contains(&g.start_lod),
            "growth.start_lod",
            &format!("from 0 to {most} (4x4 pixels)"),
            g.start_lod,
        )?;
        require(
            (1..=LONG).contains(&g.refresh_steps),
            "growth.refresh_steps",
            "at least 1",
            g.refresh_steps,
        )?;
        for k in 0..LEVELS {
            let clips = [g.stable_clips[k], g.fade_clips[k]];
            require(
                clips.iter().all(|c| *c <= LONG),
                "growth.stable_clips",
                "phases of at most 2^40 clips",
                format!("{clips:?}"),
            )?;
            let (batch, lr) = (g.batch[k], g.lr[k]);
            within(1..=MANY, [("growth.batch", batch)])?;
            let whole = batch.is_multiple_of(n.stddev_group.min(batch));
            let wanted = format!("multiples of networks.stddev_group ({}) or smaller", n.stddev_group);
            require(whole, "growth.batch", &wanted, batch)?;
            require(lr.is_finite() && lr > 0.0, "growth.lr", "greater than 0", lr)?;
        }
        Ok(())
    }
}
