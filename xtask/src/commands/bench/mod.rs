//! `cargo xtask bench`.

mod against;
mod measure;
mod ops;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

use crate::failure::Done;

/// Time a training step and a sampling call
///
/// Random clips, no files. Medians after one warm-up. `--against pytorch` runs our side and the model's PyTorch implementation in
/// turns, each in its own process, and prints how many times as fast we are.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench tgan --preset small --threads 2\n  \
    cargo xtask bench tgan --preset tiny --steps 20 --json\n  \
    cargo xtask bench tgan --preset small --against pytorch --python venv/bin/python --at-least 1.5\n  \
    cargo xtask bench ops --against pytorch --only conv3d\n\n\
    Exit codes: 0 good, 1 slower than `--at-least`, 2 error.")]
pub struct Args {
    /// Name of the model, or `ops` for single operations
    model: String,
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
    /// Compare with another implementation
    #[arg(long, value_enum, value_name = "PEER")]
    against: Option<Peer>,
    /// Python with torch, for `--against pytorch`
    #[arg(long, default_value = "python3", requires = "against", value_name = "PATH")]
    python: PathBuf,
    /// The peer's script; bench/pytorch/MODEL.py of this repository when absent
    #[arg(long, requires = "against", value_name = "FILE")]
    peer: Option<PathBuf>,
    /// Times that both sides are run
    #[arg(long, default_value_t = 3, requires = "against", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only the operations whose name contains TEXT
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Exit with 1 when our training step (with `ops`: any operation) is not at least X times as fast
    #[arg(long, requires = "against", value_name = "X")]
    at_least: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Peer {
    Pytorch,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    match args.against {
        _ if args.model == "ops" => ops::run(args),
        None => measure::run(args),
        Some(Peer::Pytorch) => against::run(args),
    }
}
