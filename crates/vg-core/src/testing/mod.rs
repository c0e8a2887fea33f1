//! Tools for tests of models: fixtures, comparisons with a readable report, gradient checks, parity, the conformance suite.

mod compare;
pub mod conformance;
mod fixture;
pub mod gradcheck;
mod parity;

pub use crate::conformance;
pub use compare::{assert_close, relative_error};
pub use fixture::Fixture;
pub use parity::{Checker, ParityLine, ParityReport, Tolerance};
