#![doc = include_str!("../README.md")]
//!
//! ## Where things are
//!
//! | step | where |
//! |---|---|
//! | which protocol a name stands for | [`protocol`], [`PROTOCOLS`] |
//! | from clips to a result, all at once | [`Judge`]; [`Panel`] for several metrics |
//! | clips as bytes | [`Frames`], [`Clip`] |
//! | feature networks, their weights, resizing | [`FeatureNetwork`], [`network`], [`weights`], [`resize`] |
//! | feature vectors: kept, or as a Gaussian in bounded memory | [`Features`], [`Gaussian`] |
//! | distances of sets | [`frechet`], [`kernel`], [`precision_recall`], [`sliced_wasserstein`] |
//! | scores of one set | [`inception_score`], [`attribute_scores`], [`acd`], [`sanity`] |
//! | scores of frames one to one | [`similarity`], [`best_of`] |
//! | results, confidence, comparison | [`Measurement`], [`bootstrap`] |

pub mod acd;
pub mod attribute_scores;
pub mod best_of;
pub mod bootstrap;
mod error;
mod extract;
mod features;
mod framing;
pub mod frechet;
mod gaussian;
pub mod inception_score;
mod judge;
pub mod kernel;
mod linalg;
pub mod network;
mod pixels;
pub mod precision_recall;
mod protocol;
mod registry;
pub mod resize;
mod result;
pub mod sanity;
mod separable;
pub mod similarity;
pub mod sliced_wasserstein;
pub mod weights;

pub use error::{Error, Result};
pub use extract::FeatureNetwork;
pub use features::Features;
pub use framing::Framing;
pub use gaussian::{Divisor, Gaussian};
pub use judge::{Judge, Panel, RealStore};
pub use pixels::{Clip, Frames, Image};
pub use protocol::{Better, Clips, Extractor, FrameRule, Input, Measure, Protocol};
pub use registry::{PROTOCOLS, protocol};
pub use result::{Comparison, Measurement, VERSION};
