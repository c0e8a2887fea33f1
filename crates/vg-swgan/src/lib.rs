#![doc = include_str!("../README.md")]

pub mod autoencoder;
pub mod config;
pub mod convert;
mod deviation;
mod discriminator;
pub mod distance;
mod draws;
mod dual;
mod features;
mod generator;
pub mod growth;
pub mod image;
mod kernel;
mod layers;
pub mod loss;
pub mod orthogonal;
#[cfg(feature = "testing")]
pub mod parity;
mod presets;
mod sample;
pub mod sizes;
mod train;

use vg_core::Result;
use vg_core::checkpoint::Weights;
use vg_core::model::{Card, Entry, Init, Model};

pub use config::Config;
pub use discriminator::{Pass, Trunk, TrunkAt};
pub use draws::{CriticDraws, Draws, Points};
pub use dual::{DualAt, DualBlocks, Outputs};
pub use features::Features;
pub use generator::Generator;
pub use sample::{AutoencoderSampler, ImageSampler, SwganSampler, VideoSampler};
pub use train::{AutoencoderTrainer, ImageTrainer, Reconstructed, Step, SwganTrainer, VideoTrainer};

/// Sliced Wasserstein Generative Models.
pub struct Swgan;

/// The model for programs that know many.
pub const ENTRY: Entry = Entry::of::<Swgan>();

impl Model for Swgan {
    const CARD: Card = Card {
        name: "swgan",
        title: "Sliced Wasserstein Generative Models",
        paper: "arXiv:1904.05408",
        year: 2019,
    };
    type Config = Config;
    type Trainer = SwganTrainer;
    type Sampler = SwganSampler;

    fn trainer(config: &Config, init: &Init) -> Result<SwganTrainer> {
        SwganTrainer::new(config, init)
    }

    fn sampler(config: &Config, weights: &Weights, init: &Init) -> Result<SwganSampler> {
        SwganSampler::new(config, weights, init)
    }
}
