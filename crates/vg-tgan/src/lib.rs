#![doc = include_str!("../README.md")]

pub mod config;
mod constraint;
pub mod convert;
mod discriminator;
mod generator;
mod latent;
mod layers;
pub mod loss;
#[cfg(feature = "testing")]
pub mod parity;
mod sample;
mod train;

use vg_core::Result;
use vg_core::checkpoint::Weights;
use vg_core::model::{Card, Entry, Init, Model};

pub use config::Config;
pub use constraint::{bound_gamma, constrain};
pub use discriminator::{Critic, noise_shapes};
pub use generator::{Generator, ImageGenerator, TemporalGan, TemporalGenerator, VolumeGenerator};
pub use latent::{draw_z0, interpolate};
pub use sample::TganSampler;
pub use train::{Draws, Gradients, TganTrainer};

/// Temporal Generative Adversarial Nets with Singular Value Clipping.
pub struct Tgan;

/// The model for programs that know many.
pub const ENTRY: Entry = Entry::of::<Tgan>();

impl Model for Tgan {
    const CARD: Card = Card {
        name: "tgan",
        title: "Temporal Generative Adversarial Nets with Singular Value Clipping",
        paper: "arXiv:1611.06624",
        year: 2017,
    };
    type Config = Config;
    type Trainer = TganTrainer;
    type Sampler = TganSampler<'static>;

    fn trainer(config: &Config, init: &Init) -> Result<TganTrainer> {
        TganTrainer::new(config, init)
    }

    fn sampler(config: &Config, weights: &Weights, init: &Init) -> Result<TganSampler<'static>> {
        TganSampler::new(config, weights, init)
    }
}
