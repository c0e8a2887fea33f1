#![doc = include_str!("../README.md")]

pub mod config;
pub mod convert;
mod discriminator;
mod draws;
mod encoder;
mod generator;
mod layers;
pub mod loss;
mod motion;
mod noise;
#[cfg(feature = "testing")]
pub mod parity;
mod path;
mod presets;
mod sample;
mod train;

use vg_core::Result;
use vg_core::checkpoint::Weights;
use vg_core::model::{Card, Entry, Init, Model};

pub use config::Config;
pub use discriminator::{Discriminator, ImageDiscriminator, Logits, VideoDiscriminator};
pub use draws::{Draws, Latents};
pub use encoder::Encoder;
pub use generator::{Generator, ImageGenerator, Start};
pub use motion::MotionNetwork;
pub use noise::Noise;
pub use sample::MocoganSampler;
pub use train::{Losses, MocoganTrainer, Real};

/// Decomposing Motion and Content for Video Generation.
pub struct Mocogan;

/// The model for programs that know many.
pub const ENTRY: Entry = Entry::of::<Mocogan>();

impl Model for Mocogan {
    const CARD: Card = Card {
        name: "mocogan",
        title: "MoCoGAN: Decomposing Motion and Content for Video Generation",
        paper: "arXiv:1707.04993",
        year: 2018,
    };
    type Config = Config;
    type Trainer = MocoganTrainer;
    type Sampler = MocoganSampler<'static>;

    fn trainer(config: &Config, init: &Init) -> Result<MocoganTrainer> {
        MocoganTrainer::new(config, init)
    }

    fn sampler(config: &Config, weights: &Weights, init: &Init) -> Result<MocoganSampler<'static>> {
        MocoganSampler::new(config, weights, init)
    }
}
