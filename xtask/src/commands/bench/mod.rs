//! `cargo xtask bench`.

mod against;
mod child;
mod compare;
mod history;
mod lock;
mod measure;
mod ops;
mod plot;
mod record;
mod suite;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::failure::{Done, Failure};

/// Time a training step and a sampling call of a model, and all that belongs to benchmarks
///
/// With a model: random clips, no files; medians after one warm-up. `--against pytorch` runs our side and the model's PyTorch
/// implementation in turns, each in its own process, and prints how many times as fast we are.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
    cargo xtask bench tgan --preset small --threads 2\n  \
    cargo xtask bench tgan --preset tiny --steps 20 --json\n  \
    cargo xtask bench tgan --preset small --against pytorch --python venv/bin/python --at-least 1.5\n  \
    cargo xtask bench ops --against pytorch --only conv3d\n  \
    cargo xtask bench compare main\n\n\
    Exit codes: 0 good, 1 slower than `--at-least` or than the base, 2 error, 130 interrupted."
)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Name of the model
    #[arg(required = true)]
    model: Option<String>,
    #[command(flatten)]
    options: ModelArgs,
}

#[derive(Subcommand)]
enum What {
    Ops(ops::Args),
    Compare(compare::Args),
    Record(record::Args),
    Plot(plot::Args),
}

/// Options of `bench MODEL`.
#[derive(clap::Args)]
struct ModelArgs {
    /// Preset; the model's first one when absent
    #[arg(long, value_name = "P")]
    preset: Option<String>,
    /// Clips a step; the preset's when absent
    #[arg(long, value_name = "N")]
    batch: Option<u64>,
    /// Number of threads; all when absent
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Timed training steps
    #[arg(long, default_value_t = 5, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    steps: u64,
    /// Change a value of the configuration; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "against")]
    sets: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    peer: PeerArgs,
    /// The peer's script; bench/pytorch/MODEL.py of this repository when absent
    #[arg(long = "peer", requires = "against", value_name = "FILE")]
    script: Option<PathBuf>,
    /// Times that both sides are run
    #[arg(long, default_value_t = 3, requires = "against", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Exit with 1 when our training step is not at least X times as fast
    #[arg(long, requires = "against", value_name = "X")]
    at_least: Option<f64>,
}

/// Who else is timed.
#[derive(clap::Args)]
struct PeerArgs {
    /// Compare with another implementation
    #[arg(long, value_enum, value_name = "PEER")]
    against: Option<Peer>,
    /// Python with torch, for `--against pytorch`
    #[arg(long, default_value = "python3", requires = "against", value_name = "PATH")]
    python: PathBuf,
}

/// Another implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Peer {
    Pytorch,
}

impl Peer {
    /// Name in texts for people.
    fn title(self) -> &'static str {
        match self {
            Self::Pytorch => "PyTorch",
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    match (&args.what, &args.model) {
        (Some(What::Ops(args)), _) => ops::run(args),
        (Some(What::Compare(args)), _) => compare::run(args),
        (Some(What::Record(args)), _) => record::run(args),
        (Some(What::Plot(args)), _) => plot::run(args),
        (None, Some(model)) => time_model(model, &args.options),
        (None, None) => Err(Failure::new("no model is named").hint("`cargo xtask models` lists them").into()),
    }
}

fn time_model(model: &str, args: &ModelArgs) -> Result<Done> {
    // After an option of `bench MODEL`, clap takes the next word for the model.
    if ["ops", "compare", "record", "plot"].contains(&model) {
        let text = format!("`{model}` stands after an option");
        let hint = format!("write `cargo xtask bench {model} ...` with the options last");
        return Err(Failure::new(text).hint(hint).into());
    }
    match args.peer.against {
        None => measure::run(model, args),
        Some(Peer::Pytorch) => against::run(model, args),
    }
}
