//! Shared parts of the `vg` video models: tensor operations, layers, losses, optimizers, checkpoints, the traits of a model and the
//! training driver.
//!
//! | module | what |
//! |---|---|
//! | [`ops`] | convolution in 1 to 3 dimensions with its gradients, batch norm, singular value clipping |
//! | [`grad`] | backward passes, with a tape that spares candle's zero-filled sums |
//! | [`nn`] | layers over `ops` with PyTorch's weight layouts, parameter stores, initialisers |
//! | [`loss`] | losses that several papers share |
//! | [`optim`] | Adam, RMSProp, parameter groups, moving averages |
//! | [`rng`] | one seed, any number of named random streams |
//! | [`batch`] | what a trainer asks of the data, and what it gets |
//! | [`config`] | presets, TOML and `key=value` on top |
//! | [`model`] | the traits that a model crate implements |
//! | [`train`] | the trainer trait and the loop that drives it |
//! | [`sample`] | the sampler trait |
//! | [`checkpoint`] | atomic, verified checkpoints and weight files |
//! | `testing` | feature `testing`: fixtures, parity, gradient checks, the conformance suite |

pub mod batch;
pub mod checkpoint;
pub mod config;
mod error;
pub mod grad;
pub mod loss;
pub mod model;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod rng;
pub mod sample;
mod shape;
#[cfg(feature = "testing")]
pub mod testing;
pub mod train;

pub use batch::{Batch, BatchSource, BatchSpec, ClassCount, Pixels, SourceInfo};
pub use error::{Error, Result};
pub use rng::Rng;
pub use shape::ClipSpec;
