//! `cargo xtask predict`.

mod contestant;
mod curves;
mod metric;
mod outcome;
mod picture;
mod score;
mod turns;
mod uncertainty;

use std::path::{Path, PathBuf};

use anyhow::Result;
use candle_core::Tensor;
use vg_core::{BatchSource, BatchSpec, ClipSpec, Pixels, batch};
use vg_data::{Frames, Loader};

use self::contestant::{Contestant, Copy, Model, Seeds};
use self::metric::Metric;
use self::outcome::Outcome;
use self::score::{Chunk, Scores};
use self::uncertainty::Expectations;
use super::train::Part;
use crate::data::DataChoice;
use crate::failure::{Done, Failure};
use crate::{console, threads};

/// Most clips that go through a model together.
const AT_ONCE: u64 = 16;

/// Continue test clips many times, and score the best of the futures frame by frame
///
/// Of SAMPLES futures of a clip the best counts, for each metric by its mean over the predicted frames. All models continue the same clips;
/// beside them stands the copy of the last given frame. OUT gets scores.json, a picture of each metric over time with 95 % bands of the mean
/// over clips, and an animation for each model, a clip a row: the truth, the best future, other futures, given frames framed. Of models that
/// tell how open they hold the future to be (SVG's learned prior), also the picture of that over time, and around the bounces of `digits`;
/// the three frames behind a bounce are scored apart, too.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask predict runs/0001-svg-digits --data digits\n  \
    cargo xtask predict runs/0001-svg-digits runs/0002-svg-digits --data digits --samples 20 --num 64 --frames 15\n\n\
    Metrics: psnr (per channel, dB), ssim (Gaussian window, as Finn et al. 2016), ssim-svg (that of SVG's scripts: uniform window,\n\
    range 2; higher than the other), and of lpips-alex, lpips-vgg and st-lpips, where less is better, those whose weights are in\n\
    --weights (`cargo xtask download st-lpips`). Infinite psnr (equal frames) is left out of means and counted.")]
pub struct Args {
    /// Run folders, checkpoints or folders of weights of models that continue clips
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<String>,
    /// Data set of the clips; see `cargo xtask datasets`
    #[arg(long, value_name = "SET")]
    data: String,
    /// Part of the data set
    #[arg(long, value_enum, default_value = "test", value_name = "PART")]
    split: Part,
    /// Number of clips
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(2..=10_000))]
    num: u64,
    /// Futures of each clip
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
    samples: u64,
    /// Frames of a clip, given ones included; as many as the first model makes when absent
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(2..=1024))]
    frames: Option<u64>,
    /// Seed of the choice of clips and of the futures
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder of the results, new or empty
    #[arg(long, value_name = "DIR", default_value = "predictions")]
    out: PathBuf,
    /// Folder of the networks' weights, as `download` makes it
    #[arg(long, value_name = "DIR", default_value = "data/cache/networks")]
    weights: PathBuf,
    /// Where downloaded data sets live
    #[arg(long, value_name = "DIR", default_value = "data")]
    root: PathBuf,
    /// Number of threads; all when absent. Changes nothing but the time
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print the scores as one JSON object
    #[arg(long)]
    json: bool,
}

/// What all contestants are given.
struct Task {
    clip: ClipSpec,
    /// Frames that are given.
    past: usize,
    pixels: Pixels,
    /// Distance between frames in the data set.
    stride: usize,
}

