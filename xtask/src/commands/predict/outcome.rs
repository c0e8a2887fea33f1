//! What is written and printed in the end.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use vg_data::{Frames, media};
use vg_metrics::best_of::CurvePoint;

use super::curves::{Chart, Line};
use super::score;
use super::uncertainty::Uncertainty;
use super::{Args, Entrant, turns};
use crate::clips::FRAMES_PER_SEC;
use crate::console;
use crate::failure::{Done, Failure};
use crate::run::write_text;

/// All results.
#[derive(Serialize)]
pub(super) struct Outcome<'a> {
    scores: Vec<score::Result>,
    uncertainty: Vec<Uncertainty>,
    #[serde(skip)]
    shown: Vec<&'a [Vec<Frames>]>,
}

impl<'a> Outcome<'a> {
    pub(super) fn of(entrants: &'a [Entrant<'_>]) -> Result<Self> {
        Ok(Self {
            scores: entrants.iter().map(|e| e.scores.finish()).collect::<Result<_>>()?,
            uncertainty: entrants.iter().filter_map(|e| e.expectations.finish()).collect(),
            shown: entrants.iter().map(|e| e.shown.as_slice()).collect(),
        })
    }

    /// Writes scores, charts and animations to the folder `out`; the first `past` frames were given.
    pub(super) fn write(&self, out: &Path, past: usize) -> Result<()> {
        std::fs::create_dir_all(out)
            .map_err(|e| Failure::new(format!("{}: cannot be made", out.display())).because(e))?;
        write_text(&out.join("scores.json"), &serde_json::to_string_pretty(self)?)?;
        self.metrics().try_for_each(|metric| self.chart(out, metric, past))?;
        self.write_uncertainty(out)?;
        let shown = self.scores.iter().zip(&self.shown).enumerate();
        for (n, (result, rows)) in shown.filter(|(_, (_, rows))| !rows.is_empty()) {
            let path = out.join(format!("{n}-{}.gif", file_name(&result.model)));
            let columns = rows.first().map_or(1, Vec::len);
            media::write_grid(&path, &rows.concat(), columns, FRAMES_PER_SEC)?;
        }
        Ok(())
    }

    fn chart(&self, out: &Path, metric: &str, past: usize) -> Result<()> {
        let title = format!("{metric}, best of the futures");
        let lines = self.scores.iter().map(|r| Line::new(&r.model, from(past + 1, &r.metrics[metric].curve)));
        let chart = Chart { title: &title, axis: "frame", lines: lines.collect() };
        write_text(&out.join(format!("{metric}.svg")), &chart.svg()?)
    }

    fn write_uncertainty(&self, out: &Path) -> Result<()> {
        if self.uncertainty.is_empty() {
            return Ok(());
        }
        // Counted from 1 as in the other charts: the first that can be expected is the second.
        let lines = self.uncertainty.iter().map(|u| Line::new(&u.model, from(2, &u.frames)));
        let title = "expected spread of the latent, true clips";
        let chart = Chart { title, axis: "frame", lines: lines.collect() };
        write_text(&out.join("uncertainty.svg"), &chart.svg()?)?;
        if self.uncertainty.iter().all(|u| u.turns.is_empty()) {
            return Ok(());
        }
        let lines =
            self.uncertainty.iter().map(|u| Line::new(&u.model, u.turns.iter().map(|(k, p)| (*k, p))));
        let title = "expected spread of the latent around bounces";
        let chart = Chart { title, axis: "frames after the bounce", lines: lines.collect() };
        write_text(&out.join("uncertainty-turns.svg"), &chart.svg()?)
    }

    /// Names of the metrics, the same for all.
    fn metrics(&self) -> impl Iterator<Item = &'static str> {
        self.scores.first().into_iter().flat_map(|r| r.metrics.keys().copied())
    }

    /// Prints a row for each contestant, under `title`.
    fn table(&self, title: &str, value: impl Fn(&score::Result, &str) -> Option<f64>) -> Result<()> {
        let width = self.scores.iter().map(|r| r.model.len()).max().unwrap_or(0);
        let names: String = self.metrics().map(|name| format!("  {name:>COLUMN$}")).collect();
        console::result(format!("{title}\n{:width$}  samples{names}", "model"))?;
        for result in &self.scores {
            let values = self.metrics().map(|m| match value(result, m) {
                Some(value) => format!("  {value:COLUMN$.4}"),
                None => format!("  {:>COLUMN$}", "-"),
            });
            let equal = match result.metrics["psnr"].mean.infinite {
                0 => String::new(),
                n => format!("   {n} frames equal the truth: without them in psnr"),
            };
            let values: String = values.collect();
            console::result(format!("{:width$}  {:7}{values}{equal}", result.model, result.samples))?;
        }
        Ok(())
    }

    /// Prints the means.
    pub(super) fn report(&self, args: &Args) -> Result<Done> {
        if args.json {
            console::json(&serde_json::json!({ "out": args.out, "clips": args.num, "results": self }))?;
            return Ok(Done::Good);
        }
        self.table(
            "best of the futures by each metric, mean over the predicted frames",
            |result, metric| result.metrics[metric].mean.mean,
        )?;
        if self.scores.iter().any(|r| !r.behind_turns.is_empty()) {
            let frames = format!("the same, over the {} frames behind each bounce", turns::BEHIND);
            self.table(&frames, |result, metric| result.behind_turns.get(metric)?.mean)?;
        }
        let out = args.out.display();
        console::result(format!("{out}: {} clips, scores.json, pictures and animations", args.num))?;
        Ok(Done::Good)
    }
}

/// Width of a column of values.
const COLUMN: usize = 10;

/// Points of the frames from `first` on.
fn from(first: usize, curve: &[CurvePoint]) -> impl Iterator<Item = (i64, &CurvePoint)> {
    (first as i64..).zip(curve)
}

/// The last part of a path, such as `0001-svg-digits`.
fn file_name(model: &str) -> String {
    let last = model.trim_end_matches('/').rsplit('/').next().unwrap_or(model);
    last.chars().map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' }).collect()
}
