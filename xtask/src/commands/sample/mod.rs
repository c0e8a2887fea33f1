//! `cargo xtask sample`.

mod given;
mod list;
pub(super) mod parts;
mod steer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use serde_json::json;
use vg_core::checkpoint::{CONFIG_FILE, MODEL_FILE, Weights};
use vg_core::config::ConfigSource;
use vg_core::model::{Experiment, Init, parse_config_file};
use vg_core::sample::{SampleRequest, Sampler};
use vg_data::Frames;

use self::given::{Conditions, Given};
use self::steer::{Classes, Steer};
use super::eval;
use super::train::Part;
use crate::failure::{Done, Failure};
use crate::report::classes::write_page;
use crate::run::{RunFolder, RunRecord};
use crate::{clips, console, registry, threads};

/// Clips that are sampled at once; a clip does not depend on its neighbours, this only bounds memory.
const AT_ONCE: u64 = 16;

/// Sample clips from a run, a checkpoint or published weights
///
/// One clip a seed: SEED, SEED+1, and so on. The same seed gives the same clip, however many are asked for.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask sample runs/0001-tgan-shapes\n  \
    cargo xtask sample runs/0001-tgan-shapes/checkpoints/step-000500 --num 4 --scale 2 --out four.gif\n  \
    cargo xtask sample published/ --seed 100 --out sheet.png\n  \
    cargo xtask sample runs/0002-mocogan-shapes --grid content=4,motion=6 --out swap.gif\n  \
    cargo xtask sample runs/0002-mocogan-shapes --fix content=3 --classes 0,1 --frames 32 --speed 0.5\n  \
    cargo xtask sample runs/0003-vgan-shapes --num 4 --parts --out layers.gif\n  \
    cargo xtask sample runs/0004-videovae-weizmann --class walk --attribute identity=2 --switch 5:run --switch 10:7 --frames 15\n  \
    cargo xtask sample runs/0004-videovae-weizmann --list-classes\n  \
    cargo xtask sample runs/0004-videovae-weizmann --per-class 4 --out classes.gif\n  \
    cargo xtask sample runs/0004-videovae-weizmann --data weizmann --split test --given 3\n  \
    cargo xtask sample runs/0006-dvdgan-shapes --class 1 --attribute colour=3 --sigma 0.44\n  \
    cargo xtask sample runs/0005-svg-digits --context clip.gif --num 5 --frames 30 --out futures.gif")]
pub struct Args {
    /// Run folder (its newest sound checkpoint), checkpoint, or folder with config.json and model.safetensors;
    /// owner/name on the Hugging Face hub in builds with the feature `hub`
    #[arg(value_name = "DIR")]
    source: String,
    /// List the names and numbers of the model's classes and make no clips
    #[arg(long)]
    list_classes: bool,
    /// Number of clips
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=4096))]
    num: u64,
    /// Seed of the first clip
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    steer: Steer,
    /// Data set that gives the first frames, for models that continue clips or can do so, and the maps for models that follow maps; see
    /// `cargo xtask datasets`
    #[arg(long, value_name = "SET")]
    data: Option<String>,
    /// A clip to continue, for the same models: GIF, WebP, APNG, Y4M, a folder of numbered images, through ffmpeg mp4, avi and others, a still
    /// picture for models that take one frame; its frames are taken one by one.
    /// Its given frames are framed; beside the futures stands the clip itself as far as it goes on
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "grid", "parts"])]
    context: Option<PathBuf>,
    /// Number of given frames, for models that leave it open; as few as the model takes when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    given: Option<u64>,
    /// Part of the data set
    #[arg(long, value_enum, default_value = "train", value_name = "PART")]
    split: Part,
    /// Where downloaded data sets live; `data` when absent
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Also write what the clips were made of, for models with such parts: OUT-mask.gif, OUT-background.png and so on
    #[arg(long)]
    parts: bool,
    /// File to write; its ending is the format: .gif and .apng loop, .png is a sheet with one clip a row, .mp4 and .webm
    /// need the ffmpeg program
    #[arg(long, default_value = "samples.gif", value_name = "FILE")]
    out: PathBuf,
    /// Repeat each pixel N times each way; small clips are brought to about 64 pixels when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64))]
    scale: Option<u64>,
    /// Number of threads; all when absent. Changes nothing but the time
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let started = Instant::now();
    clips::check_ending(&args.out)?;
    threads::fix(args.threads)?;
    let weights = open(&args.source)?;
    let experiment = experiment(&weights)?;
    let sampler = experiment.sampler(&weights, &Init::cpu(0))?;
    if args.list_classes {
        return list::print(args, &weights, &*sampler);
    }
    let classes = classes(args, &weights, &*sampler)?;
    let clips = check_seeds(args, &classes)?;
    // Given frames lie as far apart as those of the training.
    let stride = if args.data.is_some() { eval::trained_stride(&*experiment)? } else { 1 };
    let mut given = Given::of(args, &*sampler, stride)?;
    let mut made = draw(&*sampler, args, &classes, &mut given, clips)?;
    made.clips = given.beside(made.clips)?;
    let clip = made.clips.first().map(|f| (f.frames, f.size()));
    let files = write(args, &classes, &*sampler, made)?;
    report(args, &classes, clips, &files, &weights, clip, started.elapsed().as_secs_f64())?;
    Ok(Done::Good)
}

