//! Metrics of video generation, each under a name that fixes its protocol.

pub mod acd;
pub mod bootstrap;
mod error;
mod features;
pub mod frechet;
mod gaussian;
pub mod inception_score;
pub mod kernel;
mod linalg;
mod pixels;
pub mod precision_recall;
pub mod sanity;
pub mod similarity;
pub mod sliced_wasserstein;

pub use error::{Error, Result};
pub use features::Features;
pub use gaussian::{Divisor, Gaussian};
pub use pixels::{Clip, Frames, Image};
