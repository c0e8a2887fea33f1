//! Shows a running training and writes down what happens.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use indicatif::ProgressBar;
use serde_json::json;
use vg_core::checkpoint::Progress;
use vg_core::sample::Clips;
use vg_core::train::{ClassRows, Observer, StatsFile, StatsLine, StepReport};
use vg_core::{Error, Result};
use vg_data::Frames;

use super::super::sample::parts;
use crate::report::classes::Rows;
use crate::run::{RunFolder, RunRecord, Times};
use crate::{clips, console};

/// Lines a run where there is no terminal.
const LINES: u64 = 40;
/// Weight of the newest step in the shown losses.
const NEWEST: f64 = 0.1;

/// Takes the events of a run: statistics, sample clips, bar or lines or JSON.
pub struct Watch<'a> {
    folder: &'a RunFolder,
    times: Times,
    stats: StatsFile,
    json: bool,
    bar: Option<ProgressBar>,
    losses: Smoothed,
    started: Instant,
    first: Progress,
    /// Lines written of a run that is measured by the clock.
    line: u64,
}

impl<'a> Watch<'a> {
    /// Watches a run that goes on after `progress`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn new(folder: &'a RunFolder, times: Times, progress: Progress, json: bool) -> anyhow::Result<Self> {
        let stats = StatsFile::continue_after(&folder.join("stats.jsonl"), progress.step)?;
        let bar = (!json && console::is_terminal()).then(|| {
            let seconds = times.budget_secs > 0.0;
            let (length, at) =
                if seconds { (times.budget_secs as u64, 0) } else { (times.steps, progress.step) };
            let unit = if seconds { " s" } else { "" };
            let bar = console::bar(
                length,
                &format!("[{{bar:24}}] {{pos}}/{{len}}{unit}  {{eta}} left  {{wide_msg}}"),
            );
            bar.set_position(at);
            bar.reset_eta();
            bar
        });
        let losses = Smoothed::default();
        Ok(Self {
            folder,
            times,
            stats,
            json,
            bar,
            losses,
            started: Instant::now(),
            first: progress,
            line: 0,
        })
    }

    /// The first event.
    ///
    /// # Errors
    /// Those of stdout.
    pub fn start(&mut self, record: &RunRecord) -> anyhow::Result<()> {
        self.started = Instant::now();
        if self.json {
            let event = json!({ "event": "start", "folder": self.folder.path(), "step": self.first.step, "run": record });
            console::json(&event)?;
        }
        Ok(())
    }

    /// Takes the bar away.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn is_tick(&mut self, step: u64, secs: f64) -> bool {
        if self.times.budget_secs > 0.0 {
            let line = (secs / self.times.budget_secs * LINES as f64) as u64;
            return std::mem::replace(&mut self.line, line) < line;
        }
        let every = (self.times.steps - self.first.step).div_ceil(LINES).max(1);
        step == self.times.steps || (step - self.first.step).is_multiple_of(every)
    }

    fn show(&mut self, report: &StepReport<'_>) -> anyhow::Result<()> {
        let Progress { step, clips_seen } = report.progress;
        let secs = self.started.elapsed().as_secs_f64().max(1e-9);
        let clips_per_sec = (clips_seen - self.first.clips_seen) as f64 / secs;
        if let Some(bar) = &self.bar {
            bar.set_position(if self.times.budget_secs > 0.0 { secs as u64 } else { step });
            bar.set_message(format!("step {step}  {clips_per_sec:.1} clips/s  {}", self.losses.text()));
            return Ok(());
        }
        if !self.is_tick(step, secs) {
            return Ok(());
        }
        let left = match self.times.budget_secs {
            0.0 => secs / (step - self.first.step) as f64 * (self.times.steps - step) as f64,
            budget => (budget - secs).max(0.0),
        };
        if self.json {
            return console::json(&json!({
                "event": "step", "step": step, "steps": self.times.steps, "clips_seen": clips_seen,
                "clips_per_sec": clips_per_sec, "secs_left": left, "scalars": StatsLine::of(report).scalars,
            }));
        }
        let left = humantime::format_duration(std::time::Duration::from_secs(left.ceil() as u64));
        let losses = self.losses.text();
        let of = if self.times.budget_secs > 0.0 { String::new() } else { format!("/{}", self.times.steps) };
        console::note(format!("step {step}{of}  {clips_per_sec:.1} clips/s  {left} left  {losses}"));
        Ok(())
    }

    fn event(&self, name: &str, progress: Progress, path: &Path) -> Result<()> {
        if self.json {
            let event = json!({ "event": name, "step": progress.step, "path": path });
            console::json(&event).map_err(stdout_failed)?;
        }
        Ok(())
    }
}

