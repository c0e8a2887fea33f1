//! Help for tests of this crate and of the models.

pub mod gradcheck;