impl Task {
    fn batch(&self, clips: usize) -> BatchSpec {
        BatchSpec {
            frame_stride: self.stride,
            labels: vec![batch::CLIP_NUMBER.to_owned()],
            ..BatchSpec::clips(clips, self.clip, self.pixels)
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    threads::fix(args.threads)?;
    let models = args.models.iter().map(|name| Model::open(name)).collect::<Result<Vec<_>>>()?;
    let task = task(args, &models)?;
    let choice = DataChoice::new(&args.data, args.split.into(), args.root.clone(), None, false)?;
    check_out(&args.out)?;
    let metrics = Metric::all(&args.weights)?;
    let mut clips = vg_data::source(choice.open(task.clip.into())?, args.seed).with_whole_stride();
    check_number(args, &clips, &task)?;
    let mut contestants: Vec<Box<dyn Contestant>> = vec![Box::new(Copy)];
    contestants.extend(models.into_iter().map(|model| Box::new(model) as Box<dyn Contestant>));
    let entrant = |c| Entrant::new(c, args.samples, &task, &metrics);
    let mut entrants = contestants.into_iter().map(entrant).collect::<Result<Vec<_>>>()?;
    let template = "{bar:30} {pos}/{len} clips continued, {eta} left";
    let bar = console::bar(args.num * entrants.len() as u64, template);
    let chunks = args.num.div_ceil(AT_ONCE);
    for chunk in 0..chunks {
        // Chunks of nearly one size: where batch statistics count, they are of as many clips, and never of a single one.
        let [start, end] = [chunk, chunk + 1].map(|k| k * args.num / chunks);
        let batch = clips.batch(&task.batch((end - start) as usize), start)?;
        let turns = turns::of(&batch, clips.dataset(), &task)?;
        let seeds = Seeds { first: args.seed.wrapping_add(start), step: args.num };
        for entrant in &mut entrants {
            entrant.predict(&batch.clips, &turns, &task, seeds)?;
            bar.inc(end - start);
        }
    }
    bar.finish_and_clear();
    let outcome = Outcome::of(&entrants)?;
    outcome.write(&args.out, task.past)?;
    outcome.report(args)
}

/// Results of two calls in one folder could not be told apart.
fn check_out(out: &Path) -> Result<()> {
    let full = std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some());
    if full {
        let text = format!("--out {}: there is something in the folder", out.display());
        return Err(Failure::new(text).hint("name another one, or remove it").into());
    }
    Ok(())
}

/// Every clip is to count once.
fn check_number(args: &Args, clips: &Loader, task: &Task) -> Result<()> {
    let there = clips.info().clips - clips.excluded(&task.batch(1));
    if args.num > there && !(clips.dataset().endless() && there > 0) {
        let (set, frames) = (&args.data, task.clip.frames * task.stride);
        let text =
            format!("{set} has {there} clips of at least {frames} frames, and {} are needed", args.num);
        return Err(Failure::new(text).hint("lower --num or --frames, or take the other --split").into());
    }
    Ok(())
}

/// A contestant with what it has reached so far.
struct Entrant<'a> {
    metrics: &'a [Metric],
    contestant: Box<dyn Contestant>,
    samples: u64,
    scores: Scores,
    expectations: Expectations,
    /// Rows of its animation.
    shown: Vec<Vec<Frames>>,
}

impl<'a> Entrant<'a> {
    fn new(contestant: Box<dyn Contestant>, wanted: u64, task: &Task, metrics: &'a [Metric]) -> Result<Self> {
        let samples = contestant.samples(wanted);
        let scores = Scores::new(contestant.name(), samples, task.clip.frames - task.past, metrics)?;
        let expectations = Expectations::new(contestant.name());
        Ok(Self { metrics, contestant, samples, scores, expectations, shown: Vec::new() })
    }

    fn predict(&mut self, truth: &Tensor, turns: &[Vec<usize>], task: &Task, seeds: Seeds) -> Result<()> {
        let future = |n: usize| self.contestant.future(truth, task, seeds, n as u64);
        // What is shown is kept, and the best is made once more: all of them would be a lot of memory.
        let (mut scored, mut kept) = (Chunk::new(truth, task, self.metrics)?, Vec::new());
        for n in 0..self.samples as usize {
            let made = future(n)?;
            scored.push(&made)?;
            if kept.len() <= picture::OTHERS {
                kept.push(made);
            }
        }
        self.scores.take(&scored, turns)?;
        if self.shown.is_empty() && self.contestant.is_shown() {
            let again = |n: usize| kept.get(n).map_or_else(|| future(n), |made| Ok(made.clone()));
            let samples = self.samples as usize;
            self.shown = picture::rows(truth, again, self.scores.first(), samples, task)?;
        }
        match self.contestant.uncertainty(truth)? {
            Some(expected) => self.expectations.push(&expected, turns),
            None => Ok(()),
        }
    }
}

/// The clips that all models continue alike.
fn task(args: &Args, models: &[Model]) -> Result<Task> {
    let first = &models[0];
    let (spec, past) = (first.spec(), first.past()?);
    let frames = args.frames.map_or(spec.clip.frames, |n| n as usize);
    if frames <= past {
        let text = format!("--frames {frames}: {past} of them are given, and none is left to predict");
        return Err(Failure::new(text).hint(format!("ask for {} or more", past + 1)).into());
    }
    for other in &models[1..] {
        let (own, given) = (other.spec(), other.past()?);
        let same =
            ClipSpec { frames: spec.clip.frames, ..own.clip } == spec.clip && own.pixels == spec.pixels;
        if !same || given != past || other.stride != first.stride {
            let given = |model: &Model, past: usize| {
                let ClipSpec { height, width, channels, .. } = model.spec().clip;
                format!("{past} frames of {height}x{width}x{channels}, every {}.", model.stride)
            };
            let text = format!(
                "{} continues {}, and {} {}",
                other.name(),
                given(other, other.past()?),
                first.name(),
                given(first, past)
            );
            return Err(Failure::new(text).hint("compare models that are given the same").into());
        }
    }
    let clip = ClipSpec { frames, ..spec.clip };
    Ok(Task { clip, past, pixels: spec.pixels, stride: first.stride })
}
