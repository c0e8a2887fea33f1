//! Losses that several papers share.

mod adversarial;
mod cross_entropy;

pub use adversarial::{bce_with_logits, softplus};
pub use cross_entropy::{cross_entropy, one_hot};
