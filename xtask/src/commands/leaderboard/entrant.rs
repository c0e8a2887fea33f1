//! A model that takes part, and its training.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use vg_core::train::{StatsLine, read_stats};

use super::Args;
use crate::console;
use crate::failure::{Done, Failure};
use crate::registry;
use crate::run::{RunFolder, RunRecord, step_of};

/// Checkpoints that are kept: one each tenth of the time.
const KEEP: usize = 11;
/// A run with less of its time left than this share counts as trained: samples and checkpoints take time too.
const LEFT: f64 = 0.1;

/// A model that takes part.
#[derive(Debug)]
pub struct Entrant {
    /// As in the table.
    pub label: String,
    /// Where it is, or will be.
    folder: PathBuf,
    /// What is trained; none for weights from elsewhere.
    model: Option<(String, Option<String>)>,
}

impl Entrant {
    /// `NAME`, `NAME:PRESET` or a folder.
    pub fn parse(text: &str, out: &Path) -> Result<Self> {
        let (name, preset) = match text.split_once(':') {
            Some((name, preset)) => (name, Some(preset.to_owned())),
            None => (text, None),
        };
        if !Path::new(text).is_dir() {
            let model = registry::find(name)?;
            if let Some(preset) = &preset {
                model.preset_config(preset)?;
            }
            let folder = out.join(text.replace(':', "-"));
            return Ok(Self { label: text.to_owned(), folder, model: Some((name.to_owned(), preset)) });
        }
        Ok(Self { label: text.trim_end_matches('/').to_owned(), folder: PathBuf::from(text), model: None })
    }

    /// For `eval`.
    pub fn source(&self) -> String {
        self.folder.display().to_string()
    }

    /// Trains it for what is left of its time, in a process of its own.
    pub fn train(&self, args: &Args) -> Result<Done> {
        let Some((name, preset)) = &self.model else { return Ok(Done::Good) };
        let program = std::env::current_exe().map_err(vg_core::Error::io("finding", "this program"))?;
        let mut command = Command::new(program);
        command.arg("train");
        let left = args.budget.as_secs_f64() - self.trained()?.0;
        if left < LEFT * args.budget.as_secs_f64() {
            console::note(format!("{} is trained already: {}", self.label, self.folder.display()));
            return Ok(Done::Good);
        }
        if self.folder.join(RunRecord::FILE).exists() {
            command.arg("--resume").arg(&self.folder);
        } else {
            command.arg(name).arg("--out").arg(&self.folder).args(["--data", &args.data]);
            command
                .arg("--split")
                .arg(vg_data::Split::from(args.split).to_string())
                .arg("--root")
                .arg(&args.root);
            command.args(["--seed", &args.seed.to_string(), "--keep", &KEEP.to_string()]);
            if let Some(preset) = preset {
                command.args(["--preset", preset]);
            }
            for set in &args.sets {
                if let Some(set) = set.strip_prefix(&format!("{name}.")) {
                    command.args(["--set", set]);
                }
            }
        }
        let left = humantime::format_duration(Duration::from_millis((1e3 * left) as u64)).to_string();
        command.args(["--budget", &left.replace(' ', "")]);
        if let Some(threads) = args.threads {
            command.args(["--threads", &threads.to_string()]);
        }
        console::note(format!("training {} for {left}", self.label));
        let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        let ended = ended.map_err(vg_core::Error::io("starting", "a training"))?;
        match ended.code() {
            Some(0) => Ok(Done::Good),
            Some(130) => Ok(Done::Interrupted),
            _ => Err(Failure::new(format!("the training of {} failed ({ended})", self.label))
                .hint("what went wrong stands above; the same command goes on from here")
                .into()),
        }
    }

    /// Seconds and steps of training, as far as the run knows.
    pub fn trained(&self) -> Result<(f64, u64)> {
        let stats = self.stats()?;
        let secs = stats.iter().map(|line| line.data_secs + line.step_secs).sum();
        Ok((secs, stats.last().map_or(0, |line| line.step)))
    }

    /// Kept checkpoints with the training time before them.
    pub fn checkpoints(&self) -> Result<Vec<(PathBuf, f64)>> {
        let stats = self.stats()?;
        let before = |step: u64| -> f64 {
            stats.iter().take_while(|l| l.step <= step).map(|l| l.data_secs + l.step_secs).sum()
        };
        let found = RunFolder::at(&self.folder).checkpoints();
        Ok(found
            .into_iter()
            .filter_map(|path| Some((before(step_of(&path)?), path)))
            .map(|(s, p)| (p, s))
            .collect())
    }

    fn stats(&self) -> Result<Vec<StatsLine>> {
        let path = self.folder.join("stats.jsonl");
        Ok(if path.exists() { read_stats(&path)? } else { Vec::new() })
    }
}

/// The same label twice would hide a row.
pub fn tell_apart(entrants: &mut [Entrant]) -> Result<()> {
    for (i, entrant) in entrants.iter().enumerate() {
        if entrants[..i].iter().any(|e| e.label == entrant.label) {
            return Err(Failure::new(format!("{} is named twice", entrant.label)).into());
        }
    }
    Ok(())
}

/// Every change must belong to a model that is trained.
pub fn check_sets(entrants: &[Entrant], sets: &[String]) -> Result<()> {
    for set in sets {
        let name = set.split('.').next().unwrap_or_default();
        if !entrants.iter().any(|e| e.model.as_ref().is_some_and(|(model, _)| model == name)) {
            let text = format!("--set {set}: {name:?} is no model that is trained here");
            return Err(Failure::new(text).hint("write MODEL.KEY=VALUE, such as tgan.train.batch=16").into());
        }
    }
    Ok(())
}
