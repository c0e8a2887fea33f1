//! A model that takes part.

use std::path::{Path, PathBuf};

use anyhow::Result;
use vg_core::ClipSpec;
use vg_core::checkpoint::CONFIG_FILE;
use vg_core::config::{ConfigSource, diff};
use vg_core::model::{Experiment, Init, parse_config_file};
use vg_core::sample::SampleSpec;
use vg_data::Split;

use super::Args;
use crate::commands::eval::model_format;
use crate::failure::Failure;
use crate::registry;
use crate::run::{RunFolder, RunRecord, clock, step_of};

/// A model that takes part.
pub struct Entrant {
    /// As in the table.
    pub label: String,
    /// Where it is, or will be.
    pub folder: PathBuf,
    /// What is trained; none for weights from elsewhere.
    pub training: Option<Training>,
}

/// A model that is trained here.
pub struct Training {
    pub name: String,
    pub preset: Option<String>,
    /// Its changes, `KEY=VALUE`.
    pub sets: Vec<String>,
    experiment: Box<dyn Experiment>,
}

impl Entrant {
    /// `NAME`, `NAME:PRESET` or a folder.
    ///
    /// # Errors
    /// For an unknown model, preset or value.
    pub fn parse(text: &str, sets: &[String], out: &Path) -> Result<Self> {
        if Path::new(text).is_dir() {
            let label = text.trim_end_matches('/').to_owned();
            return Ok(Self { label, folder: PathBuf::from(text), training: None });
        }
        let (name, preset) = match text.split_once(':') {
            Some((name, preset)) => (name, Some(preset)),
            None => (text, None),
        };
        let model = registry::find(name)?;
        let own = |set: &String| Some(set.strip_prefix(name)?.strip_prefix('.')?.to_owned());
        let sets: Vec<String> = sets.iter().filter_map(own).collect();
        let experiment = (model.entry.open)(&ConfigSource { preset, sets: &sets, ..Default::default() })?;
        let training =
            Training { name: name.to_owned(), preset: preset.map(str::to_owned), sets, experiment };
        let folder = out.join(text.replace(':', "-"));
        Ok(Self { label: text.to_owned(), folder, training: Some(training) })
    }

    /// For `eval`.
    pub fn source(&self) -> String {
        self.folder.display().to_string()
    }

    /// Size of its clips, and the distance between frames in its training.
    ///
    /// # Errors
    /// [`Failure`] for a model that makes no clips or makes them of more than noise and classes.
    pub fn format(&self) -> Result<(ClipSpec, usize)> {
        let Some(training) = &self.training else { return model_format(&self.source()) };
        let trainer = training.experiment.trainer(&Init::cpu(0))?;
        let spec = trainer.sampler()?.spec();
        if let Some(problem) = unfit(&spec) {
            return Err(Failure::new(format!("{} {problem}", self.label))
                .hint("leave it out, or choose another preset")
                .into());
        }
        Ok((spec.clip, trainer.needs().frame_stride))
    }

    /// Refuses a run that is there already and was made otherwise than the arguments say: its row would stand under a wrong heading.
    ///
    /// # Errors
    /// [`Failure`] that lists all differences.
    pub fn check_run(&self, args: &Args) -> Result<()> {
        let Some(training) = self.training.as_ref().filter(|_| self.is_begun()) else { return Ok(()) };
        let record = RunRecord::read(&self.folder)?;
        let mut differences = Vec::new();
        let mut differ = |what: &str, found: String, asked: String| {
            if found != asked {
                differences.push(format!("{what} is {found}, not {asked}"));
            }
        };
        differ("the model", record.model, training.name.clone());
        differ("the data set", record.data.name, args.data()?.name);
        differ("the part", record.data.split.to_string(), Split::from(args.split).to_string());
        differ("the seed", record.seed.to_string(), args.seed.to_string());
        let path = self.folder.join(CONFIG_FILE);
        let text = std::fs::read_to_string(&path).map_err(vg_core::Error::io("reading", &path))?;
        differences.extend(diff(&parse_config_file(&text)?.config, &training.experiment.config()));
        if differences.is_empty() {
            return Ok(());
        }
        let text = format!("{} was trained otherwise: {}", self.folder.display(), differences.join("; "));
        Err(Failure::new(text).hint("give the same arguments, or another --out").into())
    }

    /// Whether there is a run folder.
    pub fn is_begun(&self) -> bool {
        self.folder.join(RunRecord::FILE).exists()
    }

    /// Seconds and steps of training up to the newest checkpoint, as far as the run knows.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn trained(&self) -> Result<(f64, u64)> {
        let newest = RunFolder::at(&self.folder).checkpoints().last().and_then(|path| step_of(path));
        let steps = newest.or_else(|| step_of(&self.folder)).unwrap_or(0);
        Ok((clock::seconds(&clock::stats(&self.folder)?, 0, steps), steps))
    }

    /// Kept checkpoints with the training time before them.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn checkpoints(&self) -> Result<Vec<(PathBuf, f64)>> {
        let stats = clock::stats(&self.folder)?;
        let timed = |path: PathBuf| Some((clock::seconds(&stats, 0, step_of(&path)?), path));
        let found = RunFolder::at(&self.folder).checkpoints().into_iter().filter_map(timed);
        Ok(found.map(|(secs, path)| (path, secs)).collect())
    }
}

/// Why clips of a model do not compare with those of others.
fn unfit(spec: &SampleSpec) -> Option<String> {
    if spec.max_frames == 0 {
        return Some("makes no clips: it is a classifier".to_owned());
    }
    (!spec.maps.is_empty()).then(|| format!("needs condition maps ({})", spec.maps.join(", ")))
}

/// The same label twice would hide a row.
///
/// # Errors
/// [`Failure`] with the label.
pub fn tell_apart(entrants: &[Entrant]) -> Result<()> {
    for (i, entrant) in entrants.iter().enumerate() {
        if entrants[..i].iter().any(|e| e.label == entrant.label) {
            return Err(Failure::new(format!("{} is named twice", entrant.label)).into());
        }
    }
    Ok(())
}

/// Every change must belong to a model that is trained.
///
/// # Errors
/// [`Failure`] with the change that does not.
pub fn check_sets(entrants: &[Entrant], sets: &[String]) -> Result<()> {
    for set in sets {
        let name = set.split('.').next().unwrap_or_default();
        if !entrants.iter().any(|e| e.training.as_ref().is_some_and(|t| t.name == name)) {
            let text = format!("--set {set}: {name:?} is no model that is trained here");
            return Err(Failure::new(text).hint("write MODEL.KEY=VALUE, such as tgan.train.batch=16").into());
        }
    }
    Ok(())
}
