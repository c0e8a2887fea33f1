//! `stats.jsonl`: one JSON object a line, appended as the run goes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::observer::StepReport;
use crate::{Error, Result};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatsLine {
    /// Steps made.
    pub step: u64,
    /// Clips drawn.
    pub clips_seen: u64,
    /// Seconds waiting for data in this step.
    pub data_secs: f64,
    /// Seconds in the trainer in this step.
    pub step_secs: f64,
    /// Losses and other numbers by name; those that are not finite are left out.
    pub scalars: BTreeMap<String, f64>,
}

impl StatsLine {
    /// The line for a step.
    pub fn of(report: &StepReport<'_>) -> Self {
        let finite = report.scalars.iter().filter(|s| s.value.is_finite());
        Self {
            step: report.progress.step,
            clips_seen: report.progress.clips_seen,
            data_secs: report.data_secs,
            step_secs: report.step_secs,
            scalars: finite.map(|s| (s.name.to_owned(), s.value)).collect(),
        }
    }
}

/// Appends to a `stats.jsonl`.
pub struct StatsFile {
    path: PathBuf,
    file: File,
}

impl StatsFile {
    /// Opens the file of a run that continues after `step`: lines of later steps, and a line that a crash cut short, are dropped.
    ///
    /// # Errors
    /// [`Error::Io`] that names the file.
    pub fn continue_after(path: &Path, step: u64) -> Result<Self> {
        if path.exists() {
            let kept = read_stats(path)?.into_iter().filter(|l| l.step <= step);
            let text: String = kept.map(|l| to_json(&l) + "\n").collect();
            let temporary = path.with_extension("jsonl.tmp");
            std::fs::write(&temporary, text).map_err(Error::io("writing", &temporary))?;
            std::fs::rename(&temporary, path).map_err(Error::io("writing", path))?;
        }
        let file =
            OpenOptions::new().create(true).append(true).open(path).map_err(Error::io("writing", path))?;
        Ok(Self { path: path.to_path_buf(), file })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// [`Error::Io`] that names the file.
    pub fn append(&mut self, line: &StatsLine) -> Result<()> {
        writeln!(self.file, "{}", to_json(line)).map_err(Error::io("writing", &self.path))
    }
}

fn to_json(line: &StatsLine) -> String {
    serde_json::to_string(line).expect("finite numbers with string keys")
}

/// Reads all whole lines; one that a crash cut short is skipped.
///
/// # Errors
/// [`Error::Io`] that names the file.
pub fn read_stats(path: &Path) -> Result<Vec<StatsLine>> {
    let bytes = std::fs::read(path).map_err(Error::io("reading", path))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(|l| serde_json::from_str(l).ok()).collect())
}
