//! Opens data sets for the commands and shows how far slow work is.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use vg_data::cache::Group;
use vg_data::fetch::is_present;
use vg_data::manifest::{self, Kind};
use vg_data::mnist::Mnist;
use vg_data::{Dataset, FrameSize, OpenOptions, Progress, Report, Split, Unit, settings};

use crate::console;

/// Left-out files that are named; the rest is counted.
const NAMED: usize = 5;

/// Which data a run uses; kept in its record, so that a resumed run opens the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataChoice {
    /// Name as on the command line, with its options; the path of a set that has one, such as `folder:`, is absolute.
    pub name: String,
    /// Which part.
    pub split: Split,
    /// Where downloads live, absolute.
    pub root: PathBuf,
    /// Where decoded clips are kept, absolute.
    pub cache: PathBuf,
    /// Whether a broken file is an error.
    pub strict: bool,
    /// Strips in class folders with fewer frames are left out.
    #[serde(default = "min_frames")]
    pub min_frames: usize,
}

/// Of runs that were recorded before there was a choice.
fn min_frames() -> usize {
    vg_data::strips::MIN_FRAMES
}

impl DataChoice {
    /// The choice with absolute paths, so that it holds wherever a run is resumed.
    ///
    /// # Errors
    /// When the current folder is gone.
    pub fn new(
        name: &str,
        split: Split,
        root: PathBuf,
        cache: Option<PathBuf>,
        strict: bool,
    ) -> Result<Self> {
        let root = std::path::absolute(root)?;
        let cache = cache.map(std::path::absolute).transpose()?.unwrap_or_else(|| root.join("cache"));
        let name = match vg_data::path(name) {
            Some((form, path)) => format!("{form}:{}", std::path::absolute(path)?.display()),
            None => name.to_owned(),
        };
        Ok(Self { name, split, root, cache, strict, min_frames: min_frames() })
    }

    /// Opens the set with its frames at `size`, with a bar while it decodes, and names the files that were left out.
    ///
    /// # Errors
    /// Those of [`vg_data::open`].
    pub fn open(&self, size: FrameSize) -> Result<Box<dyn Dataset>> {
        let options = OpenOptions { size, progress: Arc::new(Bar::default()), ..self.options() };
        let dataset = vg_data::open(&self.name, &options)?;
        warn_of_skipped(&self.name, dataset.report());
        note_short(&self.name, dataset.report());
        if self.draws_digits() {
            console::note(
                "digits: drawn in code, as MNIST is not there; `cargo xtask download mnist` fetches it",
            );
        }
        Ok(dataset)
    }

    /// Whether `digits` takes drawn ones for want of MNIST.
    fn draws_digits(&self) -> bool {
        let asked = self.name.split(',').any(|option| option == "drawn");
        settings::base(&self.name) == "digits"
            && !asked
            && !Mnist::present(&self.root.join("mnist"), self.split)
    }

    /// Number of clips, for sets of files without decoding and caching them: a dry run writes nothing.
    ///
    /// # Errors
    /// Those of [`vg_data::open`], except for broken files.
    pub fn count(&self) -> Result<u64> {
        if let Some(recipe) = vg_data::recipe(&self.name, &self.options())? {
            return Ok(recipe.clips() as u64);
        }
        match manifest::find(settings::base(&self.name), None) {
            Ok(m) if m.kind == Kind::Clips && is_present(&m, &self.root) => Ok(match self.split {
                Split::Train => m.expected.train,
                Split::Test => m.expected.test,
            }),
            _ => Ok(vg_data::open(&self.name, &self.options())?.info().clips),
        }
    }

    /// Label groups and the names of their classes, without decoding anything.
    ///
    /// # Errors
    /// Those of [`vg_data::open`], except for broken files.
    pub fn groups(&self) -> Result<Vec<Group>> {
        Ok(vg_data::groups(&self.name, &self.options())?)
    }

    fn options(&self) -> OpenOptions {
        OpenOptions {
            root: self.root.clone(),
            cache: self.cache.clone(),
            split: self.split,
            strict: self.strict,
            min_frames: self.min_frames,
            ..OpenOptions::default()
        }
    }
}

fn warn_of_skipped(name: &str, report: &Report) {
    let skipped = &report.skipped;
    if skipped.is_empty() {
        return;
    }
    let absent = skipped.iter().filter(|s| s.problem.ends_with("there is no such file")).count();
    let broken = skipped.len() - absent;
    for (what, count) in [("broken", broken), ("missing", absent)] {
        if count > 0 {
            console::warn(format!("{name}: {what} files left out: {count} (with --strict an error)"));
        }
    }
    for s in skipped.iter().take(NAMED) {
        console::warn(format!("  {}: {}", s.name, s.problem));
    }
    if skipped.len() > NAMED {
        console::warn(format!("  and {} more", skipped.len() - NAMED));
    }
}

fn note_short(name: &str, report: &Report) {
    if let Some(first) = report.short.first() {
        let count = report.short.len();
        console::note(format!(
            "{name}: short clips left out: {count}; the first: {}: {}",
            first.name, first.problem
        ));
    }
}

/// A bar on a terminal; one line a task elsewhere.
#[derive(Default)]
pub struct Bar(Mutex<Option<ProgressBar>>);

impl Bar {
    fn with(&self, work: impl FnOnce(&mut Option<ProgressBar>)) {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Progress for Bar {
    fn start(&self, what: &str, total: u64, unit: Unit) {
        if !console::is_terminal() {
            console::note(what);
        }
        let template = match (unit, total) {
            (_, 0) => "{spinner} {msg} {bytes}",
            (Unit::Bytes, _) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
            (Unit::Videos, _) => "{msg} [{bar:30}] {pos}/{len} videos {eta}",
            (Unit::Files, _) => "{msg} [{bar:30}] {pos}/{len} files {eta}",
        };
        let bar = console::bar(total, template).with_message(what.to_owned());
        self.with(|slot| *slot = Some(bar));
    }

    fn advance(&self, by: u64) {
        self.with(|slot| {
            if let Some(bar) = slot {
                bar.inc(by);
            }
        });
    }

    fn finish(&self) {
        self.with(|slot| {
            if let Some(bar) = slot.take() {
                bar.finish_and_clear();
            }
        });
    }

    fn message(&self, text: &str) {
        console::note(text);
    }
}
