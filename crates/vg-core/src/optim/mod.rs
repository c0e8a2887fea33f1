//! Optimizers over candle variables, updated in place, with state that can be saved.

mod adam;
mod ema;
mod group;
mod rmsprop;

pub use adam::{Adam, AdamEpsilon, WeightDecay};
pub use ema::{Ema, Warmup};
pub use group::{Optimizer, ParamGroup, step_all, step_since, update};
pub use rmsprop::{EpsilonPlacement, RmsProp};
