//! `cargo xtask leaderboard`.

mod board;
mod curve;
mod entrant;
mod format;
mod page;
mod table;
mod training;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use vg_data::Split;

use self::board::Board;
use self::entrant::Entrant;
use self::format::Format;
use super::eval::{Control, MOST_CLIPS, MOST_FRAMES, Subject};
use super::train::Part;
use crate::data::DataChoice;
use crate::failure::Done;
use crate::run::clock;
use crate::{interrupt, threads};

/// Train models for the same time on the same data, and measure them by the same protocols
///
/// Each model is trained in a run folder of its own below OUT; one that is there already is trained only for what is left of its time, so
/// that an interrupted command can be given again. Runs and checkpoints from elsewhere are measured as they are. All clips have the same
/// size, number of frames and distance between frames: a model that was trained with smaller steps in time leaves frames out, as MoCoGAN's
/// authors did with VGAN. The first row is the data set measured against itself.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask leaderboard --data shapes --budget 10m tgan:demo vgan:demo mocogan:demo\n  \
    cargo xtask leaderboard --data shapes runs/0001-tgan-shapes runs/0002-mocogan-shapes\n\n\
    Models are NAME, NAME:PRESET, or folders of runs, checkpoints and published weights.")]
pub struct Args {
    /// What takes part
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<String>,
    /// Data set; see `cargo xtask datasets`
    #[arg(long, value_name = "SET", default_value = "shapes")]
    data: String,
    /// Part of the data set, for training and as the real clips
    #[arg(long, value_enum, default_value = "train", value_name = "PART")]
    split: Part,
    /// Training time of each model
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = clock::budget)]
    budget: Duration,
    /// Names of metrics, separated by commas
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "fvd-vg,is-vg,acd-c-shapes,motion,diversity"
    )]
    metrics: Vec<String>,
    /// Clips of each side
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(2..=MOST_CLIPS))]
    num: u64,
    /// Frames of a clip; as many as all models make when absent
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..=MOST_FRAMES))]
    frames: Option<u64>,
    /// Distance between frames in the data set; the least that is a multiple of all models' when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64))]
    stride: Option<u64>,
    /// Change a value of a model's configuration, such as `tgan.train.batch=16`; may be repeated
    #[arg(long = "set", value_name = "MODEL.KEY=VALUE")]
    sets: Vec<String>,
    /// Measure all kept checkpoints too (one each tenth of the time), and draw the values over the training time
    #[arg(long)]
    curve: bool,
    /// Seed of training, of the choice of clips and of the metrics
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder of runs and results; runs/leaderboard-DATA when absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Folder of the networks' weights, as `download` makes it
    #[arg(long, value_name = "DIR", default_value = "data/cache/networks")]
    weights: PathBuf,
    /// Where downloaded data sets live
    #[arg(long, value_name = "DIR", default_value = "data")]
    root: PathBuf,
    /// Number of threads; all when absent
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print one JSON object per value instead of the table
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    threads::fix(args.threads)?;
    let out = args.out.clone().unwrap_or_else(|| default_folder(&args.data));
    let parse = |text: &String| Entrant::parse(text, &args.sets, &out);
    let entrants = args.models.iter().map(parse).collect::<Result<Vec<_>>>()?;
    entrant::tell_apart(&entrants)?;
    entrant::check_sets(&entrants, &args.sets)?;
    entrants.iter().try_for_each(|entrant| entrant.check_run(args))?;
    let format = Format::of(args, &entrants)?;
    let board = Board { args, data: args.data()?, format, out: out.clone(), stop: stop_flag()? };
    // What the measurement will refuse is refused before anything is trained.
    board.plan(Subject::Control(Control::Half))?.check()?;
    for entrant in &entrants {
        if board.is_stopped() || entrant.train(args)? == Done::Interrupted {
            return Ok(Done::Interrupted);
        }
    }
    board.measure(&entrants)
}

fn stop_flag() -> Result<&'static AtomicBool> {
    Ok(interrupt::flag("saving the training, or finishing the row; the same command goes on from here")?)
}

impl Args {
    /// The real clips; broken ones are an error, as without them all values would be others.
    fn data(&self) -> Result<DataChoice> {
        DataChoice::new(&self.data, Split::from(self.split), self.root.clone(), None, true)
    }
}

fn default_folder(data: &str) -> PathBuf {
    let plain: String = data.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Path::new("runs").join(format!("leaderboard-{}", plain.trim_matches('-')))
}
