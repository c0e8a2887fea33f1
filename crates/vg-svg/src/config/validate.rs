//! What values are accepted, alone and together.

use vg_core::Result;
use vg_core::config::{ModelConfig, Preset, require, within};

use super::{BackboneKind, Clip, Config, SkipSource};
use crate::presets::PRESETS;
use crate::sample::MAX_FRAMES;

/// Largest size of a latent, a vector, a state or a batch.
const MANY: usize = 1 << 16;
/// Largest width of a network; its layers have up to sixteen times as many channels.
const WIDEST: usize = 1024;
/// Most cells of a recurrent network.
const DEEPEST: usize = 16;
/// Most numbers of one tensor, or of a step's activations: beyond what a machine holds, and far below where sizes overflow.
const MOST_NUMBERS: u64 = 1 << 36;

impl ModelConfig for Config {
    const PRESETS: &'static [Preset<Self>] = PRESETS;

    fn validate(&self) -> Result<()> {
        let (b, r, t) = (&self.backbone, &self.recurrent, &self.train);
        self.validate_clip()?;
        within(1..=WIDEST, [("backbone.width", b.width)])?;
        within(
            1..=MANY,
            [
                ("backbone.features", b.features),
                ("recurrent.hidden", r.hidden),
                ("recurrent.latent", r.latent),
                ("train.frame_stride", t.frame_stride),
            ],
        )?;
        within(
            1..=DEEPEST,
            [
                ("recurrent.predictor_layers", r.predictor_layers),
                ("recurrent.posterior_layers", r.posterior_layers),
                ("recurrent.prior_layers", r.prior_layers),
            ],
        )?;
        within(2..=MANY, [("train.batch", t.batch)])?;
        let micro = t.micro_batch;
        let fits = micro == 0 || (2..=t.batch).contains(&micro) && t.batch % micro != 1;
        let accepted = format!(
            "0, or from 2 to `train.batch` ({}) so that the last part has 2 clips or more: batch norms see nothing in one",
            t.batch
        );
        require(fits, "train.micro_batch", &accepted, micro)?;
        for (key, value) in [("backbone.init_std", b.init_std), ("train.beta", t.beta)] {
            require(value.is_finite() && value >= 0.0, key, "0 or greater", value)?;
        }
        let positive = [
            ("backbone.slope", b.slope),
            ("backbone.norm_eps", b.norm_eps),
            ("train.lr", t.lr),
            ("train.eps", t.eps),
        ];
        for (key, value) in positive {
            require(value.is_finite() && value > 0.0, key, "greater than 0", value)?;
        }
        for (key, value) in [("train.beta1", t.beta1), ("train.beta2", t.beta2)] {
            require((0.0..1.0).contains(&value), key, "from 0 to below 1", value)?;
        }
        let momentum = b.norm_momentum;
        require((0.0..=1.0).contains(&momentum), "backbone.norm_momentum", "from 0 to 1", momentum)?;
        self.validate_memory()
    }
}

impl Config {
    fn validate_clip(&self) -> Result<()> {
        let Clip { side, channels, past, future } = self.clip;
        require(matches!(channels, 1 | 3), "clip.channels", "1 or 3", channels)?;
        require(side.is_power_of_two(), "clip.side", "a power of two", side)?;
        within(16..=256, [("clip.side", side)])?;
        within(1..=MAX_FRAMES / 2, [("clip.past", past), ("clip.future", future)])?;
        if self.backbone.skip_source == SkipSource::Official {
            let accepted = "2 or more for `backbone.skip_source = \"official\"`, which takes the feature maps of the given frame before the last";
            require(past >= 2, "clip.past", accepted, past)?;
        }
        let accepted = format!("above `clip.past` ({past}), and at most {MAX_FRAMES}");
        let frames = self.sample.frames;
        require(frames > past && frames <= MAX_FRAMES, "sample.frames", &accepted, frames)
    }

    /// Values that are each accepted may still ask for too much together.
    fn validate_memory(&self) -> Result<()> {
        let (b, r) = (&self.backbone, &self.recurrent);
        let of = |n: usize| n as u64;
        let coarsest = of(b.width) * 8;
        let area = match b.kind {
            BackboneKind::Dcgan => of(self.clip.side * self.clip.side) / 4,
            BackboneKind::Vgg => of(self.clip.side * self.clip.side),
        };
        let frames = of(self.train.batch) * of(self.clip.past + self.clip.future);
        let inputs = of(b.features + r.latent).max(of(r.hidden));
        let sizes = [
            ("train.batch", "the finest feature maps of a step have", frames * area * of(b.width)),
            ("backbone.features", "the decoder's first layer has", of(b.features) * coarsest * 16),
            ("recurrent.hidden", "a recurrent cell has", 4 * of(r.hidden) * inputs),
        ];
        for (key, what, numbers) in sizes {
            let accepted =
                format!("smaller together with the other sizes: {what} at most {MOST_NUMBERS} numbers");
            require(numbers <= MOST_NUMBERS, key, &accepted, format!("{numbers} numbers"))?;
        }
        Ok(())
    }
}
