//! The table.

use std::path::PathBuf;

use anyhow::Result;
use vg_metrics::{Better, Measurement, protocol};

use super::super::eval::significant;
use crate::run::clock;

/// Models by metrics.
pub struct Table {
    /// The data set itself, then the models.
    pub rows: Vec<Row>,
    pub metrics: Vec<String>,
}

/// One model's values.
pub struct Row {
    pub label: String,
    /// Animated picture of some of its clips.
    pub clips: PathBuf,
    /// Seconds of training.
    pub secs: f64,
    pub steps: u64,
    pub values: Vec<Measurement>,
}

impl Row {
    pub fn value(&self, metric: &str) -> Option<&Measurement> {
        self.values.iter().find(|v| v.metric == metric)
    }

    /// Training time in words; empty for what was not trained here.
    pub fn time(&self) -> String {
        if self.secs == 0.0 {
            return String::new();
        }
        clock::in_words(self.secs)
    }
}

impl Table {
    /// Refuses values that were not measured alike.
    ///
    /// # Errors
    /// Those of [`Measurement::compare`].
    pub fn check(&self) -> Result<()> {
        let Some((first, others)) = self.rows.split_first() else { return Ok(()) };
        for value in &first.values {
            let finite = |v: &&Measurement| v.value.is_some() && value.value.is_some();
            for other in others.iter().filter_map(|row| row.value(&value.metric)).filter(finite) {
                value.compare(other)?;
            }
        }
        Ok(())
    }

    /// Index of the best model's row by a metric, among those with a value; the data set does not take part.
    pub fn best(&self, metric: &str) -> Option<usize> {
        let higher = match protocol(metric).ok()?.better {
            Better::Higher => true,
            Better::Lower => false,
            Better::AsReal => return None,
        };
        let values = self.rows.iter().enumerate().skip(1);
        let known = values.filter_map(|(i, row)| Some((i, row.value(metric)?.value?)));
        let ordered = known.map(|(i, value)| (i, if higher { -value } else { value }));
        ordered.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i)
    }

    /// A value as shown.
    pub fn cell(&self, row: usize, metric: &str) -> String {
        let value = self.rows[row].value(metric);
        value.map_or_else(String::new, |v| v.value.map_or_else(|| "infinite".to_owned(), significant))
    }

    /// GitHub's Markdown; the best model of each metric is bold.
    pub fn markdown(&self) -> String {
        let arrow = |name: &String| match protocol(name).map(|p| p.better) {
            Ok(Better::Higher) => format!("{name} (higher)"),
            Ok(Better::AsReal) => format!("{name} (as real)"),
            _ => format!("{name} (lower)"),
        };
        let names: Vec<String> = self.metrics.iter().map(arrow).collect();
        let mut text = format!(
            "| model | steps | time | {} |\n|---|---|---|{}\n",
            names.join(" | "),
            "---|".repeat(names.len())
        );
        for (i, row) in self.rows.iter().enumerate() {
            let cell = |metric: &String| {
                let cell = self.cell(i, metric);
                if self.best(metric) == Some(i) { format!("**{cell}**") } else { cell }
            };
            let cells: Vec<String> = self.metrics.iter().map(cell).collect();
            let steps = if row.steps == 0 { String::new() } else { row.steps.to_string() };
            text += &format!("| {} | {steps} | {} | {} |\n", row.label, row.time(), cells.join(" | "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, motion: f64, frozen: f64) -> Row {
        let value =
            |name: &str, v| Measurement { num_fake: 4, ..Measurement::new(protocol(name).unwrap(), v) };
        let values = vec![value("motion", motion), value("frozen", frozen), value("is-vg", motion)];
        Row { label: label.to_owned(), clips: PathBuf::new(), secs: 61.0, steps: 7, values }
    }

    #[test]
    fn the_best_model_is_bold_and_the_data_set_does_not_take_part() {
        let rows = vec![row("data set", 9.0, 0.0), row("a", 1.0, 0.5), row("b", 2.0, 0.75)];
        let table = Table { rows, metrics: vec!["motion".into(), "frozen".into(), "is-vg".into()] };
        table.check().unwrap();
        let text = table.markdown();
        assert!(text.starts_with(
            "| model | steps | time | motion (as real) | frozen (lower) | is-vg (higher) |\n|---|---|---|---|---|---|\n"
        ));
        assert!(text.contains("| data set | 7 | 1m 1s | 9.00000 | 0 | 9.00000 |"), "{text}");
        assert!(text.contains("| a | 7 | 1m 1s | 1.00000 | **0.500000** | 1.00000 |"), "{text}");
        assert!(text.contains("| b | 7 | 1m 1s | 2.00000 | 0.750000 | **2.00000** |"), "{text}");
    }

    #[test]
    fn other_protocols_do_not_stand_in_one_table() {
        let mut rows = vec![row("data set", 9.0, 0.0), row("a", 1.0, 0.5)];
        rows[1].values[0].clip = [8, 32, 32];
        let error = Table { rows, metrics: vec!["motion".into()] }.check().unwrap_err().to_string();
        assert!(error.contains("not comparable"), "{error}");
    }
}
