#![doc = include_str!("../README.md")]

pub mod config;
pub mod convert;
mod discriminator;
mod encoder;
mod generator;
mod layers;
pub mod loss;
mod networks;
#[cfg(feature = "testing")]
pub mod parity;
mod perceptual;
pub mod picture;
mod presets;
mod rollout;
mod sample;
pub mod source;
mod temporal;
mod train;

use vg_core::Result;
use vg_core::checkpoint::Weights;
use vg_core::model::{Card, Entry, Init, Model};

pub use config::Config;
pub use discriminator::{Discriminator, Features};
pub use encoder::Encoder;
pub use generator::{Generated, Generator, Prepared};
pub use layers::{Run, halve};
pub use networks::{Judges, Makers};
pub use perceptual::{Vgg, WIDTHS as VGG_WIDTHS};
pub use rollout::{Options, Past, Rollout, rollout};
pub use sample::{Vid2vidSampler, Vid2vidStream};
pub use temporal::groups;
pub use train::{Carry, Chunk, Outcome, Term, Vid2vidTrainer, Whose};

/// Video-to-Video Synthesis.
pub struct Vid2vid;

/// The model for programs that know many.
pub const ENTRY: Entry = Entry::of::<Vid2vid>();

impl Model for Vid2vid {
    const CARD: Card =
        Card { name: "vid2vid", title: "Video-to-Video Synthesis", paper: "arXiv:1808.06601", year: 2018 };
    type Config = Config;
    type Trainer = Vid2vidTrainer;
    type Sampler = Vid2vidSampler;

    fn trainer(config: &Config, init: &Init) -> Result<Vid2vidTrainer> {
        Vid2vidTrainer::new(config, init)
    }

    fn sampler(config: &Config, weights: &Weights, init: &Init) -> Result<Vid2vidSampler> {
        Vid2vidSampler::new(config, weights, init)
    }
}
