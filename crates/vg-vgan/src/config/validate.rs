//! What values are accepted, alone and together.

use vg_core::Result;
use vg_core::config::{ModelConfig, Preset, require, within};

use super::{Config, SHRINK, Start, Trained};
use crate::presets::PRESETS;

/// Largest size of a latent, batch or list of classes.
const MANY: usize = 1 << 16;
/// Largest width of a network; its layers have up to eight times as many channels.
const WIDEST: usize = 1024;
/// Most frames of a clip.
const LONGEST: usize = 4096;
/// Most codes that the mixture is fitted to.
const MOST_CODES: usize = 1 << 20;
/// Most iterations of fitting it.
const MOST_ITERATIONS: usize = 10_000;
/// Most numbers of one tensor: beyond what a machine holds, and far below where sizes overflow.
const MOST_NUMBERS: u64 = 1 << 34;

impl ModelConfig for Config {
    const PRESETS: &'static [Preset<Self>] = PRESETS;

    fn validate(&self) -> Result<()> {
        for (key, value) in [("clip.frames", self.clip.frames), ("clip.size", self.clip.size)] {
            require(value >= SHRINK && value.is_multiple_of(SHRINK), key, "a multiple of 16", value)?;
        }
        within(SHRINK..=LONGEST, [("clip.frames", self.clip.frames)])?;
        within(SHRINK..=1024, [("clip.size", self.clip.size)])?;
        within(
            1..=WIDEST,
            [
                ("generator.channels", self.generator.channels),
                ("discriminator.channels", self.discriminator.channels),
            ],
        )?;
        within(
            1..=MANY,
            [
                ("generator.z_dim", self.generator.z_dim),
                ("classifier.classes", self.classifier.classes),
                ("mixture.components", self.mixture.components),
                ("train.batch", self.train.batch),
            ],
        )?;
        within(1..=MOST_CODES, [("mixture.codes", self.mixture.codes)])?;
        within(
            0..=MOST_ITERATIONS,
            [
                ("mixture.kmeans_iterations", self.mixture.kmeans_iterations),
                ("mixture.em_iterations", self.mixture.em_iterations),
            ],
        )?;
        self.validate_rates()?;
        let from_discriminator =
            self.classifier.trained == Trained::All || self.classifier.start == Start::Discriminator;
        let accepted = "`discriminator` where only the last layer learns (`classifier.trained`)";
        require(from_discriminator, "classifier.start", accepted, "random")?;
        self.validate_memory()
    }
}

impl Config {
    fn validate_rates(&self) -> Result<()> {
        let t = &self.train;
        for (key, value) in [("train.lr", t.lr), ("train.eps", t.eps)] {
            require(value.is_finite() && value > 0.0, key, "greater than 0", value)?;
        }
        for (key, value) in
            [("train.mask_weight", t.mask_weight), ("train.reconstruction_weight", t.reconstruction_weight)]
        {
            require(value.is_finite() && value >= 0.0, key, "0 or greater", value)?;
        }
        let below_1 = [
            ("train.beta1", t.beta1),
            ("train.beta2", t.beta2),
            ("classifier.dropout", self.classifier.dropout),
        ];
        for (key, value) in below_1 {
            require((0.0..1.0).contains(&value), key, "from 0 to below 1", value)?;
        }
        Ok(())
    }

    /// Values that are each accepted may still ask for too much together.
    fn validate_memory(&self) -> Result<()> {
        let product = |factors: &[usize]| factors.iter().map(|n| *n as u64).product::<u64>();
        let (clip, base) = (&self.clip, self.base().iter().product::<usize>());
        let (g, d, z) = (self.generator.channels, self.discriminator.channels, self.generator.z_dim);
        let (codes, components) = (self.mixture.codes, self.mixture.components);
        let widest = g.max(d);
        let sizes = [
            (
                "train.batch",
                "clips fill",
                product(&[self.train.batch, clip.frames, clip.size, clip.size, widest]),
            ),
            ("generator.z_dim", "the layers at the latent have", product(&[z, 8 * widest, base])),
            ("classifier.classes", "the last layer has", product(&[self.classifier.classes, 8 * d, base])),
            ("mixture.codes", "fitting them takes", product(&[codes, components.max(z)])),
            ("mixture.components", "their means fill", product(&[components, z])),
        ];
        for (key, what, numbers) in sizes {
            let accepted =
                format!("small enough together with other sizes: {what} at most {MOST_NUMBERS} numbers");
            require(numbers <= MOST_NUMBERS, key, &accepted, format!("{numbers} numbers"))?;
        }
        Ok(())
    }
}
