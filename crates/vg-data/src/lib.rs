//! Video data for the `vg` models: data sets by name, batches by position, writers for clips.
//!
//! ```
//! use vg_core::{BatchSource, BatchSpec, ClipSpec, Pixels};
//!
//! let shapes = vg_data::open("shapes", &vg_data::OpenOptions::default())?;
//! let mut batches = vg_data::source(shapes, 7);
//! let clip = ClipSpec { frames: 16, height: 64, width: 64, channels: 3 };
//! let batch = batches.batch(&BatchSpec::clips(4, clip, Pixels::Symmetric), 0)?;
//! assert_eq!(batch.clips.dims(), [4, 3, 16, 64, 64]);
//! # Ok::<(), vg_core::Error>(())
//! ```
//!
//! | module | what |
//! |---|---|
//! | [`procedural`] | sets made in code from a seed |
//! | [`maps`] | condition maps beside the frames |
//! | [`folder`], [`strips`], [`emoji`], [`mnist`], [`sprites`] | sets made of files |
//! | [`manual`] | sets that a person fetches; [`kth`] and [`weizmann`] know the names of their files |
//! | [`settings`] | options in the name of a set |
//! | [`decode`] | GIF, WebP, APNG, Y4M, image sequences, and videos through ffmpeg |
//! | [`cache`] | decoded clips on disk |
//! | [`manifest`], [`fetch()`](fetch::fetch) | what is known about each set, and its download |
//! | [`stabilize()`](stabilize::stabilize) | steady clips out of videos |
//! | [`media`] | GIF, APNG, PNG strips and sheets |

mod bair;
pub mod cache;
mod chairs;
mod dataset;
pub mod decode;
pub mod emoji;
pub mod fetch;
mod flow;
pub mod folder;
mod frames;
mod kinetics;
pub mod kth;
mod layouts;
mod levels;
mod list;
mod loader;
pub mod manifest;
pub mod manual;
pub mod maps;
pub mod media;
pub mod mnist;
mod open;
pub mod procedural;
mod progress;
pub mod resize;
pub mod settings;
pub mod sprites;
pub mod stabilize;
mod staging;
pub mod strips;
pub mod weizmann;

pub use dataset::{Dataset, Hierarchy, Report, Skipped, Start};
pub use decode::Ffmpeg;
pub use flow::FlowMethod;
pub use frames::{FrameSize, Frames};
pub use loader::{Loader, source};
pub use open::{NAMES, OpenOptions, PATHS, Split, groups, open, path, recipe};
pub use progress::{Progress, Silent, Unit};
