//! What values are accepted, alone and together.

use vg_core::Result;
use vg_core::config::{ModelConfig, Preset, require, within};

use super::Config;
use crate::presets::PRESETS;

/// Largest side of a frame.
const LARGEST: usize = 1 << 13;
/// Largest width of a layer.
const WIDEST: usize = 1 << 13;
/// Most frames of a sequence.
const LONGEST: usize = 1 << 12;

impl ModelConfig for Config {
    const PRESETS: &'static [Preset<Self>] = PRESETS;

    fn validate(&self) -> Result<()> {
        let (g, d, t) = (&self.generator, &self.discriminator, &self.train);
        within(
            1..=LONGEST,
            [
                ("clip.frames", self.clip.frames),
                ("train.frames", t.frames),
                ("train.chunk", t.chunk),
                ("train.longest", t.longest),
                ("train.backprop_frames", t.backprop_frames),
                ("train.frame_stride", t.frame_stride),
                ("train.batch", t.batch),
            ],
        )?;
        within(1..=WIDEST, [("generator.width", g.width), ("discriminator.width", d.width)])?;
        within(
            1..=6,
            [
                ("generator.downsamplings", g.downsamplings),
                ("discriminator.layers", d.layers),
                ("discriminator.scales", d.scales),
            ],
        )?;
        within(1..=4, [("generator.scales", g.scales)])?;
        within(2..=8, [("generator.frames", g.frames), ("discriminator.frames", d.frames)])?;
        within(0..=64, [("generator.blocks", g.blocks), ("generator.local_blocks", g.local_blocks)])?;
        within(0..=3, [("discriminator.temporal_scales", d.temporal_scales)])?;
        self.validate_sizes()?;
        self.validate_maps()?;
        self.validate_training()
    }
}

impl Config {
    fn validate_sizes(&self) -> Result<()> {
        let g = &self.generator;
        // Reflections of 3 need more than 3 positions, those of residual blocks more than one, and batch norms more than one.
        let multiple = (1 << (g.downsamplings + g.scales - 1)).max(4 << (g.scales - 1));
        for (key, side) in [("clip.height", self.clip.height), ("clip.width", self.clip.width)] {
            let accepted = format!(
                "a multiple of {multiple} up to {LARGEST}, at least {}, for {} halvings (`generator.downsamplings`) of the coarsest of {} scales (`generator.scales`)",
                2 * multiple,
                g.downsamplings,
                g.scales
            );
            let sound = side.is_multiple_of(multiple) && (2 * multiple..=LARGEST).contains(&side);
            require(sound, key, &accepted, side)?;
        }
        let (finest, front) = self.widths(g.scales - 1);
        let accepted = format!("a multiple of {} for `generator.scales` = {}", 1 << g.scales, g.scales);
        let exact = g.width == finest << (g.scales - 1);
        require(exact && finest > 0 && front > 0, "generator.width", &accepted, g.width)
    }

    fn validate_maps(&self) -> Result<()> {
        let (m, g) = (&self.maps, &self.generator);
        within(0..=1024, [("maps.classes", m.classes), ("features.channels", self.features.channels)])?;
        if m.classes == 0 {
            within(1..=1024, [("maps.channels", m.channels)])?;
            let accepted = "empty without classes (`maps.classes` = 0)";
            require(
                g.foreground.is_empty(),
                "generator.foreground",
                accepted,
                format!("{:?}", g.foreground),
            )?;
        }
        let accepted = format!("classes below {} (`maps.classes`), each once", m.classes);
        let once = g.foreground.iter().enumerate().all(|(k, class)| !g.foreground[..k].contains(class));
        let known = g.foreground.iter().all(|class| *class < m.classes);
        require(once && known, "generator.foreground", &accepted, format!("{:?}", g.foreground))?;
        let face = self.discriminator.face;
        let three = self.source_channels() >= 3 && m.classes == 0;
        let accepted =
            "false without continuous maps of three channels or more, the third of which marks faces";
        require(!face || three, "discriminator.face", accepted, face)?;
        require(
            !face || self.clip.height >= 32,
            "clip.height",
            "at least 32 for `discriminator.face`",
            self.clip.height,
        )?;
        if self.features.channels > 0 {
            within(1..=WIDEST, [("features.width", self.features.width)])?;
            within(1..=6, [("features.downsamplings", self.features.downsamplings)])?;
            let multiple = 1 << self.features.downsamplings;
            let sound = self.clip.height.is_multiple_of(multiple) && self.clip.width.is_multiple_of(multiple);
            let accepted = format!(
                "small enough for {}x{} to be a multiple of 2 to its power",
                self.clip.height, self.clip.width
            );
            require(sound, "features.downsamplings", &accepted, self.features.downsamplings)?;
        }
        Ok(())
    }

    fn validate_training(&self) -> Result<()> {
        let (t, l) = (&self.train, &self.loss);
        for (key, weight) in [
            ("loss.feature_matching", l.feature_matching),
            ("loss.perceptual", l.perceptual),
            ("loss.flow", l.flow),
            ("loss.warp", l.warp),
            ("loss.output_warp", l.output_warp),
            ("loss.mask", l.mask),
            ("loss.face", l.face),
        ] {
            require(weight.is_finite() && weight >= 0.0, key, "0 or greater", weight)?;
        }
        require(t.lr.is_finite() && t.lr > 0.0, "train.lr", "greater than 0", t.lr)?;
        for (key, beta) in [("train.beta1", t.beta1), ("train.beta2", t.beta2)] {
            require((0.0..1.0).contains(&beta), key, "from 0 to below 1", beta)?;
        }
        let accepted = format!("at least `train.frames` ({})", t.frames);
        require(t.longest >= t.frames, "train.longest", &accepted, t.longest)
    }
}
