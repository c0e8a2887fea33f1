//! Losses that several papers share.

mod adversarial;
mod cross_entropy;
mod gaussian;

pub use adversarial::{bce_with_logits, hinge, softplus};
pub use cross_entropy::{cross_entropy, one_hot};
pub use gaussian::{kl_gaussians, kl_standard_normal};
