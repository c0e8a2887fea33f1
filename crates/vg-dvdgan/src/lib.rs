#![doc = include_str!("../README.md")]

mod attention;
mod classes;
mod condition;
pub mod config;
pub mod convert;
mod discriminator;
mod discriminator_block;
mod draws;
mod generator;
mod generator_block;
mod layers;
pub mod loss;
pub mod macs;
#[cfg(feature = "testing")]
pub mod parity;
mod presets;
mod sample;
mod stage;
mod standing;
mod train;

use vg_core::Result;
use vg_core::checkpoint::Weights;
use vg_core::model::{Card, Entry, Init, Model};

pub use attention::{Attention, FrameAttention, Reach};
pub use condition::ConditioningStack;
pub use config::Config;
pub use discriminator::Discriminator;
pub use draws::{Draw, Draws};
pub use generator::Generator;
pub use layers::Run;
pub use sample::DvdganSampler;
pub use stage::Stage;
pub use train::{DvdganTrainer, Losses, Real};

/// Adversarial Video Generation on Complex Datasets.
pub struct Dvdgan;

/// The model for programs that know many.
pub const ENTRY: Entry = Entry::of::<Dvdgan>();

impl Model for Dvdgan {
    const CARD: Card = Card {
        name: "dvdgan",
        title: "Adversarial Video Generation on Complex Datasets",
        paper: "arXiv:1907.06571",
        year: 2019,
    };
    type Config = Config;
    type Trainer = DvdganTrainer;
    type Sampler = DvdganSampler;

    fn trainer(config: &Config, init: &Init) -> Result<DvdganTrainer> {
        DvdganTrainer::new(config, init)
    }

    fn sampler(config: &Config, weights: &Weights, init: &Init) -> Result<DvdganSampler> {
        DvdganSampler::new(config, weights, init)
    }
}
