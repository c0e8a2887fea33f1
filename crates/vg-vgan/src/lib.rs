#![doc = include_str!("../README.md")]

mod classifier;
pub mod config;
pub mod convert;
mod discriminator;
mod encoder;
mod generator;
mod layers;
pub mod loss;
mod mixture;
#[cfg(feature = "testing")]
pub mod parity;
mod presets;
mod sample;
pub mod t7;
mod train;

use vg_core::Result;
use vg_core::checkpoint::Weights;
use vg_core::model::{Card, Entry, Init, Model};

pub use classifier::Classifier;
pub use config::Config;
pub use discriminator::Discriminator;
pub use encoder::Encoder;
pub use generator::{Generator, Parts, Streams};
pub use mixture::Mixture;
pub use sample::VganSampler;
pub use train::{
    AdversarialTrainer, AutoencoderTrainer, ClassifierTrainer, Draws, GeneratorLosses, Losses, VganTrainer,
};

/// Generating Videos with Scene Dynamics.
pub struct Vgan;

/// The model for programs that know many.
pub const ENTRY: Entry = Entry::of::<Vgan>();

impl Model for Vgan {
    const CARD: Card = Card {
        name: "vgan",
        title: "Generating Videos with Scene Dynamics",
        paper: "arXiv:1609.02612",
        year: 2016,
    };
    type Config = Config;
    type Trainer = VganTrainer;
    type Sampler = VganSampler;

    fn trainer(config: &Config, init: &Init) -> Result<VganTrainer> {
        VganTrainer::new(config, init)
    }

    fn sampler(config: &Config, weights: &Weights, init: &Init) -> Result<VganSampler> {
        VganSampler::new(config, weights, init)
    }
}
