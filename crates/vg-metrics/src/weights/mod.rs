//! Weights of the networks: what exists, reading the files in which others publish it, and one format of our own.
//!
//! Published files come as pickles, archives and lists; none of them is executed, and what does not fit is an error. [`convert()`]
//! turns them into `NAME.safetensors` with our names, checked against known sums; [`open`] reads that and says its hash, which belongs
//! beside every number made with it.

mod budget;
mod catalogue;
mod convert;
mod face_api;
mod foreign;
mod numpy;
mod pickle;
mod rename;
mod shape;
mod store;
mod tensors;
mod torch;

pub use self::catalogue::Network;
pub use self::convert::convert;
pub use self::foreign::read;
pub use self::store::{Weights, is_present, open};
pub(crate) use self::store::{digest, temporary_in};
pub(crate) use self::tensors::{read as tensors_of, to_bytes};
