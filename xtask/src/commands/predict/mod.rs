//! `cargo xtask predict`.

mod contestant;
mod curves;
mod picture;
mod score;

use std::path::PathBuf;

use anyhow::Result;
use vg_core::{BatchSource, BatchSpec, ClipSpec, Pixels};
use vg_data::media;

use self::contestant::{Contestant, Copy, Model, Seeds};
use self::score::{METRICS, Scores};
use super::train::Part;
use crate::data::DataChoice;
use crate::failure::{Done, Failure};
use crate::run::write_text;
use crate::{console, threads};

/// Clips that go through a model together.
const AT_ONCE: u64 = 16;

/// Continue test clips many times, and score the best of the futures frame by frame
///
/// Of SAMPLES futures of a clip the best counts, for each metric by its mean over the predicted frames. All models continue the same clips;
/// beside them stands the copy of the last given frame. OUT gets scores.json, a picture of each metric over time with 95 % bands of the mean
/// over clips, and an animation for each model: given frames (framed), truth, the best future, other futures.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask predict runs/0001-svg-digits --data digits\n  \
    cargo xtask predict runs/0001-svg-digits runs/0002-svg-digits --data digits --samples 20 --num 64 --frames 15\n\n\
    Metrics: psnr (per channel, dB), ssim (Gaussian window, as Finn et al. 2016), ssim-svg (that of SVG's scripts: uniform window,\n\
    range 2; higher than the other). Infinite psnr (equal frames) is left out of means and counted.")]
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
    /// Folder of the results
    #[arg(long, value_name = "DIR", default_value = "predictions")]
    out: PathBuf,
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
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    threads::fix(args.threads)?;
    let models = args.models.iter().map(|name| Model::open(name)).collect::<Result<Vec<_>>>()?;
    let task = task(args, &models)?;
    let choice = DataChoice::new(&args.data, args.split.into(), args.root.clone(), None, false)?;
    let mut clips = vg_data::source(choice.open(task.clip.into())?, args.seed);
    let mut contestants: Vec<Box<dyn Contestant>> = vec![Box::new(Copy)];
    contestants.extend(models.into_iter().map(|model| Box::new(model) as Box<dyn Contestant>));
    std::fs::create_dir_all(&args.out)
        .map_err(|e| Failure::new(format!("{}: cannot be made", args.out.display())).because(e))?;

    let mut scores = contestants
        .iter()
        .map(|c| Scores::new(c.name(), c.samples(args.samples), task.clip.frames - task.past))
        .collect::<Result<Vec<_>>>()?;
    let bar =
        console::bar(args.num * contestants.len() as u64, "{bar:30} {pos}/{len} clips continued, {eta} left");
    let mut shown = vec![Vec::new(); contestants.len()];
    for start in (0..args.num).step_by(AT_ONCE as usize) {
        let count = AT_ONCE.min(args.num - start);
        let wanted = BatchSpec::clips(count as usize, task.clip, task.pixels);
        let truth = clips.batch(&wanted, start)?.clips;
        for ((contestant, scores), shown) in contestants.iter().zip(&mut scores).zip(&mut shown) {
            let seeds = Seeds { first: args.seed.wrapping_add(start), step: args.num };
            let futures = contestant.futures(&truth, &task, contestant.samples(args.samples), seeds)?;
            scores.push(&truth, &futures, &task)?;
            if start == 0 {
                *shown = picture::rows(&truth, &futures, scores.first(), &task)?;
            }
            bar.inc(count);
        }
    }
    bar.finish_and_clear();
    let results = scores.iter().map(Scores::finish).collect::<Result<Vec<_>>>()?;
    write(args, &results, &shown, task.past)?;
    report(args, &results)
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
        if !same || given != past {
            let text = format!(
                "{} continues {given} frames of {}x{}x{}, and {} {past} of {}x{}x{}",
                other.name(),
                own.clip.height,
                own.clip.width,
                own.clip.channels,
                first.name(),
                spec.clip.height,
                spec.clip.width,
                spec.clip.channels
            );
            return Err(Failure::new(text).hint("compare models that are given the same").into());
        }
    }
    Ok(Task { clip: ClipSpec { frames, ..spec.clip }, past, pixels: spec.pixels })
}

fn write(args: &Args, results: &[score::Result], shown: &[Vec<vg_data::Frames>], past: usize) -> Result<()> {
    let text = |name: &str, text: String| write_text(&args.out.join(name), &text);
    text("scores.json", serde_json::to_string_pretty(results)?)?;
    for metric in METRICS {
        text(&format!("{metric}.svg"), curves::svg(metric, results, past)?)?;
    }
    for (n, (result, rows)) in results.iter().zip(shown).enumerate().skip(1) {
        let columns = rows.len() / picture::CLIPS.min(args.num as usize);
        let path = args.out.join(format!("{n}-{}.gif", file_name(&result.model)));
        media::write_grid(&path, rows, columns, crate::clips::FRAMES_PER_SEC)?;
    }
    Ok(())
}

/// The last part of a path, such as `0001-svg-digits`.
fn file_name(model: &str) -> String {
    let last = model.trim_end_matches('/').rsplit('/').next().unwrap_or(model);
    last.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
}

fn report(args: &Args, results: &[score::Result]) -> Result<Done> {
    if args.json {
        console::json(&serde_json::json!({ "out": args.out, "clips": args.num, "scores": results }))?;
        return Ok(Done::Good);
    }
    let width = results.iter().map(|r| r.model.len()).max().unwrap_or(0);
    console::result(format!("{:width$}  samples      psnr    ssim  ssim-svg", "model"))?;
    for result in results {
        let mean = |metric: &str| result.metrics[metric].mean.mean.unwrap_or(f64::INFINITY);
        console::result(format!(
            "{:width$}  {:7}  {:8.3}  {:.4}    {:.4}",
            result.model,
            result.samples,
            mean("psnr"),
            mean("ssim"),
            mean("ssim-svg")
        ))?;
    }
    console::result(format!(
        "{}: {} clips, scores.json, pictures and animations",
        args.out.display(),
        args.num
    ))?;
    Ok(Done::Good)
}
