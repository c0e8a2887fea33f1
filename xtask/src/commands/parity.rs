//! `cargo xtask parity`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::DType;
use clap::ValueEnum;
use serde::Serialize;
use vg_core::testing::{Fixture, ParityReport, Tolerance};

use crate::console;
use crate::failure::{Done, Failure};
use crate::registry::{self, Registered};

/// Compare a model with golden files of its reference
///
/// Builds the model from the configuration in each file, loads its weights, and compares outputs, losses, gradients and the changes
/// of all parameters over training steps. In f32 the changes are left out: adversarial steps amplify rounding.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask parity tgan crates/vg-tgan/tests/fixtures/*.safetensors\n  \
    cargo xtask parity tgan golden.safetensors --dtype f32 --json\n\n\
    Exit codes: 0 all within tolerance, 1 not, 2 error.")]
pub struct Args {
    /// Name of the model
    model: String,
    /// Golden files
    #[arg(required = true, value_name = "FIXTURE")]
    fixtures: Vec<PathBuf>,
    /// Precision of our side
    #[arg(long, value_enum, default_value_t = Precision::F64)]
    dtype: Precision,
    /// One JSON object a file
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Precision {
    F32,
    F64,
}

impl Precision {
    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F64 => DType::F64,
        }
    }
}

#[derive(Serialize)]
struct Row<'a> {
    file: String,
    model: &'a str,
    dtype: &'static str,
    ok: bool,
    groups: Vec<Group<'a>>,
    skipped: &'a std::collections::BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Group<'a> {
    group: &'a str,
    entries: usize,
    error: f64,
    tolerance: f64,
    worst: &'a str,
    ok: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let model = registry::find(&args.model)?;
    let mut done = Done::Good;
    for path in &args.fixtures {
        let report = compare(model, path, args.dtype)?;
        if args.json {
            print_json(model, path, args.dtype, &report)?;
        } else {
            print_table(path, &report)?;
        }
        if !report.passes() {
            done = Done::Worse;
        }
    }
    Ok(done)
}

fn compare(model: &Registered, path: &Path, precision: Precision) -> Result<ParityReport> {
    let fixture = Fixture::open(path)?;
    if !fixture.model().is_empty() && fixture.model() != model.name() {
        let text = format!("{} is of model {}, not of {}", path.display(), fixture.model(), model.name());
        return Err(Failure::new(text).into());
    }
    let report = (model.parity)(&fixture, precision.dtype(), Tolerance::default())
        .map_err(|e| Failure::new(path.display().to_string()).because(e))?;
    Ok(report)
}

fn print_table(path: &Path, report: &ParityReport) -> Result<()> {
    console::result(path.display())?;
    let width = report.lines.iter().map(|l| l.group.len()).max().unwrap_or(0);
    for line in &report.lines {
        let verdict = if line.passes() { "ok" } else { "FAIL" };
        console::result(format!(
            "  {:width$}  {:4} entries  error {:8.2e}  tolerance {:7.0e}  {verdict:4}  worst {}",
            line.group, line.entries, line.error, line.tolerance, line.worst
        ))?;
    }
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for reason in report.skipped.values() {
        match reasons.iter_mut().find(|(r, _)| r == reason) {
            Some((_, n)) => *n += 1,
            None => reasons.push((reason, 1)),
        }
    }
    for (reason, n) in reasons {
        console::result(format!("  left out: {n} entries: {reason}"))?;
    }
    Ok(())
}

fn print_json(model: &Registered, path: &Path, precision: Precision, report: &ParityReport) -> Result<()> {
    let groups = report.lines.iter().map(|l| Group {
        group: &l.group,
        entries: l.entries,
        error: l.error,
        tolerance: l.tolerance,
        worst: &l.worst,
        ok: l.passes(),
    });
    console::json(&Row {
        file: path.display().to_string(),
        model: model.name(),
        dtype: precision.dtype().as_str(),
        ok: report.passes(),
        groups: groups.collect(),
        skipped: &report.skipped,
    })
}
