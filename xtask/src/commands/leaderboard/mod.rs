//! `cargo xtask leaderboard`.

mod curve;
mod entrant;
mod page;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use vg_data::{Frames, Split};
use vg_metrics::{Measurement, PROTOCOLS};

use self::curve::Curve;
use self::entrant::Entrant;
use self::table::{Row, Table};
use super::eval::{Control, Plan, Subject, Wishes, model_format};
use super::train::Part;
use crate::data::{Bar, DataChoice};
use crate::failure::{Done, Failure};
use crate::run::write_text;
use crate::{clips, console, threads};

/// Clips of each model that are shown.
const SHOWN: usize = 9;

/// Train models for the same time on the same data, and measure them by the same protocols
///
/// Each model is trained in a run folder of its own below OUT; one that is there already is trained only for what is left of its time, so
/// that an interrupted command can be given again. Runs and checkpoints from elsewhere are measured as they are. All clips have the same
/// size, number of frames and distance between frames: a model that was trained with smaller steps in time leaves frames out, as MoCoGAN's
/// authors did with VGAN. The first row is the data set measured against itself.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask leaderboard --data shapes --budget 10m tgan:small vgan:small mocogan:small\n  \
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
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
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
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(2..))]
    num: u64,
    /// Frames of a clip; as many as all models make when absent
    #[arg(long, value_name = "T", value_parser = clap::value_parser!(u64).range(1..))]
    frames: Option<u64>,
    /// Distance between frames in the data set; the largest of the models' when absent
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
    let data = DataChoice::new(&args.data, Split::from(args.split), args.root.clone(), None, true)?;
    let out = args.out.clone().unwrap_or_else(|| default_folder(&args.data));
    let mut entrants = args.models.iter().map(|m| Entrant::parse(m, &out)).collect::<Result<Vec<_>>>()?;
    entrant::tell_apart(&mut entrants)?;
    entrant::check_sets(&entrants, &args.sets)?;
    for name in &args.metrics {
        vg_metrics::protocol(name)?;
    }
    for entrant in &entrants {
        if entrant.train(args)? == Done::Interrupted {
            return Ok(Done::Interrupted);
        }
    }
    threads::fix(args.threads)?;
    let board = Board { args, data, format: Format::of(args, &entrants)?, out };
    board.measure(&entrants)?;
    Ok(Done::Good)
}

fn default_folder(data: &str) -> PathBuf {
    let plain: String = data.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Path::new("runs").join(format!("leaderboard-{}", plain.trim_matches('-')))
}

/// What all clips have in common.
#[derive(Clone, Copy, Debug)]
struct Format {
    frames: usize,
    stride: usize,
    size: usize,
}

impl Format {
    fn of(args: &Args, entrants: &[Entrant]) -> Result<Self> {
        let formats = entrants.iter().map(|e| model_format(&e.source())).collect::<Result<Vec<_>>>()?;
        let Some((first, _)) = formats.first() else { return Err(Failure::new("no models").into()) };
        for (entrant, (clip, _)) in entrants.iter().zip(&formats) {
            if (clip.height, clip.width) != (first.height, first.width) {
                let (a, b) = (&entrants[0].label, &entrant.label);
                let text = format!(
                    "{a} makes frames of {}x{}, {b} of {}x{}",
                    first.height, first.width, clip.height, clip.width
                );
                return Err(Failure::new(text)
                    .hint("choose presets of one size, or change it with --set")
                    .into());
            }
        }
        let stride =
            args.stride.map_or_else(|| formats.iter().map(|f| f.1).max().unwrap_or(1), |n| n as usize);
        let made = formats.iter().map(|(clip, own)| (clip.frames - 1) * own / stride + 1).min().unwrap_or(1);
        Ok(Self { frames: args.frames.map_or(made, |n| n as usize), stride, size: first.height })
    }
}

struct Board<'a> {
    args: &'a Args,
    data: DataChoice,
    format: Format,
    out: PathBuf,
}

