//! `run.json`: what a run is.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use vg_core::train::{Budget, Schedule};
use vg_core::{Error, SourceInfo};
use vg_data::media::write_atomic;

use crate::data::DataChoice;
use crate::failure::Failure;
use crate::machine::{self, Machine};

/// Version of `run.json`.
const FORMAT: u32 = 1;
/// Checkpoints and samples of a run that is measured by the clock.
const BUDGET_TICKS: u32 = 10;

/// Contents of `run.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// Version of this file.
    pub format: u32,
    /// Version of the program.
    pub version: String,
    /// Commit of its sources, where known.
    pub commit: Option<String>,
    /// The command as typed.
    pub command: Vec<String>,
    /// When the run began, UTC.
    pub started: String,
    /// Name of the model.
    pub model: String,
    /// Preset that the configuration started from.
    pub preset: String,
    /// Seed of weights, noise and data order.
    pub seed: u64,
    /// Where the tensors live.
    pub device: String,
    /// Threads of the first start.
    pub threads: usize,
    /// The machine of the first start.
    pub machine: Machine,
    /// The data set as chosen.
    pub data: DataChoice,
    /// What it was when the run began.
    pub content: DataContent,
    /// When what happens.
    pub schedule: Times,
    /// Later starts, oldest first.
    pub resumed: Vec<Resumed>,
}

/// What a data set holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataContent {
    /// Number of clips.
    pub clips: u64,
    /// Changes with the content.
    pub fingerprint: String,
}

impl DataContent {
    /// What a data set says of itself.
    pub fn of(info: &SourceInfo) -> Self {
        Self { clips: info.clips, fingerprint: info.fingerprint.clone() }
    }
}

/// Length and intervals of a run in steps; see [`Schedule`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Steps in all.
    pub steps: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Checkpoints that are kept.
    pub keep_checkpoints: usize,
    /// Steps between sample clips.
    pub sample_every: u64,
    /// Number of sample clips.
    pub samples: u64,
    /// Steps between lines of statistics.
    pub log_every: u64,
    /// Seconds of this start of the run, after which it ends whatever its steps; 0 for no such limit.
    #[serde(default)]
    pub budget_secs: f64,
}

/// A later start of the same run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// When, UTC.
    pub started: String,
    /// Step of the checkpoint that it went on from.
    pub step: u64,
    /// Steps in all from then on.
    pub steps: u64,
    /// Threads.
    pub threads: usize,
    /// Version of the program.
    pub version: String,
    /// Commit of its sources, where known.
    pub commit: Option<String>,
}

impl From<Times> for Schedule {
    fn from(t: Times) -> Self {
        Self {
            steps: t.steps,
            checkpoint_every: t.checkpoint_every,
            keep_checkpoints: t.keep_checkpoints,
            sample_every: t.sample_every,
            samples: t.samples,
            log_every: t.log_every,
            budget: (t.budget_secs > 0.0)
                .then(|| Budget { total: Duration::from_secs_f64(t.budget_secs), ticks: BUDGET_TICKS }),
        }
    }
}

/// What only the caller knows of a new run.
pub struct New {
    /// Name of the model.
    pub model: String,
    /// Preset that the configuration started from.
    pub preset: String,
    /// Seed.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
    /// The data set.
    pub data: DataChoice,
    /// Its content.
    pub content: DataContent,
    /// When what happens.
    pub schedule: Times,
}

impl RunRecord {
    /// Name of the file.
    pub const FILE: &str = "run.json";

    /// The record of a run that begins now.
    pub fn begin(new: New) -> Self {
        Self {
            format: FORMAT,
            version: machine::VERSION.to_owned(),
            commit: machine::commit(),
            command: machine::command_line(),
            started: machine::now(),
            model: new.model,
            preset: new.preset,
            seed: new.seed,
            device: "cpu".to_owned(),
            threads: new.threads,
            machine: Machine::this(),
            data: new.data,
            content: new.content,
            schedule: new.schedule,
            resumed: Vec::new(),
        }
    }

    /// Reads the record of a run folder.
    ///
    /// # Errors
    /// [`Failure`] for a folder that is no run, [`Error::Format`] for a damaged or newer file.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        if !path.exists() {
            let what =
                if folder.is_dir() { "is no run folder: it has no run.json" } else { "does not exist" };
            return Err(Failure::new(format!("{} {what}", folder.display()))
                .hint("runs are folders such as runs/0001-tgan-shapes, made by `cargo xtask train`")
                .into());
        }
        let text = std::fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
        let record: Self = serde_json::from_str(&text)
            .map_err(|e| Error::format(&path, format!("not the record of a run, or cut short ({e})")))?;
        if record.format != FORMAT {
            let problem = format!("format {} is not readable, this version reads {FORMAT}", record.format);
            return Err(Error::format(&path, problem).into());
        }
        Ok(record)
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        write_text(&folder.join(Self::FILE), &text)
    }

    /// Notes that the run goes on from `step`.
    pub fn resume(&mut self, step: u64, threads: usize) {
        self.resumed.push(Resumed {
            started: machine::now(),
            step,
            steps: self.schedule.steps,
            threads,
            version: machine::VERSION.to_owned(),
            commit: machine::commit(),
        });
    }
}

/// Writes a small text file, whole or not at all.
///
/// # Errors
/// Those of the disk.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    Ok(write_atomic(path, |out| out.write_all(text.as_bytes()).map_err(Error::io("writing", path)))?)
}
