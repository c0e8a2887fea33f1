//! Tools for tests of models: fixtures, comparisons with a readable report, gradient checks, parity, the conformance suite.

mod benchmark;
mod compare;
pub mod conformance;
mod fixture;
mod formula;
pub mod gradcheck;
mod maps;
mod parity;

pub use crate::{benchmark, conformance};
pub use benchmark::Steps;
pub use compare::{assert_close, relative_error};
pub use conformance::random_batch;
pub use fixture::Fixture;
pub use formula::{filled, hashed, uniform, uniform_tensor};
pub use maps::random_maps;
pub use parity::{Checker, ParityLine, ParityReport, Tolerance};
