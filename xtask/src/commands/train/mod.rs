//! `cargo xtask train`.

mod describe;
mod execute;
mod plan;
mod watch;

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use vg_data::Split;

use crate::failure::{Done, Failure};
use crate::run::clock;

/// Train a model
///
/// Everything of a run goes to one folder: configuration, losses, sample clips, checkpoints, and a report to open in a browser.
/// Ctrl-C finishes the step and saves; `--resume` goes on exactly where a run stopped, also after a crash.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask train tgan --preset demo --steps 1500\n  \
    cargo xtask train tgan --data folder:clips/ --set train.lr=1e-4 --set train.flip=true\n  \
    cargo xtask train tgan --config my.toml --dry-run\n  \
    cargo xtask train videovae --preset shapes-classifier --out runs/stage-1\n  \
    cargo xtask train videovae --preset shapes --from runs/stage-1\n  \
    cargo xtask train --resume runs/0001-tgan-shapes --steps 5000\n\n\
    Exit codes: 0 finished, 2 error, 130 interrupted and saved.")]
pub struct Args {
    /// Name of the model; see `cargo xtask models`
    #[arg(required_unless_present = "resume")]
    model: Option<String>,
    /// Preset to start from; the model's first one when absent
    #[arg(long, value_name = "P")]
    preset: Option<String>,
    /// TOML file with differences to the preset, such as `[train]` and `lr = 1e-4`
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// Data set, see `cargo xtask datasets`; `folder:PATH` and `strips:PATH` take your own clips. `shapes` when absent
    #[arg(long, value_name = "SET")]
    data: Option<String>,
    /// Part of the data set; `train` when absent
    #[arg(long, value_enum, value_name = "PART")]
    split: Option<Part>,
    /// Steps in all, those before a resume included; 1000 when absent
    #[arg(long, value_name = "N", conflicts_with = "epochs", value_parser = clap::value_parser!(u64).range(1..))]
    steps: Option<u64>,
    /// Length in passes over the data instead
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    epochs: Option<f64>,
    /// Time for the run, such as `10m`, instead of a number of steps; sample clips and checkpoints come every tenth of it
    #[arg(long, value_name = "TIME", conflicts_with_all = ["steps", "epochs"], value_parser = clock::budget)]
    budget: Option<std::time::Duration>,
    /// Checkpoints that are kept, the newest ones; 3 when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(2..))]
    keep: Option<u64>,
    /// Clips a step; short for `--set train.batch=N`
    #[arg(long, value_name = "N")]
    batch: Option<u64>,
    /// Seed of weights, noise and data order; 0 when absent
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Folder of the run; the next free runs/NNNN-MODEL-DATA when absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Change a value of the configuration, such as `train.lr=1e-4`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Start from weights of another run, its folder or a checkpoint, for models that can: VGAN's classifier from a
    /// discriminator, VideoVAE's second stage from its first
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// Continue the run in a folder from its newest sound checkpoint; the run's own settings hold, and what is left of its steps or its
    /// time
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "preset", "config", "data", "split", "batch", "seed", "out", "sets", "device", "sample_every", "checkpoint_every",
        "samples", "strict", "min_frames", "cache", "root", "keep",
    ])]
    resume: Option<PathBuf>,
    /// Where to compute: `cpu`
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
    /// Number of threads; all when absent. Changes nothing but the time
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print what would be done and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Events as JSON, one object a line on stdout
    #[arg(long)]
    json: bool,
    /// Steps between sample clips, 0 for only at the end; a tenth of the run, at most 500, when absent. With --budget besides those of
    /// each tenth of it
    #[arg(long, value_name = "N")]
    sample_every: Option<u64>,
    /// Steps between checkpoints, likewise
    #[arg(long, value_name = "N")]
    checkpoint_every: Option<u64>,
    /// Number of sample clips; 16 when absent
    #[arg(long, value_name = "N")]
    samples: Option<u64>,
    /// A broken file in the data set is an error; otherwise it is named and left out
    #[arg(long)]
    strict: bool,
    /// Leave out strips in class folders with fewer frames; 32 when absent, as MoCoGAN does
    #[arg(long, value_name = "N")]
    min_frames: Option<usize>,
    /// Where decoded clips are kept; ROOT/cache when absent
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Where downloaded data sets live; `data` when absent
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// A part of a data set.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Part {
    /// What a model learns from.
    Train,
    /// What it is measured on.
    Test,
}

impl From<Part> for Split {
    fn from(part: Part) -> Self {
        match part {
            Part::Train => Self::Train,
            Part::Test => Self::Test,
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    check_device(args.device.as_deref())?;
    match &args.resume {
        None => execute::start(args),
        Some(folder) => execute::resume(args, folder),
    }
}

fn check_device(device: Option<&str>) -> Result<(), Failure> {
    match device {
        None | Some("cpu") => Ok(()),
        Some("cuda") => Err(Failure::new("--device cuda: this build computes on the CPU alone")
            .hint("GPU kernels come with the cargo feature `cuda`, which this version does not have yet; use `--device cpu`")),
        Some(other) => Err(Failure::new(format!("--device {other}: there is no such device; known: cpu"))),
    }
}
