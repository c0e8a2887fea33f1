//! The table as a page with clips side by side, without anything from elsewhere.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::table::Table;
use crate::report::{STYLE, escape};

/// The whole page.
///
/// # Errors
/// When pictures of clips cannot be read.
pub fn html(head: &str, table: &Table, notes: &[String], drawings: &[String]) -> Result<String> {
    let mut clips = String::new();
    for row in &table.rows {
        let bytes = std::fs::read(&row.clips).map_err(vg_core::Error::io("reading", &row.clips))?;
        let (data, label) = (STANDARD.encode(bytes), escape(&row.label));
        clips += &format!(
            "<figure><img src=\"data:image/gif;base64,{data}\" alt=\"clips of {label}\"><figcaption>{label}</figcaption></figure>"
        );
    }
    let curves = match drawings {
        [] => String::new(),
        all => {
            let figures: String = all.iter().map(|svg| format!("<figure>{svg}</figure>")).collect();
            format!("<h2>Over training time</h2><div class=\"grid-of\">{figures}</div>")
        }
    };
    let notes: String = notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect();
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Leaderboard</title><style>{STYLE}</style></head><body>\n<h1>Leaderboard</h1><p class=\"sub\">{}</p>\n\
         <h2>Values</h2>{}\n<ul>{notes}</ul>\n<h2>Clips</h2><div class=\"grid-of clips\">{clips}</div>\n{curves}\n</body></html>\n",
        escape(head),
        values(table),
    ))
}

fn values(table: &Table) -> String {
    let heads: String = table.metrics.iter().map(|m| format!("<td>{}</td>", escape(m))).collect();
    let mut rows = format!("<tr><th>model</th><td>steps</td><td>time</td>{heads}</tr>");
    for (i, row) in table.rows.iter().enumerate() {
        let cell = |metric: &String| {
            let cell = escape(&table.cell(i, metric));
            if table.best(metric) == Some(i) {
                format!("<td><b>{cell}</b></td>")
            } else {
                format!("<td>{cell}</td>")
            }
        };
        let cells: String = table.metrics.iter().map(cell).collect();
        let (label, steps) =
            (escape(&row.label), if row.steps == 0 { String::new() } else { row.steps.to_string() });
        rows += &format!("<tr><th>{label}</th><td>{steps}</td><td>{}</td>{cells}</tr>", row.time());
    }
    format!("<table>{rows}</table>")
}
