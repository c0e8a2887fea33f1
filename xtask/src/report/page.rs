//! The HTML of a report.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use indicatif::HumanDuration;

use super::{Checkpoint, Clip, Content, Part, chart, median, series};
use crate::registry;

/// Of all pages.
pub const STYLE: &str = include_str!("style.css");

/// The whole page.
pub fn html(content: &Content) -> String {
    let record = &content.record;
    let title = escape(&format!("{} on {}", record.model, record.data.name));
    let card = registry::find(&record.model).map(|m| m.entry.card).ok();
    let paper = card.map(|c| format!("{} ({}, {})", c.title, c.paper, c.year)).unwrap_or_default();
    let sections = [
        clips(&content.clips),
        content.classes.clone(),
        parts(&content.parts),
        curves(content),
        timings(content),
        settings(content),
        checkpoints(content),
    ];
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\
         <p class=\"sub\">{}</p><p class=\"sub\">{}</p>\n{}\n</body></html>\n",
        escape(&paper),
        escape(&state(content)),
        sections.join("\n")
    )
}

/// How far the run is, in a sentence.
fn state(content: &Content) -> String {
    let schedule = &content.record.schedule;
    // With a budget, the number of steps is a limit that no run is meant to reach.
    let aim = match Duration::try_from_secs_f64(schedule.budget_secs) {
        Ok(budget) if !budget.is_zero() => format!("steps in a budget of {}", HumanDuration(budget)),
        _ => format!("of {} steps", schedule.steps),
    };
    match content.stats.last() {
        None => format!("{}: no step has been made yet", content.folder),
        Some(line) => format!("{}: {} {aim}, {} clips seen", content.folder, line.step, line.clips_seen),
    }
}

fn clips(clips: &[Clip]) -> String {
    if clips.is_empty() {
        return section("Clips", "<p class=\"sub\">No sample clips yet.</p>");
    }
    let figure = |c: &Clip| {
        let data = STANDARD.encode(&c.bytes);
        let step = c.step;
        let size = c.side.map(|side| format!(", grown to {side}x{side}")).unwrap_or_default();
        format!(
            "<figure><img src=\"data:image/gif;base64,{data}\" alt=\"sample clips after step {step}\">\
             <figcaption>step {step}{size}</figcaption></figure>"
        )
    };
    // The newest is what one wants to see first.
    let figures: String = clips.iter().rev().map(figure).collect();
    section("Clips, the newest first", &format!("<div class=\"grid-of clips\">{figures}</div>"))
}

/// Nothing where there are none.
fn parts(parts: &[Part]) -> String {
    if parts.is_empty() {
        return String::new();
    }
    let figure = |Part { name, kind, bytes }: &Part| {
        let (data, name) = (STANDARD.encode(bytes), escape(name));
        format!(
            "<figure><img src=\"data:image/{kind};base64,{data}\" alt=\"{name}\">\
             <figcaption>{name}</figcaption></figure>"
        )
    };
    let figures: String = parts.iter().map(figure).collect();
    section("Beside the newest clips", &format!("<div class=\"grid-of clips\">{figures}</div>"))
}

fn curves(content: &Content) -> String {
    let figure = |(id, s): (usize, &series::Series)| {
        let svg = chart::svg(s, id)?;
        let last = s.smoothed().last().map(|p| format!("{:.4}", p.1)).unwrap_or_default();
        Some(format!("<figure>{svg}<figcaption>{} (now {last})</figcaption></figure>", escape(&s.name)))
    };
    let all = series::all(&content.stats);
    let figures: String = all.iter().enumerate().filter_map(figure).collect();
    if figures.is_empty() {
        return section("Losses", "<p class=\"sub\">No losses yet.</p>");
    }
    section("Losses over steps", &format!("<div class=\"grid-of\">{figures}</div>"))
}

fn timings(content: &Content) -> String {
    let stats = &content.stats;
    let (data, step): (Vec<f64>, Vec<f64>) = stats.iter().map(|l| (l.data_secs, l.step_secs)).unzip();
    let (data_secs, step_secs): (f64, f64) = (data.iter().sum(), step.iter().sum());
    let per_step = median(data.iter().zip(&step).map(|(d, s)| d + s).collect());
    if per_step <= 0.0 {
        return String::new();
    }
    let batch = stats.last().map_or(0.0, |l| l.clips_seen as f64 / l.step.max(1) as f64);
    let waiting = 100.0 * data_secs / (data_secs + step_secs).max(1e-12);
    section(
        "Time",
        &table(&[
            ("steps a second", format!("{:.2}", 1.0 / per_step)),
            ("clips a second", format!("{:.1}", batch / per_step)),
            ("a step, median", format!("{:.1} ms", 1e3 * median(step))),
            (
                "waiting for data, median",
                format!("{:.1} ms a step, {waiting:.1} % of the time", 1e3 * median(data)),
            ),
            ("training in all", humantime::format_duration(whole_secs(data_secs + step_secs)).to_string()),
        ]),
    )
}

fn whole_secs(secs: f64) -> std::time::Duration {
    std::time::Duration::from_secs(secs.ceil().clamp(0.0, 1e12) as u64)
}

fn settings(content: &Content) -> String {
    let record = &content.record;
    let commit = record.commit.as_deref().map(|c| format!(", commit {c}")).unwrap_or_default();
    let cpu = record.machine.cpu.as_deref().unwrap_or("unknown processor");
    let mut rows = vec![
        ("command", record.command.join(" ")),
        ("started", record.started.clone()),
        ("program", format!("vg {}{commit}", record.version)),
        ("machine", format!("{}, {cpu}", record.machine.system)),
        ("device", format!("{}, {} threads", record.device, record.threads)),
        ("seed", record.seed.to_string()),
        ("data", format!("{} ({}), {} clips", record.data.name, record.data.split, record.content.clips)),
        ("preset", record.preset.clone()),
    ];
    for r in &record.resumed {
        rows.push((
            "resumed",
            format!("{} at step {} for {} steps in all, {} threads", r.started, r.step, r.steps, r.threads),
        ));
    }
    let differences = match content.differences.as_slice() {
        [] => "as the preset".to_owned(),
        lines => lines.join("\n"),
    };
    let config = serde_json::to_string_pretty(&content.config).unwrap_or_default();
    let body = format!(
        "{}<p class=\"sub\">Differences to the preset</p><pre>{}</pre><details><summary>Whole configuration</summary><pre>{}</pre></details>",
        table(&rows),
        escape(&differences),
        escape(&config)
    );
    section("Settings", &body)
}

fn checkpoints(content: &Content) -> String {
    if content.checkpoints.is_empty() {
        return section("Checkpoints", "<p class=\"sub\">None yet.</p>");
    }
    let row = |c: &Checkpoint| {
        let size = c.bytes as f64 / f64::from(1 << 20);
        format!("<tr><th>step {}</th><td>{}</td><td>{size:.1} MiB</td></tr>", c.step, escape(&c.path))
    };
    let rows: String = content.checkpoints.iter().rev().map(row).collect();
    section("Checkpoints", &format!("<table>{rows}</table>"))
}

pub(super) fn section(title: &str, body: &str) -> String {
    format!("<h2>{}</h2>{body}", escape(title))
}

fn table(rows: &[(&str, String)]) -> String {
    let rows: String =
        rows.iter().map(|(k, v)| format!("<tr><th>{}</th><td>{}</td></tr>", escape(k), escape(v))).collect();
    format!("<table>{rows}</table>")
}

/// Text inside HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_page() {
        assert_eq!(escape("<b a=\"&\">"), "&lt;b a=&quot;&amp;&quot;&gt;");
    }
}
