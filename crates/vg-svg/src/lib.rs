#![doc = include_str!("../README.md")]

pub mod config;
pub mod convert;
mod decoder;
mod draws;
mod encoder;
mod gaussian;
mod groups;
mod layers;
pub mod loss;
mod networks;
#[cfg(feature = "testing")]
pub mod parity;
mod presets;
mod recurrent;
mod rollout;
mod sample;
mod train;
mod uncertainty;
mod unroll;

use vg_core::Result;
use vg_core::checkpoint::Weights;
use vg_core::model::{Card, Entry, Init, Model};

pub use config::Config;
pub use decoder::{Decoder, Given};
pub use draws::Draws;
pub use encoder::{Encoded, Encoder};
pub use gaussian::Gaussian;
pub use networks::{LatentNetworks, Networks};
pub use recurrent::{FramePredictor, GaussianLstm, States};
pub use rollout::{Latents, rollout};
pub use sample::SvgSampler;
pub use train::SvgTrainer;
pub use unroll::{Unrolled, unroll};

/// Stochastic Video Generation with a Learned Prior.
pub struct Svg;

/// The model for programs that know many.
pub const ENTRY: Entry = Entry::of::<Svg>();

impl Model for Svg {
    const CARD: Card = Card {
        name: "svg",
        title: "SVG: Stochastic Video Generation with a Learned Prior",
        paper: "arXiv:1802.07687",
        year: 2018,
    };
    type Config = Config;
    type Trainer = SvgTrainer;
    type Sampler = SvgSampler;

    fn trainer(config: &Config, init: &Init) -> Result<SvgTrainer> {
        SvgTrainer::new(config, init)
    }

    fn sampler(config: &Config, weights: &Weights, init: &Init) -> Result<SvgSampler> {
        SvgSampler::new(config, weights, init)
    }
}
