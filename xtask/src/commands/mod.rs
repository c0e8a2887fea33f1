//! One file per command.

mod bench;
mod ci;
mod datasets;
mod download;
mod eval;
mod help_text;
mod leaderboard;
mod models;
mod parity;
mod predict;
mod report;
mod sample;
mod stabilize;
mod train;
mod train_classifier;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::failure::Done;

/// Columns of help texts.
const HELP_WIDTH: usize = 100;

/// Train, sample, compare and benchmark the vg video models.
///
/// Everything works offline on a fresh machine: `shapes`, the default data set, is made in code.
#[derive(Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = HELP_WIDTH,
    disable_help_subcommand = true,
    after_help = "First steps:\n  \
        cargo xtask models\n  \
        cargo xtask train tgan --preset demo --steps 1500\n  \
        cargo xtask sample runs/0001-tgan-shapes\n\n\
        Exit codes: 0 good, 1 worse than asked for (parity, bench), 2 error, 130 interrupted."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Models(models::Args),
    Datasets(datasets::Args),
    Download(download::Args),
    Stabilize(stabilize::Args),
    Train(Box<train::Args>),
    Sample(sample::Args),
    Eval(Box<eval::Args>),
    Predict(predict::Args),
    Leaderboard(leaderboard::Args),
    Report(report::Args),
    Parity(parity::Args),
    TrainClassifier(train_classifier::Args),
    Bench(bench::Args),
    Ci(ci::Args),
    #[command(hide = true)]
    HelpText(help_text::Args),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Everything that goes wrong, for one place to print.
    pub fn run(self) -> Result<Done> {
        match self.command {
            Command::Models(args) => models::run(&args),
            Command::Datasets(args) => datasets::run(&args),
            Command::Download(args) => download::run(&args),
            Command::Stabilize(args) => stabilize::run(&args),
            Command::Train(args) => train::run(&args),
            Command::Sample(args) => sample::run(&args),
            Command::Eval(args) => eval::run(&args),
            Command::Predict(args) => predict::run(&args),
            Command::Leaderboard(args) => leaderboard::run(&args),
            Command::Report(args) => report::run(&args),
            Command::Parity(args) => parity::run(&args),
            Command::TrainClassifier(args) => train_classifier::run(&args),
            Command::Bench(args) => bench::run(&args),
            Command::Ci(args) => ci::run(&args),
            Command::HelpText(args) => help_text::run(&args),
        }
    }
}
