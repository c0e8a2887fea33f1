//! `report.html`: a run on one page, without anything from elsewhere.

mod chart;
pub mod classes;
mod page;
mod series;

pub use page::{STYLE, escape};
pub use series::median;

use std::path::{Path, PathBuf};

use anyhow::Result;
use vg_core::checkpoint::CONFIG_FILE;
use vg_core::config::diff;
use vg_core::model::parse_config_file;
use vg_core::train::{StatsLine, read_stats};

use crate::registry;
use crate::run::{RunFolder, RunRecord, step_of, write_text};

/// Sample clips on the page; more are thinned evenly.
const CLIPS: usize = 12;

/// What a page is made from.
struct Content {
    record: RunRecord,
    folder: String,
    config: serde_json::Value,
    differences: Vec<String>,
    stats: Vec<StatsLine>,
    clips: Vec<Clip>,
    /// Of models with classes.
    classes: String,
    parts: Vec<Part>,
    checkpoints: Vec<Checkpoint>,
}

/// The newest picture of what clips were made of, or of what belongs to them.
struct Part {
    name: String,
    /// Ending of its file: `gif` or `png`.
    kind: String,
    bytes: Vec<u8>,
}

/// An animated image.
struct Clip {
    step: u64,
    /// Side of the frames that a growing model had come to.
    side: Option<u64>,
    bytes: Vec<u8>,
}

/// A checkpoint folder.
struct Checkpoint {
    path: String,
    step: u64,
    bytes: u64,
}

/// Writes `report.html` into a run folder, which may still be in use, and returns its path.
///
/// # Errors
/// [`Failure`](crate::failure::Failure) for a folder that is no run; errors of the disk.
pub fn write(folder: &Path) -> Result<PathBuf> {
    let content = Content::read(folder)?;
    let path = folder.join("report.html");
    write_text(&path, &page::html(&content))?;
    Ok(path)
}

impl Content {
    fn read(folder: &Path) -> Result<Self> {
        let record = RunRecord::read(folder)?;
        let run = RunFolder::at(folder);
        let config = read_config(&run).unwrap_or_default();
        let stats = folder.join("stats.jsonl");
        let stats = if stats.exists() { read_stats(&stats)? } else { Vec::new() };
        Ok(Self {
            differences: differences(&record, &config),
            folder: folder.display().to_string(),
            clips: clips(run.samples(), &stats),
            classes: class_rows(&run),
            parts: parts(folder),
            checkpoints: run.checkpoints().iter().map(|p| checkpoint(p)).collect(),
            record,
            config,
            stats,
        })
    }
}

fn class_rows(run: &RunFolder) -> String {
    let folder = run.class_rows();
    classes::Rows::read(&folder).map(|rows| rows.html(&folder)).unwrap_or_default()
}

/// A run whose first process died early may lack its configuration; the rest can be shown.
fn read_config(run: &RunFolder) -> Option<serde_json::Value> {
    let text = std::fs::read_to_string(run.join(CONFIG_FILE)).ok()?;
    Some(parse_config_file(&text).ok()?.config)
}

/// Empty when this build does not know the model or preset.
fn differences(record: &RunRecord, config: &serde_json::Value) -> Vec<String> {
    let preset = registry::find(&record.model).and_then(|m| m.preset_config(&record.preset));
    preset.map(|preset| diff(&preset, config)).unwrap_or_default()
}

/// The clips that are shown: the last of each size of a growing model, and others evenly.
fn clips(paths: Vec<PathBuf>, stats: &[StatsLine]) -> Vec<Clip> {
    let side = |path: &PathBuf| side_at(stats, step_of(path)?);
    let sides: Vec<Option<u64>> = paths.iter().map(side).collect();
    let shown = shown(&sides);
    let read = |(path, side): (PathBuf, Option<u64>)| {
        Some(Clip { step: step_of(&path)?, side, bytes: std::fs::read(&path).ok()? })
    };
    let all = paths.into_iter().zip(sides).enumerate();
    all.filter(|(i, _)| shown.contains(i)).filter_map(|(_, clip)| read(clip)).collect()
}

/// What a growing model logs as `side`, at a step.
fn side_at(stats: &[StatsLine], step: u64) -> Option<u64> {
    let until = stats.partition_point(|line| line.step <= step);
    stats[..until].last()?.scalars.get("side").map(|side| *side as u64)
}

/// Which of the pictures with these sizes are shown.
fn shown(sides: &[Option<u64>]) -> Vec<usize> {
    let ends = (0..sides.len()).filter(|i| sides[*i].is_some() && sides.get(i + 1) != Some(&sides[*i]));
    thin((0..sides.len()).collect(), CLIPS).into_iter().chain(ends).collect()
}

/// The pictures `samples-NAME.gif` and `.png` of a run, by name.
fn parts(folder: &Path) -> Vec<Part> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let read = |path: PathBuf| {
        let name = path.file_stem()?.to_str()?.strip_prefix("samples-")?.to_owned();
        let kind = path.extension()?.to_str().filter(|kind| matches!(*kind, "gif" | "png"))?.to_owned();
        Some(Part { name, kind, bytes: std::fs::read(&path).ok()? })
    };
    let mut found: Vec<Part> = entries.filter_map(read).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn checkpoint(path: &Path) -> Checkpoint {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    Checkpoint { step: step_of(path).unwrap_or(0), bytes: size_of(path), path: format!("checkpoints/{name}") }
}

/// Bytes of all files below a folder.
fn size_of(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|e| match e.metadata() {
            Ok(m) if m.is_dir() => size_of(&e.path()),
            Ok(m) => m.len(),
            Err(_) => 0,
        })
        .sum()
}

/// At most `most` of `all`, evenly, the first and the last among them.
fn thin<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let n = all.len();
    if n <= most || most < 2 {
        return all;
    }
    let kept: Vec<usize> = (0..most).map(|i| i * (n - 1) / (most - 1)).collect();
    all.into_iter().enumerate().filter(|(i, _)| kept.contains(i)).map(|(_, x)| x).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_both_ends() {
        let thinned = thin((0..100).collect(), 12);
        assert_eq!((thinned.len(), thinned[0], thinned[11]), (12, 0, 99));
        assert_eq!(thin(vec![1, 2], 12), [1, 2]);
    }

    #[test]
    fn the_last_picture_of_each_size_is_shown() {
        let sides: Vec<_> =
            [(3, 4), (5, 8), (192, 16)].iter().flat_map(|(n, side)| vec![Some(*side); *n]).collect();
        let shown = shown(&sides);
        assert!([0, 2, 7, 199].iter().all(|i| shown.contains(i)) && shown.len() <= CLIPS + 3);
        assert_eq!(super::shown(&[None; 3]), [0, 1, 2]);
        let line = |step, side: f64| StatsLine {
            step,
            clips_seen: 0,
            data_secs: 0.0,
            step_secs: 0.0,
            scalars: [("side".to_owned(), side)].into(),
        };
        let stats = [line(2, 4.0), line(4, 8.0)];
        assert_eq!([1, 2, 3, 9].map(|step| side_at(&stats, step)), [None, Some(4), Some(4), Some(8)]);
    }
}
