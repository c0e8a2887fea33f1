//! The benchmarks that `compare` and `record` run: calls of `xtask bench ... --json`, each in a process of its own.

mod entry;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use serde::Deserialize;

pub use self::entry::Entry;
use super::child::{self, Ended};
use super::ops::NO_OPERATION;
use crate::failure::Failure;

/// Presets of a model that are timed, with the steps: enough for a median, few enough for a pull request.
const PRESETS: [(&str, u64); 2] = [("tiny", 20), ("small", 4)];

/// What is timed by one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Benchmark {
    /// All operations.
    Ops,
    /// A model with one of its presets.
    Model { model: String, preset: String, steps: u64 },
}

/// What a call is given beside the benchmark's own arguments.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub threads: usize,
    /// Text that the names of operations contain.
    pub only: Option<String>,
    /// More arguments of `bench ops`.
    pub ops: Vec<String>,
}

/// A build of this program, of whatever revision.
#[derive(Clone, Debug)]
pub struct Program {
    /// The binary.
    pub path: PathBuf,
    /// What messages call it.
    pub who: String,
}

impl Benchmark {
    /// Names of what it times, as far as they are known before it runs.
    fn names(&self) -> Vec<String> {
        match self {
            Self::Ops => Vec::new(),
            Self::Model { model, preset, .. } => entry::model_names(model, preset).into(),
        }
    }

    /// Whether any name contains the text; only the operations' own process knows theirs.
    fn is_wanted(&self, only: Option<&str>) -> bool {
        *self == Self::Ops || only.is_none_or(|text| self.names().iter().any(|name| name.contains(text)))
    }

    fn arguments(&self, settings: &Settings) -> Vec<String> {
        let threads = settings.threads.to_string();
        let own = match self {
            Self::Ops => {
                let only = settings.only.iter().flat_map(|text| [format!("--only={text}")]);
                ["ops".to_owned()]
                    .into_iter()
                    .chain(settings.ops.iter().cloned())
                    .chain(only)
                    .collect::<Vec<_>>()
            }
            Self::Model { model, preset, steps } => {
                [model, "--preset", preset, "--steps", &steps.to_string()].map(str::to_owned).into()
            }
        };
        let shared = ["--json", "--threads", &threads].map(str::to_owned);
        ["bench".to_owned()].into_iter().chain(own).chain(shared).collect()
    }
}

impl Program {
    /// The operations, and the models that this build knows in presets worth timing.
    ///
    /// # Errors
    /// [`Failure`] when the program fails.
    pub fn benchmarks(&self, only: Option<&str>, stop: &AtomicBool) -> Result<Vec<Benchmark>> {
        let listed = self.good(&["models".to_owned(), "--json".to_owned()], stop)?;
        let models = listed.lines().map(serde_json::from_str::<Model>).collect::<Result<Vec<_>, _>>();
        let models = models.map_err(|e| self.unreadable("models --json", e))?;
        let models = models.iter().flat_map(Model::benchmarks);
        Ok([Benchmark::Ops].into_iter().chain(models).filter(|b| b.is_wanted(only)).collect())
    }

    /// Runs a benchmark. Without any matching operation there are no entries.
    ///
    /// # Errors
    /// [`Failure`] when the program fails or prints something else; [`Interrupted`](child::Interrupted).
    pub fn run(
        &self,
        benchmark: &Benchmark,
        settings: &Settings,
        more: &[String],
        stop: &AtomicBool,
    ) -> Result<Vec<Entry>> {
        let arguments: Vec<String> =
            benchmark.arguments(settings).into_iter().chain(more.iter().cloned()).collect();
        let ended = self.ended(&arguments, stop)?;
        if *benchmark == Benchmark::Ops && ended.stderr.contains(NO_OPERATION) {
            return Ok(Vec::new());
        }
        let text = self.checked(&arguments, ended)?;
        let entries = match benchmark {
            Benchmark::Ops => entry::of_ops(&text),
            Benchmark::Model { model, preset, .. } => entry::of_model(model, preset, &text),
        };
        let entries = entries.map_err(|e| self.unreadable(&arguments.join(" "), e))?;
        let wanted = |name: &str| settings.only.as_deref().is_none_or(|text| name.contains(text));
        Ok(entries.into_iter().filter(|e| wanted(&e.name)).collect())
    }

    /// What the program prints when all goes well.
    ///
    /// # Errors
    /// [`Failure`] when the program fails.
    pub fn good(&self, arguments: &[String], stop: &AtomicBool) -> Result<String> {
        let ended = self.ended(arguments, stop)?;
        self.checked(arguments, ended)
    }

    fn ended(&self, arguments: &[String], stop: &AtomicBool) -> Result<Ended> {
        let mut command = Command::new(&self.path);
        child::run(command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()), stop)
    }

    fn checked(&self, arguments: &[String], ended: Ended) -> Result<String> {
        if ended.status.success() {
            return Ok(ended.stdout);
        }
        let text = format!("{}: `xtask {}` failed ({})", self.who, arguments.join(" "), ended.status);
        let said: Vec<&str> = ended.stderr.lines().filter(|l| !l.trim().is_empty()).collect();
        let why = said.iter().find_map(|l| l.strip_prefix("error: ")).or(said.last().copied());
        Err(match why {
            None => Failure::new(text),
            Some(why) => Failure::new(text).because(why.to_owned()),
        }
        .into())
    }

    fn unreadable(&self, what: &str, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
        Failure::new(format!("{}: `xtask {what}` printed no result that can be read", self.who)).because(why)
    }
}

/// A line of `models --json`.
#[derive(Deserialize)]
struct Model {
    name: String,
    presets: Vec<Preset>,
}

#[derive(Deserialize)]
struct Preset {
    name: String,
}

impl Model {
    fn benchmarks(&self) -> Vec<Benchmark> {
        let has = |name: &str| self.presets.iter().any(|p| p.name == name);
        let timed = PRESETS.into_iter().filter(|(preset, _)| has(preset));
        timed
            .map(|(preset, steps)| Benchmark::Model {
                model: self.name.clone(),
                preset: preset.to_owned(),
                steps,
            })
            .collect()
    }
}
