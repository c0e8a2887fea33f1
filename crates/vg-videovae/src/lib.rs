#![doc = include_str!("../README.md")]

mod attributes;
pub mod config;
pub mod convert;
mod decoder;
mod draws;
mod encoder;
mod evaluation;
mod gaussian;
mod layers;
pub mod loss;
mod networks;
#[cfg(feature = "testing")]
pub mod parity;
mod presets;
mod rollout;
mod sample;
mod train;
mod unroll;

use vg_core::Result;
use vg_core::checkpoint::Weights;
use vg_core::model::{Card, Entry, Init, Model};

pub use attributes::{AttributeNet, infer, majority, one_hot};
pub use config::Config;
pub use decoder::Decoder;
pub use draws::{Draws, Supervision};
pub use encoder::Encoder;
pub use evaluation::EvaluationClassifier;
pub use gaussian::{Gaussian, GaussianNet};
pub use networks::{Mlp, Networks};
pub use rollout::{Rollout, rollout};
pub use sample::VideovaeSampler;
pub use train::{AttributeTrainer, EvaluationTrainer, VideoTrainer, VideovaeTrainer};
pub use unroll::{Unrolled, encode, unroll};

/// Probabilistic Video Generation using Holistic Attribute Control.
pub struct Videovae;

/// The model for programs that know many.
pub const ENTRY: Entry = Entry::of::<Videovae>();

impl Model for Videovae {
    const CARD: Card = Card {
        name: "videovae",
        title: "Probabilistic Video Generation using Holistic Attribute Control",
        paper: "arXiv:1803.08085",
        year: 2018,
    };
    type Config = Config;
    type Trainer = VideovaeTrainer;
    type Sampler = VideovaeSampler;

    fn trainer(config: &Config, init: &Init) -> Result<VideovaeTrainer> {
        VideovaeTrainer::new(config, init)
    }

    fn sampler(config: &Config, weights: &Weights, init: &Init) -> Result<VideovaeSampler> {
        VideovaeSampler::new(config, weights, init)
    }
}
