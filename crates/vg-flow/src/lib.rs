//! Dense optical flow between two frames, and what goes with it.
//!
//! ```
//! use vg_flow::{Dis, Gray};
//!
//! let picture = |shift: f32| -> Vec<f32> {
//!     let at = |y: usize, x: usize| 127.5 + 60.0 * (0.3 * (x as f32 + shift)).sin() * (0.2 * y as f32).cos();
//!     (0..48 * 64).map(|i| at(i / 64, i % 64)).collect()
//! };
//! let (current, previous) = (picture(2.0), picture(0.0));
//! let (current, previous) = (Gray::new(48, 64, &current)?, Gray::new(48, 64, &previous)?);
//! let flow = Dis::medium().finest_scale(0).flow(&current, &previous)?;
//! assert!((flow.at(24, 32)[0] - 2.0).abs() < 0.1);
//! # Ok::<(), vg_flow::FlowError>(())
//! ```
//!
//! A flow lives on the grid of the frame it is computed *from*: the point `p` of that frame is found at `p + flow(p)` in the other one. What
//! video models call backward flow is `flow(current, previous)`; [`warp()`] with it brings the previous frame onto the current one.
//!
//! | item | what |
//! |---|---|
//! | [`Dis`] | Dense Inverse Search: fast, without weights |
//! | [`confidence()`], [`round_trip`] | where a flow can be trusted |
//! | [`warp()`] | a picture brought onto another by a flow |
//! | [`Flow::end_point_error`] | distance of two flows |
//! | [`flo`] | `.flo` files |
//! | [`wheel`] | flows as colours |
//! | `raft` (feature `raft`) | RAFT-small, a network whose weights come from a file |

mod confidence;
mod dis;
mod error;
pub mod flo;
mod flow;
mod picture;
#[cfg(feature = "raft")]
pub mod raft;
mod simd;
mod warp;
pub mod wheel;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use confidence::{CONFIDENCE_LIMIT, confidence, round_trip};
pub use dis::Dis;
pub use error::{FlowError, Result};
pub use flow::Flow;
pub use picture::{Gray, Picture};
pub use warp::warp;
