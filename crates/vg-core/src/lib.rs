//! Shared parts of the `vg` video models: tensor operations, layers, losses, optimizers, checkpoints, the traits of a model and the training driver.
//!
//! | module | what |
//! |---|---|
//! | [`ops`] | convolution in 1 to 3 dimensions with its gradients, batch norm, singular value clipping |
//! | [`nn`] | layers over `ops` with PyTorch's weight layouts |
//! | [`rng`] | one seed, any number of named random streams |
//! | [`batch`] | what a trainer asks of the data, and what it gets |

pub mod batch;
mod error;
pub mod nn;
pub mod ops;
pub mod rng;
mod shape;
#[cfg(feature = "testing")]
pub mod testing;

pub use batch::{Batch, BatchSource, BatchSpec, Pixels, SourceInfo};
pub use error::{Error, Result};
pub use rng::Rng;
pub use shape::ClipSpec;
