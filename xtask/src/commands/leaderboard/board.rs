//! Measures the rows and writes the results.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use vg_data::Frames;
use vg_metrics::Measurement;

use super::Args;
use super::curve::Curve;
use super::entrant::Entrant;
use super::format::Format;
use super::page;
use super::table::{Row, Table};
use crate::commands::eval::{Control, Plan, Subject, Wishes, conditions};
use crate::data::{Bar, DataChoice};
use crate::failure::Done;
use crate::run::write_text;
use crate::{clips, console};

/// Clips of each model that are shown.
const SHOWN: usize = 9;

/// Everything is measured here.
pub struct Board<'a> {
    pub args: &'a Args,
    pub data: DataChoice,
    pub format: Format,
    pub out: PathBuf,
    /// Raised by Ctrl-C.
    pub stop: &'static AtomicBool,
}

impl Board<'_> {
    /// The measurement of one row.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn plan(&self, subject: Subject) -> Result<Plan> {
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

    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Measures all and writes table, page, curves and values.
    ///
    /// # Errors
    /// Those of clips, metrics and the disk.
    pub fn measure(&self, entrants: &[Entrant]) -> Result<Done> {
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
