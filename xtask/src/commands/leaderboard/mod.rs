//! `cargo xtask leaderboard`.

mod curve;
mod entrant;
mod page;
mod table;
mod training;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use vg_data::{Frames, Split};
use vg_metrics::Measurement;

use self::curve::Curve;
use self::entrant::Entrant;
use self::table::{Row, Table};
use super::eval::{Control, MOST_CLIPS, MOST_FRAMES, Plan, Subject, Wishes, conditions};
use super::train::Part;
use crate::data::{Bar, DataChoice};
use crate::failure::{Done, Failure};
use crate::run::{clock, write_text};
use crate::{clips, console, interrupt, threads};

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

/// What all clips have in common.
#[derive(Clone, Copy, Debug)]
struct Format {
    frames: usize,
    stride: usize,
    size: usize,
}

impl Format {
    fn of(args: &Args, entrants: &[Entrant]) -> Result<Self> {
        let formats = entrants.iter().map(Entrant::format).collect::<Result<Vec<_>>>()?;
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
            args.stride.map_or_else(|| formats.iter().map(|f| f.1).fold(1, common_multiple), |n| n as usize);
        for (entrant, (_, own)) in entrants.iter().zip(&formats) {
            if !stride.is_multiple_of(*own) {
                let text = format!("--stride {stride}: {} learns every {own}. frame", entrant.label);
                return Err(Failure::new(text).hint(format!("give a multiple of {own}")).into());
            }
        }
        let made = formats.iter().map(|(clip, own)| (clip.frames - 1) * own / stride + 1).min().unwrap_or(1);
        Ok(Self { frames: args.frames.map_or(made, |n| n as usize), stride, size: first.height })
    }
}

/// The least common multiple of two strides.
fn common_multiple(a: usize, b: usize) -> usize {
    (1..=b).map(|k| k * a).find(|n| n.is_multiple_of(b)).unwrap_or(a)
}

struct Board<'a> {
    args: &'a Args,
    data: DataChoice,
    format: Format,
    out: PathBuf,
    stop: &'static AtomicBool,
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

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn measure(&self, entrants: &[Entrant]) -> Result<Done> {
        std::fs::create_dir_all(&self.out).map_err(vg_core::Error::io("creating", &self.out))?;
        let shown = self.out.join("real.gif");
        let mut rows = vec![self.row("data set", shown, (0.0, 0), Subject::Control(Control::Half))?];
        for entrant in entrants {
            if self.is_stopped() {
                return Ok(Done::Interrupted);
            }
            let (trained, subject) = (entrant.trained()?, Subject::Model(entrant.source()));
            let shown = self.picture(&entrant.label, &rows);
            rows.push(self.row(&entrant.label, shown, trained, subject)?);
        }
        let table = Table { rows, metrics: self.metrics() };
        table.check()?;
        let curves = match self.args.curve {
            true => self.curves(entrants)?,
            false => Some(Vec::new()),
        };
        let Some(curves) = curves else { return Ok(Done::Interrupted) };
        self.write(&table, &curves)?;
        Ok(Done::Good)
    }

    /// A name for a row's clips that no other row has.
    fn picture(&self, label: &str, rows: &[Row]) -> PathBuf {
        let plain = label.trim_matches(['/', '.']).replace(['/', ':'], "-");
        let names = std::iter::once(plain.clone()).chain((2..).map(|n| format!("{plain}-{n}")));
        let paths = names.map(|name| self.out.join(format!("{name}.gif")));
        let free = |path: &PathBuf| rows.iter().all(|row| row.clips != *path);
        paths.into_iter().find(free).unwrap_or_default()
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

    fn row(&self, label: &str, shown: PathBuf, (secs, steps): (f64, u64), subject: Subject) -> Result<Row> {
        console::note(format!("measuring {label}"));
        let plan = self.plan(subject)?;
        let bar = Bar::default();
        let first = plan.fake().clips(&bar).take(SHOWN).collect::<vg_metrics::Result<Vec<_>>>()?;
        let frames = first.iter().map(|clip| {
            let [frames, height, width, channels] = clip.frames().dims();
            Frames { frames, height, width, channels, data: clip.frames().pixels().to_vec() }
        });
        clips::write_frames(&shown, frames.collect(), None)?;
        Ok(Row { label: label.to_owned(), clips: shown, secs, steps, values: self.values(&plan)? })
    }

    /// The values of every checkpoint that is there; none when stopped.
    fn curves(&self, entrants: &[Entrant]) -> Result<Option<Vec<Curve>>> {
        let mut curves: Vec<Curve> = self.metrics().into_iter().map(Curve::new).collect();
        for entrant in entrants {
            for (checkpoint, secs) in entrant.checkpoints()? {
                if self.is_stopped() {
                    return Ok(None);
                }
                console::note(format!("measuring {}", checkpoint.display()));
                let plan = self.plan(Subject::Model(checkpoint.display().to_string()))?;
                for value in self.values(&plan)? {
                    let curve = curves.iter_mut().find(|c| c.metric == value.metric);
                    if let Some(curve) = curve {
                        curve.push(&entrant.label, secs, value);
                    }
                }
            }
        }
        Ok(Some(curves))
    }

    fn write(&self, table: &Table, curves: &[Curve]) -> Result<()> {
        let drawings = curves.iter().map(Curve::svg).collect::<Result<Vec<_>>>()?;
        for (curve, svg) in curves.iter().zip(&drawings) {
            write_text(&self.out.join(format!("{}.svg", curve.metric)), svg)?;
        }
        if !curves.is_empty() {
            let lines = curves.iter().map(Curve::json_lines).collect::<Result<String>>()?;
            write_text(&self.out.join("curve.jsonl"), &lines)?;
        }
        let head = self.head();
        let notes = notes(table);
        let list: String = notes.iter().map(|note| format!("- {note}\n")).collect();
        let markdown = format!("{head}\n\n{}\n{list}", table.markdown());
        write_text(&self.out.join("leaderboard.md"), &markdown)?;
        write_text(&self.out.join("leaderboard.html"), &page::html(&head, table, &notes, &drawings)?)?;
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
        let apart = if stride == 1 { String::new() } else { format!(", every {stride}. of the data set") };
        format!(
            "{} ({}): {} clips of {frames} frames of {size}x{size}{apart}, seed {}. Models that are trained here have a budget of {}; \
             the time is that of their steps, up to the newest checkpoint. Measured on {}.",
            self.data.name,
            self.data.split,
            self.args.num,
            self.args.seed,
            humantime::format_duration(self.args.budget),
            crate::machine::Machine::this().cpu.unwrap_or_else(|| "an unknown processor".to_owned()),
        )
    }
}

/// What each metric is and what its values depend on besides the clips.
fn notes(table: &Table) -> Vec<String> {
    let of = |name: &String| {
        let protocol = vg_metrics::protocol(name).ok()?;
        let value = table.rows.iter().find_map(|row| row.value(name))?;
        Some(format!("{name}: {} ({})", protocol.title, conditions(value)))
    };
    table.metrics.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_meet_at_their_common_multiple() {
        assert_eq!(
            [(1, 1), (1, 2), (2, 3), (4, 6), (6, 2)].map(|(a, b)| common_multiple(a, b)),
            [1, 2, 6, 12, 6]
        );
    }
}
