//! The training side: the trait that every model implements and the loop that drives it.

mod driver;
mod log;
mod micro;
mod observer;
mod stats;
mod trainer;

pub use driver::{Budget, CHECKPOINTS, Driver, Outcome, Schedule};
pub use log::{Scalar, StepLog};
pub use micro::{Part, accumulate};
pub use observer::{ClassRows, Observer, Silent, StepReport};
pub use stats::{StatsFile, StatsLine, read_stats};
pub use trainer::{StepCx, Trainer};

#[cfg(test)]
mod tests;
