//! Run folders.
//!
//! ```text
//! runs/0007-tgan-shapes/
//!     run.json               what was asked for, with which program, on which machine
//!     config.json            the resolved configuration with the model's name
//!     config.toml            the same, for `--config`
//!     stats.jsonl            losses and times, one JSON object a line
//!     samples/step-000100.gif, samples.gif (the newest), samples-PART.gif or .png (what belongs to them)
//!     checkpoints/step-000100/
//!     report.html
//! ```

pub mod clock;
mod folder;
mod record;

pub use folder::{RunFolder, step_of};
pub use record::{DataContent, New, RunRecord, Times, write_text};
