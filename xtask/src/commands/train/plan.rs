//! From arguments to what a run will be.

use std::path::PathBuf;

use anyhow::Result;
use vg_core::config::ConfigSource;
use vg_core::model::{Experiment, Init};
use vg_core::{BatchSource, BatchSpec, Error};
use vg_data::{Loader, Split};

use super::Args;
use crate::console;
use crate::data::DataChoice;
use crate::failure::Failure;
use crate::registry::{self, Registered};
use crate::run::Times;

/// Steps of a run that names none.
const STEPS: u64 = 1000;
/// Steps of a run that is measured by the clock.
pub const MOST_STEPS: u64 = 1_000_000;
/// Sample clips of a run.
const SAMPLES: u64 = 16;
/// Ticks a run, unless they would be further apart than [`LONGEST_TICK`] steps.
const TICKS: u64 = 10;
const LONGEST_TICK: u64 = 500;
/// Checkpoints that are kept; the older ones are there for the case that the newest is damaged.
const KEEP: usize = 3;
/// Most lines of statistics a run.
const STATS_LINES: u64 = 10_000;

/// A model with its resolved configuration.
pub struct Setup {
    /// The model.
    pub model: &'static Registered,
    /// With its configuration.
    pub experiment: Box<dyn Experiment>,
    /// Name of the preset that the configuration started from.
    pub preset: String,
}

impl Setup {
    /// Resolves model, preset, `--config` and `--set`.
    pub fn resolve(args: &Args) -> Result<Self> {
        let model = registry::find(args.model.as_deref().unwrap_or_default())?;
        let toml = args.config.as_ref().map(|p| std::fs::read_to_string(p).map_err(Error::io("reading", p)));
        let toml = toml.transpose()?;
        let mut sets = args.sets.clone();
        sets.extend(args.batch.map(|n| format!("train.batch={n}")));
        let source =
            ConfigSource { preset: args.preset.as_deref(), json: None, toml: toml.as_deref(), sets: &sets };
        let experiment = (model.entry.open)(&source).map_err(|e| match &args.config {
            Some(path) => anyhow::Error::from(Failure::new(format!("with {}", path.display())).because(e)),
            None => e.into(),
        })?;
        let named = args.preset.clone().or_else(|| toml.as_deref().and_then(preset_in));
        let preset = named.unwrap_or_else(|| model.default_preset().to_owned());
        Ok(Self { model, experiment, preset })
    }
}

/// The preset that a user's TOML names.
fn preset_in(toml: &str) -> Option<String> {
    let table: toml::Table = toml.parse().ok()?;
    Some(table.get("preset")?.as_str()?.to_owned())
}

/// The data set that the arguments name.
pub fn data_choice(args: &Args) -> Result<DataChoice> {
    let mut choice = DataChoice::new(
        args.data.as_deref().unwrap_or("shapes"),
        args.split.map_or(Split::Train, Split::from),
        args.root.clone().unwrap_or_else(|| PathBuf::from("data")),
        args.cache.clone(),
        args.strict,
    )?;
    if let Some(frames) = args.min_frames {
        choice.min_frames = frames;
    }
    Ok(choice)
}

/// What the trainer will ask for, and how large it is.
pub struct Probe {
    /// The first batch it wants.
    pub needs: BatchSpec,
    /// Trainable scalars by network.
    pub parameters: std::collections::BTreeMap<String, usize>,
    /// What a run without `--from` should know.
    pub missing_start: Option<&'static str>,
}

impl Probe {
    /// Builds the networks once to ask them.
    pub fn of(experiment: &dyn Experiment, init: &Init) -> Result<Self> {
        let trainer = experiment.trainer(init)?;
        Ok(Self {
            needs: trainer.needs(),
            parameters: trainer.parameters(),
            missing_start: trainer.missing_start(),
        })
    }
}

/// Draws one batch, so that data which do not fit are refused before a folder is made, and counts clips that are too short.
pub fn check_data(loader: &mut Loader, needs: &BatchSpec) -> Result<()> {
    // First, because labels beyond the model's classes would be named without the number that fits.
    needs.check_classes(loader.info())?;
    loader.batch(needs, 0)?;
    let excluded = loader.excluded(needs);
    if excluded > 0 {
        let name = &loader.info().name;
        let clips = loader.info().clips;
        console::warn(format!(
            "{name}: {excluded} of {clips} clips have fewer than {} frames and are never drawn",
            needs.clip.frames
        ));
    }
    Ok(())
}

/// Length and intervals of a new run.
pub fn times(args: &Args, clips: u64, needs: &BatchSpec) -> Result<Times> {
    let budget_secs = args.budget.map_or(0.0, |budget| budget.as_secs_f64());
    let steps = steps(args, clips, needs)?.unwrap_or(if args.budget.is_some() { MOST_STEPS } else { STEPS });
    // The clock has ticks of its own.
    let tick = if args.budget.is_some() { 0 } else { (steps / TICKS).clamp(1, LONGEST_TICK) };
    Ok(Times {
        steps,
        checkpoint_every: args.checkpoint_every.unwrap_or(tick),
        keep_checkpoints: args.keep.map_or(KEEP, |n| n as usize),
        sample_every: args.sample_every.unwrap_or(tick),
        samples: args.samples.unwrap_or(SAMPLES),
        log_every: if args.budget.is_some() { 1 } else { steps.div_ceil(STATS_LINES).max(1) },
        budget_secs,
    })
}

/// Steps that `--steps` or `--epochs` ask for.
///
/// # Errors
/// [`Failure`] for a number of epochs that is not positive.
pub fn steps(args: &Args, clips: u64, needs: &BatchSpec) -> Result<Option<u64>> {
    let Some(epochs) = args.epochs else { return Ok(args.steps) };
    if !(epochs.is_finite() && epochs > 0.0) {
        return Err(Failure::new(format!("--epochs {epochs}: expected a number greater than 0")).into());
    }
    let steps = (epochs * clips as f64 / needs.clips.max(1) as f64).ceil();
    Ok(Some((steps as u64).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preset_of_a_file_is_found() {
        assert_eq!(preset_in("preset = \"small\"\n[train]\nlr = 1").as_deref(), Some("small"));
        assert_eq!(preset_in("[train]\nlr = 1"), None);
        assert_eq!(preset_in("preset = "), None);
    }
}
