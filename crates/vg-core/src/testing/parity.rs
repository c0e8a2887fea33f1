//! Comparison of a model with a golden file, entry by entry.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Tensor};

use super::compare::{max_abs, relative_error, values};
use super::fixture::Fixture;
use crate::{Error, Result};

/// What may differ, by kind of entry.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Outputs and losses: `max|a - b| / max|b|`.
    pub outputs: f64,
    /// Gradients, likewise.
    pub gradients: f64,
    /// Changes of parameters over training steps: `||da - db|| / ||db||`.
    pub changes: f64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { outputs: 1e-4, gradients: 1e-3, changes: 1e-2 }
    }
}

/// Result for a group of entries.
#[derive(Clone, Debug)]
pub struct ParityLine {
    /// Group, such as `grad.critic`.
    pub group: String,
    /// Number of entries compared.
    pub entries: usize,
    /// Largest relative error.
    pub error: f64,
    /// Largest error allowed.
    pub tolerance: f64,
    /// The entry with the largest error.
    pub worst: String,
}

impl ParityLine {
    /// Whether the error is within the tolerance.
    pub fn passes(&self) -> bool {
        self.error <= self.tolerance
    }
}

/// Result for a whole file.
#[derive(Clone, Debug)]
pub struct ParityReport {
    /// One line per group of entries.
    pub lines: Vec<ParityLine>,
    /// Entries that were left out, with the reason.
    pub skipped: BTreeMap<String, String>,
}

impl ParityReport {
    /// Whether every group is within its tolerance.
    pub fn passes(&self) -> bool {
        self.lines.iter().all(ParityLine::passes)
    }
}

/// Compares values with the entries of a fixture and notes which were never compared.
pub struct Checker<'a> {
    fixture: &'a Fixture,
    tolerance: Tolerance,
    lines: BTreeMap<String, ParityLine>,
    open: BTreeSet<String>,
    skipped: BTreeMap<String, String>,
}

impl<'a> Checker<'a> {
    /// Starts with all expected entries open.
    pub fn new(fixture: &'a Fixture, tolerance: Tolerance) -> Self {
        Self {
            fixture,
            tolerance,
            lines: BTreeMap::new(),
            open: fixture.expected(),
            skipped: BTreeMap::new(),
        }
    }

    /// Compares an output or loss with the entry `name`.
    ///
    /// # Errors
    /// [`Error::Format`] when the file lacks the entry, [`Error::Shape`] when the shapes differ.
    pub fn output(&mut self, name: &str, got: &Tensor) -> Result<()> {
        self.output_within(name, got, self.tolerance.outputs)
    }

    /// [`Checker::output`] with a tolerance of its own, whose reason stands at the call.
    pub fn output_within(&mut self, name: &str, got: &Tensor, tolerance: f64) -> Result<()> {
        let want = self.fixture.tensor(name, DType::F64)?;
        let error = relative_error("fixture entry", got, &want, 1e-12)?;
        let group = name.split('.').next().unwrap_or(name).to_owned();
        let group = if tolerance == self.tolerance.outputs { group } else { name.to_owned() };
        self.note(group, name, error, tolerance);
        Ok(())
    }

    /// Compares the gradients of a loss with the entries `grad.<loss>.<name>`; those of zero up to rounding are held to 1e-6 of the
    /// largest gradient of the loss.
    pub fn gradients(&mut self, loss: &str, got: &BTreeMap<String, Tensor>) -> Result<()> {
        let prefix = format!("grad.{loss}.");
        let wanted = self.fixture.group(&prefix, DType::F64)?;
        let mut largest = 0.0f64;
        for want in wanted.values() {
            largest = largest.max(max_abs(&values(want)?));
        }
        for (name, want) in wanted {
            let full = format!("{prefix}{name}");
            if self.skipped.contains_key(&full) {
                continue;
            }
            let got = got.get(&name).ok_or_else(|| missing(&full))?;
            let error = relative_error("gradient", got, &want, 1e-3 * largest)?;
            self.note(format!("grad.{loss}"), &full, error, self.tolerance.gradients);
        }
        Ok(())
    }

    /// Compares the change of parameters and buffers since `param.*` with that of the entries `<stage>.*` that were not compared before.
    pub fn changes(&mut self, stage: &str, got: &BTreeMap<String, Tensor>) -> Result<()> {
        self.changes_from(stage, got, |name| name.to_owned())
    }

    /// [`Checker::changes`] where a tensor may start as a copy of another one, as averages do: `start_of` names it.
    pub fn changes_from(
        &mut self,
        stage: &str,
        got: &BTreeMap<String, Tensor>,
        start_of: impl Fn(&str) -> String,
    ) -> Result<()> {
        let start = self.fixture.group("param.", DType::F64)?;
        for (name, want) in self.fixture.group(&format!("{stage}."), DType::F64)? {
            let full = format!("{stage}.{name}");
            if !self.open.contains(&full) {
                continue;
            }
            let got = got.get(&name).ok_or_else(|| missing(&full))?.to_dtype(DType::F64)?;
            if got.dims() != want.dims() {
                return Err(Error::shape("parameter after a step", format!("{:?}", want.dims()), got.dims()));
            }
            let first = start_of(&name);
            let start = start.get(&first).ok_or_else(|| missing(&format!("param.{first}")))?;
            // Values are stored in f32, so that a change far below their size is known only to their last bits.
            let resolution = norm(start)? * 1e-6;
            let wanted = norm(&(&want - start)?)?.max(resolution).max(1e-12);
            let error = norm(&(got - &want)?)? / wanted;
            let error = if error.is_nan() { f64::INFINITY } else { error };
            self.note(stage.to_owned(), &full, error, self.tolerance.changes);
        }
        Ok(())
    }

    /// Leaves entries out, saying why; to be called before they would be compared.
    pub fn skip(&mut self, prefix: &str, reason: &str) {
        let names: Vec<String> = self.open.iter().filter(|n| n.starts_with(prefix)).cloned().collect();
        for name in names {
            self.open.remove(&name);
            self.skipped.insert(name, reason.to_owned());
        }
    }

    /// Ends the comparison.
    ///
    /// # Errors
    /// [`Error::Weights`] when entries were neither compared nor left out: a parity run may not forget anything.
    pub fn finish(self) -> Result<ParityReport> {
        if !self.open.is_empty() {
            let problems = self.open.into_iter().collect::<Vec<_>>().join(", ");
            let what = format!("these entries of {}", self.fixture.path().display());
            return Err(Error::Weights { what, problems: format!("{problems}: nothing computes them") });
        }
        Ok(ParityReport { lines: self.lines.into_values().collect(), skipped: self.skipped })
    }

    fn note(&mut self, group: String, name: &str, error: f64, tolerance: f64) {
        self.open.remove(name);
        let line = self.lines.entry(group.clone()).or_insert(ParityLine {
            group,
            entries: 0,
            error: 0.0,
            tolerance,
            worst: name.to_owned(),
        });
        line.entries += 1;
        if error > line.error || error.is_nan() {
            line.error = error;
            line.worst = name.to_owned();
        }
    }
}

fn norm(tensor: &Tensor) -> Result<f64> {
    Ok(values(tensor)?.iter().map(|x| x * x).sum::<f64>().sqrt())
}

fn missing(name: &str) -> Error {
    Error::Weights { what: "the computed values".into(), problems: format!("{name} is missing") }
}
