//! Losses that several papers share.

mod adversarial;

pub use adversarial::{bce_with_logits, softplus};