/// The classes that are asked for, by their numbers.
fn classes(args: &Args, weights: &Weights, sampler: &dyn Sampler) -> Result<Classes> {
    let count = sampler.spec().classes;
    if args.steer.per_class.is_some() && count == 0 {
        return Err(Failure::new("--per-class: this model was trained without classes")
            .hint("leave `--per-class` out")
            .into());
    }
    let found = args.steer.classes(weights.classes(), &sampler.attributes(), count);
    Ok(found.map_err(|error| {
        let failure = Failure::new(error.to_string());
        match (weights.classes().is_empty(), count) {
            (false, _) => {
                failure.hint(format!("`cargo xtask sample {} --list-classes` lists all", args.source))
            }
            (true, 0) => failure.hint("this model was trained without classes; leave the class out"),
            (true, count) => failure.hint(format!(
                "this model has the classes 0 to {}; names come with runs on data with labels",
                count - 1
            )),
        }
    })?)
}

/// The number of clips.
fn check_seeds(args: &Args, classes: &Classes) -> Result<u64> {
    let clips = args.steer.clips(args.num, classes);
    match args.seed.checked_add(clips) {
        Some(_) => Ok(clips),
        None => Err(Failure::new(format!("--seed {}: too large for {clips} clips", args.seed)).into()),
    }
}

/// Writes the clips and returns the files.
fn write(args: &Args, classes: &Classes, sampler: &dyn Sampler, made: Made) -> Result<Vec<PathBuf>> {
    let scale = args.scale.map(|n| n as usize);
    // Of models that follow maps one wants to see both beside each other.
    let rows = if args.parts && !sampler.spec().maps.is_empty() {
        Some(parts::write_rows(&args.out, &made.clips, &made.parts, scale)?)
    } else {
        None
    };
    let mut files = match (&args.steer.grid, args.steer.per_class) {
        (Some(grid), _) => clips::write_table(&args.out, made.clips, grid.columns.number as usize, scale)?,
        (None, Some(columns)) => {
            let (of, title) = (sampler.spec().classes, format!("Clips of {}", args.source));
            let page = write_page(&args.out, &title, of, &classes.rows, &made.clips)?;
            clips::write_rows(&args.out, made.clips, columns as usize, scale)?;
            vec![args.out.clone(), page]
        }
        (None, None) => {
            clips::write_frames(&args.out, made.clips, scale)?;
            vec![args.out.clone()]
        }
    };
    files.extend(rows);
    files.extend(parts::write(&args.out, made.parts, scale)?);
    Ok(files)
}

/// Weights from a run folder, a checkpoint, a folder of published weights or the hub.
///
/// # Errors
/// [`Failure`] for a place that has none; those of damaged ones.
pub fn open(source: &str) -> Result<Weights> {
    let path = Path::new(source);
    if path.join(RunRecord::FILE).exists() {
        let checkpoint = RunFolder::at(path).newest_checkpoint()?;
        let name = checkpoint.path().display().to_string();
        let weights = Weights::new(name, checkpoint.config(), checkpoint.model_tensors().clone());
        return Ok(weights.with_classes(checkpoint.classes().clone()));
    }
    if path.is_dir() {
        if !path.join(MODEL_FILE).exists() {
            let text = format!("{source} is no run, no checkpoint and no folder of weights");
            let hint = format!("a run has {}, weights have {CONFIG_FILE} and {MODEL_FILE}", RunRecord::FILE);
            return Err(Failure::new(text).hint(hint).into());
        }
        return Ok(Weights::open(path)?);
    }
    if path.exists() {
        let hint = "give the folder that holds it, with its config.json";
        return Err(Failure::new(format!("{source} is a file, not a folder")).hint(hint).into());
    }
    from_hub(source)
}