impl Observer for Watch<'_> {
    fn step(&mut self, report: &StepReport<'_>) -> Result<()> {
        self.losses.add(report);
        let step = report.progress.step;
        if step.is_multiple_of(self.times.log_every) || step == self.times.steps {
            self.stats.append(&StatsLine::of(report))?;
        }
        self.show(report).map_err(stdout_failed)
    }

    fn samples(&mut self, progress: Progress, made: &Clips) -> Result<()> {
        let path = self.folder.join(&format!("samples/step-{:06}.gif", progress.step));
        clips::write(&path, made, None)?;
        clips::write(&self.folder.join("samples.gif"), made, None)?;
        self.event("samples", progress, &path)
    }

    fn class_samples(&mut self, progress: Progress, made: &ClassRows) -> Result<()> {
        let frames = Frames::from_tensor(&made.clips.tensor, made.clips.pixels)?;
        let folder = self.folder.class_rows();
        Rows::write(&folder, progress.step, made.of, &made.rows, &frames)?;
        self.event("classes", progress, &folder)
    }

    /// Only the newest are kept, beside `samples.gif`.
    fn parts(&mut self, _progress: Progress, made: &BTreeMap<&'static str, Clips>) -> Result<()> {
        let frames = |(name, clips): (&&'static str, &Clips)| -> Result<(&'static str, Vec<Frames>)> {
            Ok((*name, Frames::from_tensor(&clips.tensor, clips.pixels)?))
        };
        let parts = made.iter().map(frames).collect::<Result<BTreeMap<_, _>>>()?;
        parts::write(&self.folder.join("samples.gif"), parts, None).map(drop).map_err(picture_failed)
    }

    fn checkpoint(&mut self, progress: Progress, path: &Path) -> Result<()> {
        self.event("checkpoint", progress, path)
    }

    fn warning(&mut self, text: &str) {
        console::warn(text);
    }
}

fn picture_failed(error: anyhow::Error) -> Error {
    Error::io("writing", "the pictures of samples")(std::io::Error::other(error))
}

fn stdout_failed(error: anyhow::Error) -> Error {
    Error::io("writing", "stdout")(std::io::Error::other(error))
}

/// Losses as shown: averages that forget.
#[derive(Default)]
struct Smoothed(Vec<(&'static str, f64)>);

impl Smoothed {
    fn add(&mut self, report: &StepReport<'_>) {
        for scalar in report.scalars.iter().filter(|s| s.value.is_finite()) {
            match self.0.iter_mut().find(|(name, _)| *name == scalar.name) {
                Some((_, value)) => *value += NEWEST * (scalar.value - *value),
                None => self.0.push((scalar.name, scalar.value)),
            }
        }
    }

    fn text(&self) -> String {
        let parts: Vec<String> =
            self.0.iter().map(|(name, value)| format!("{name} {}", short(*value))).collect();
        parts.join("  ")
    }
}

/// Four significant digits.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{value:.2e}"),
        size => format!("{value:.*}", (3 - size.log10().floor() as i32).clamp(0, 6) as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 1.0, -0.012_345, 123.456, 1e-9].map(short),
            ["0", "1.000", "-0.01235", "123.5", "1.00e-9"]
        );
    }
}
