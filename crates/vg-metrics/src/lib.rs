//! Metrics of video generation, each under a name that fixes its protocol.

pub mod bootstrap;
mod error;
mod features;
pub mod frechet;
mod gaussian;
pub mod inception_score;
pub mod kernel;
mod linalg;
pub mod precision_recall;

pub use error::{Error, Result};
pub use features::Features;
pub use gaussian::{Divisor, Gaussian};
