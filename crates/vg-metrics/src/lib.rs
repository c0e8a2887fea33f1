//! Metrics of video generation, each under a name that fixes its protocol.

pub mod network;
pub mod resize;
mod separable;
pub mod weights;
