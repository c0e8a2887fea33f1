//! Who watches a run.

use std::collections::BTreeMap;
use std::path::Path;

use super::log::Scalar;
use crate::Result;
use crate::checkpoint::Progress;
use crate::sample::Clips;

/// A finished step.
#[derive(Debug)]
pub struct StepReport<'a> {
    /// How far the run is, this step included.
    pub progress: Progress,
    /// Losses and other numbers; empty on steps at which nothing is read.
    pub scalars: &'a [Scalar],
    /// Seconds spent waiting for the batch.
    pub data_secs: f64,
    /// Seconds spent in the trainer.
    pub step_secs: f64,
}

/// Clips of some classes of a model, the same seeds for each.
#[derive(Clone, Debug)]
pub struct ClassRows {
    /// Classes of the model; at most ten of them, evenly chosen, are in `rows`.
    pub of: usize,
    /// A class a row, with its name, or its number where it has none.
    pub rows: Vec<(usize, String)>,
    /// Clips a row.
    pub columns: usize,
    /// The clips, row by row.
    pub clips: Clips,
}

/// Takes the events of a run; every method may stop it with an error.
pub trait Observer {
    /// After every step.
    fn step(&mut self, _report: &StepReport<'_>) -> Result<()> {
        Ok(())
    }
    /// At sample ticks, always from the same seeds.
    fn samples(&mut self, _progress: Progress, _clips: &Clips) -> Result<()> {
        Ok(())
    }
    /// With them, by name, the parts that they were made of or that belong to them, such as masks or reconstructions; often none.
    fn parts(&mut self, _progress: Progress, _parts: &BTreeMap<&'static str, Clips>) -> Result<()> {
        Ok(())
    }
    /// At the same ticks, of models with classes.
    fn class_samples(&mut self, _progress: Progress, _rows: &ClassRows) -> Result<()> {
        Ok(())
    }
    /// After a checkpoint has been written.
    fn checkpoint(&mut self, _progress: Progress, _path: &Path) -> Result<()> {
        Ok(())
    }
    /// Something the user should know, though the run goes on.
    fn warning(&mut self, _text: &str) {}
}

/// Watches nothing.
pub struct Silent;

impl Observer for Silent {}
