//! Checkpoints: written whole or not at all, verified before they are used.
//!
//! ```text
//! checkpoints/step-000020/
//!     config.json            the resolved configuration, with the model's name
//!     classes.json           names of the classes that the model tells or makes, where it has some
//!     model.safetensors      what sampling needs (averaged weights where there are averages)
//!     train/state.safetensors, train/state.json    the rest of the run: discriminators, moments, averages, counters
//!     manifest.json          format version, step, position in the data, size and SHA-256 of every file above
//! ```
//! A checkpoint is written into a temporary folder, every file and the folder are synced, then it is renamed. A reader checks every
//! file against the manifest first, so a truncated or altered one is refused, and [`newest`] falls back to the one before.

#[cfg(feature = "hub")]
mod hub;
mod manifest;
mod reader;
mod tensors;
mod weights;
mod writer;

pub use manifest::{FORMAT_VERSION, Manifest, Progress};
pub(crate) use reader::step_folders;
pub use reader::{CheckpointReader, Newest, newest};
pub use weights::Weights;
pub use writer::CheckpointWriter;

/// File with the resolved configuration.
pub const CONFIG_FILE: &str = "config.json";
/// File with the tensors that sampling needs.
pub const MODEL_FILE: &str = "model.safetensors";
/// File with the names of classes.
pub const CLASSES_FILE: &str = "classes.json";
const TRAIN_TENSORS: &str = "train/state.safetensors";
const TRAIN_VALUES: &str = "train/state.json";
const MANIFEST_FILE: &str = "manifest.json";

/// The names in a folder's [`CLASSES_FILE`]; none without it.
fn read_classes(path: &std::path::Path) -> crate::Result<crate::sample::ClassNames> {
    if !path.exists() {
        return Ok(Default::default());
    }
    let text = std::fs::read_to_string(path).map_err(crate::Error::io("reading", path))?;
    crate::sample::ClassNames::from_json(&text).map_err(|problem| crate::Error::format(path, problem))
}

#[cfg(test)]
mod tests;