impl Board<'_> {
    fn plan(&self, subject: Subject) -> Result<Plan> {
        let Format { frames, stride, size } = self.format;
        Plan::new(&Wishes {
            subject,
            real: None,
            data: Some(self.data.clone()),
            metrics: &self.args.metrics,
            weights: &self.args.weights,
            num: Some(self.args.num as usize),
            seed: self.args.seed,
            frames: Some(frames),
            stride: Some(stride),
            size,
        })
    }

    fn values(&self, plan: &Plan) -> Result<Vec<Measurement>> {
        let mut values = Vec::new();
        plan.run(|value| {
            values.push(value.clone());
            Ok(())
        })?;
        Ok(values)
    }

    fn measure(&self, entrants: &[Entrant]) -> Result<()> {
        std::fs::create_dir_all(&self.out).map_err(vg_core::Error::io("creating", &self.out))?;
        let mut rows = vec![self.row("data set", "real", 0.0, 0, Subject::Control(Control::Half))?];
        for entrant in entrants {
            let subject = Subject::Model(entrant.source());
            let (secs, steps) = entrant.trained()?;
            rows.push(self.row(&entrant.label, &entrant.label, secs, steps, subject)?);
        }
        let table = Table { rows, metrics: self.metrics() };
        table.check()?;
        let curves = if self.args.curve { self.curves(entrants)? } else { Vec::new() };
        self.write(&table, &curves)
    }

    /// Metrics as asked for, each once.
    fn metrics(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in &self.args.metrics {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    fn row(&self, label: &str, file: &str, secs: f64, steps: u64, subject: Subject) -> Result<Row> {
        console::note(format!("measuring {label}"));
        let plan = self.plan(subject)?;
        let shown = self.out.join(format!("{}.gif", file.replace(['/', ':'], "-")));
        let bar = Bar::default();
        let first = plan.fake().clips(&bar).take(SHOWN).collect::<vg_metrics::Result<Vec<_>>>()?;
        let frames = first.iter().map(|clip| {
            let [frames, height, width, channels] = clip.frames().dims();
            Frames { frames, height, width, channels, data: clip.frames().pixels().to_vec() }
        });
        clips::write_frames(&shown, frames.collect(), None)?;
        Ok(Row { label: label.to_owned(), clips: shown, secs, steps, values: self.values(&plan)? })
    }

    /// The values of every checkpoint that is there.
    fn curves(&self, entrants: &[Entrant]) -> Result<Vec<Curve>> {
        let mut curves: Vec<Curve> = self.metrics().into_iter().map(Curve::new).collect();
        for entrant in entrants {
            for (checkpoint, secs) in entrant.checkpoints()? {
                console::note(format!("measuring {}", checkpoint.display()));
                let plan = self.plan(Subject::Model(checkpoint.display().to_string()))?;
                for value in self.values(&plan)? {
                    let curve = curves.iter_mut().find(|c| c.metric == value.metric);
                    if let (Some(curve), Some(value)) = (curve, value.value) {
                        curve.push(&entrant.label, secs, value);
                    }
                }
            }
        }
        Ok(curves)
    }

    fn write(&self, table: &Table, curves: &[Curve]) -> Result<()> {
        let drawings = curves.iter().map(Curve::svg).collect::<Result<Vec<_>>>()?;
        for (curve, svg) in curves.iter().zip(&drawings) {
            write_text(&self.out.join(format!("{}.svg", curve.metric)), svg)?;
        }
        let head = self.head();
        let markdown = format!("{head}\n\n{}", table.markdown());
        write_text(&self.out.join("leaderboard.md"), &markdown)?;
        write_text(&self.out.join("leaderboard.html"), &page::html(&head, table, &drawings)?)?;
        let values = table.rows.iter().flat_map(|row| &row.values).map(Measurement::to_json_line);
        let lines = values.collect::<vg_metrics::Result<Vec<_>>>()?;
        write_text(&self.out.join("leaderboard.jsonl"), &(lines.join("\n") + "\n"))?;
        if self.args.json {
            return lines.iter().try_for_each(|line| Ok(console::result(line)?));
        }
        console::result(table.markdown())?;
        Ok(console::result(format!("page: {}", self.out.join("leaderboard.html").display()))?)
    }

    /// What was done, in a sentence.
    fn head(&self) -> String {
        let Format { frames, stride, size } = self.format;
        let titles = PROTOCOLS.iter().filter(|p| self.args.metrics.iter().any(|m| m == p.name));
        let titles: Vec<String> = titles.map(|p| format!("{}: {}", p.name, p.title)).collect();
        format!(
            "{} ({}), {} of training for each model on {}; {} clips of {frames} frames of {size}x{size}, {} frames apart, seed {}. {}.",
            self.data.name,
            self.data.split,
            humantime::format_duration(self.args.budget),
            crate::machine::Machine::this().cpu.unwrap_or_else(|| "an unknown processor".to_owned()),
            self.args.num,
            stride,
            self.args.seed,
            titles.join("; "),
        )
    }
}