#[cfg(feature = "hub")]
fn from_hub(source: &str) -> Result<Weights> {
    if is_repository(source) { Ok(Weights::from_pretrained(source)?) } else { Err(missing(source).into()) }
}

#[cfg(not(feature = "hub"))]
fn from_hub(source: &str) -> Result<Weights> {
    let failure = missing(source);
    Err(if is_repository(source) {
        failure.hint("if that is a repository on the Hugging Face hub: this build has no hub support, add `--features hub`")
    } else {
        failure
    }
    .into())
}

fn is_repository(source: &str) -> bool {
    let parts: Vec<&str> = source.split('/').collect();
    parts.len() == 2 && parts.iter().all(|p| !p.is_empty() && !p.starts_with('.'))
}

fn missing(source: &str) -> Failure {
    Failure::new(format!("{source} does not exist"))
        .hint("runs are made by `cargo xtask train MODEL` below runs/")
}

/// The model that weights belong to, with their configuration.
///
/// # Errors
/// For a model that this build does not have, or a configuration that does not fit it.
pub fn experiment(weights: &Weights) -> Result<Box<dyn Experiment>> {
    let file = parse_config_file(weights.config())
        .map_err(|e| Failure::new(weights.source().to_owned()).because(e))?;
    let config = file.config.to_string();
    let source = ConfigSource { json: Some(&config), ..Default::default() };
    Ok((registry::find(&file.model)?.entry.open)(&source)?)
}

/// What was drawn.
#[derive(Default)]
struct Made {
    clips: Vec<Frames>,
    /// By name, where they were asked for.
    parts: BTreeMap<&'static str, Vec<Frames>>,
}

fn draw(
    sampler: &dyn Sampler,
    args: &Args,
    classes: &Classes,
    given: &mut Given,
    clips: u64,
) -> Result<Made> {
    let mut made = Made::default();
    for start in (0..clips).step_by(AT_ONCE as usize) {
        let range = start..clips.min(start + AT_ONCE);
        let Conditions { context, maps } = given.take(range.clone(), sampler.spec().context_frames)?;
        let request = SampleRequest { context, maps, ..args.steer.request(classes, args.seed, range) };
        let clips = if args.parts {
            let (clips, parts) = sampler.sample_parts(&request)?;
            if parts.is_empty() {
                let text = "--parts: this model makes its clips in one piece";
                return Err(Failure::new(text).hint("leave `--parts` out").into());
            }
            for (name, part) in parts {
                made.parts.entry(name).or_default().extend(Frames::from_tensor(&part.tensor, part.pixels)?);
            }
            clips
        } else {
            sampler.sample(&request)?
        };
        made.clips.extend(Frames::from_tensor(&clips.tensor, clips.pixels)?);
    }
    Ok(made)
}

fn report(
    args: &Args,
    classes: &Classes,
    clips: u64,
    files: &[PathBuf],
    weights: &Weights,
    clip: Option<(usize, vg_data::FrameSize)>,
    secs: f64,
) -> Result<()> {
    let (frames, size) = clip.ok_or_else(|| Failure::new("the model made no clips"))?;
    if args.json {
        return console::json(&json!({
            "file": files[0], "files": files, "weights": weights.source(), "clips": clips, "seed": args.seed, "frames": frames,
            "height": size.height, "width": size.width, "channels": size.channels, "secs": secs, "rows": classes.rows.iter().map(|(_, name)| name).collect::<Vec<_>>(),
        }));
    }
    let out = files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ");
    let seeds = match &args.steer.grid {
        Some(grid) => {
            let (rows, columns) = (&grid.rows, &grid.columns);
            format!(
                "{} {} by {} {} from seed {}",
                rows.number, rows.stream, columns.number, columns.stream, args.seed
            )
        }
        None => format!("seeds {} to {}", args.seed, args.seed + (args.steer.per_class.unwrap_or(clips) - 1)),
    };
    let from = weights.source();
    console::result(format!(
        "{out}: {clips} clips of {frames} frames of {size} from {from}, {seeds}, {secs:.2} s"
    ))?;
    for (k, (class, name)) in classes.rows.iter().enumerate() {
        console::result(format!("  row {}: class {class}, {name}", k + 1))?;
    }
    Ok(())
}
