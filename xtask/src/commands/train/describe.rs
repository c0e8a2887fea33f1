//! What a run will be, in words.

use anyhow::Result;
use serde_json::{Value, json};
use vg_core::BatchSpec;
use vg_core::config::diff;

use super::plan::{Probe, Setup};
use crate::console;
use crate::run::RunRecord;

/// A run before it starts.
pub struct Description<'a> {
    pub setup: &'a Setup,
    pub probe: &'a Probe,
    pub record: &'a RunRecord,
    pub folder: &'a std::path::Path,
}

impl Description<'_> {
    /// Prints it on stdout, for `--dry-run`.
    pub fn print(&self, as_json: bool) -> Result<()> {
        if as_json {
            return console::json(&self.json()?);
        }
        for line in self.lines()? {
            console::result(line)?;
        }
        Ok(console::result("dry run: nothing is written")?)
    }

    /// The same as notes at the start of a run.
    pub fn note(&self) -> Result<()> {
        self.lines()?.into_iter().for_each(console::note);
        Ok(())
    }

    fn lines(&self) -> Result<Vec<String>> {
        let (record, needs) = (self.record, &self.probe.needs);
        let card = self.setup.model.entry.card;
        let times = record.schedule;
        let mut lines = vec![
            format!("model       {}: {} ({}, {})", card.name, card.title, card.paper, card.year),
            format!("preset      {}", self.setup.preset),
        ];
        lines.extend(self.differences()?.iter().map(|line| format!("            {line}")));
        let total: usize = self.probe.parameters.values().sum();
        let parts: Vec<String> = self.probe.parameters.iter().map(|(k, n)| format!("{k} {n}")).collect();
        lines.push(format!("parameters  {total} ({})", parts.join(", ")));
        lines.push(format!(
            "data        {} ({}), {} clips",
            record.data.name, record.data.split, record.content.clips
        ));
        lines.push(format!("batch       {}", batch_text(needs)));
        let epochs = times.steps as f64 * needs.clips as f64 / record.content.clips.max(1) as f64;
        if times.budget_secs > 0.0 {
            let budget = humantime::format_duration(std::time::Duration::from_secs_f64(times.budget_secs));
            lines.push(format!(
                "time        {budget}, a checkpoint and {} sample clips each tenth of it",
                times.samples
            ));
        } else {
            lines.push(format!("steps       {} ({epochs:.1} epochs)", times.steps));
            lines.push(format!(
                "every       {} steps a checkpoint, {} steps {} sample clips",
                times.checkpoint_every, times.sample_every, times.samples
            ));
        }
        lines
            .push(format!("device      {}, {} threads, seed {}", record.device, record.threads, record.seed));
        lines.push(format!("folder      {}", self.folder.display()));
        Ok(lines)
    }

    fn json(&self) -> Result<Value> {
        Ok(json!({
            "event": "dry-run", "folder": self.folder, "run": self.record, "needs": self.probe.needs,
            "parameters": self.probe.parameters, "differences": self.differences()?, "config": self.setup.experiment.config(),
        }))
    }

    fn differences(&self) -> Result<Vec<String>> {
        let preset = self.setup.model.preset_config(&self.setup.preset)?;
        Ok(diff(&preset, &self.setup.experiment.config()))
    }
}

fn batch_text(needs: &BatchSpec) -> String {
    let mut text = format!("{} clips of {}", needs.clips, needs.clip);
    if needs.images > 0 {
        text += &format!(", {} single frames", needs.images);
    }
    for (what, names) in [("labels", &needs.labels), ("maps", &needs.maps)] {
        if !names.is_empty() {
            text += &format!(", {what} {}", names.join(" "));
        }
    }
    text
}
