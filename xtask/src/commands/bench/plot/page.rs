//! The generated part of a Markdown page.

use std::path::Path;

use super::super::compare::{cell, time};
use super::super::history::Line;
use super::newest::{Newest, Row};
use crate::failure::Failure;

const BEGIN: &str = "<!-- cargo xtask bench plot: begin -->";
const END: &str = "<!-- cargo xtask bench plot: end -->";

/// The page with `results` between its markers.
///
/// # Errors
/// [`Failure`] when the markers are missing or in the wrong order.
pub fn with_results(page: &str, results: &str) -> Result<String, Failure> {
    let parts = page.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    match parts {
        Some((head, tail)) => Ok(format!("{head}{BEGIN}\n\n{results}\n{END}{tail}")),
        None => Err(Failure::new(format!("the lines `{BEGIN}` and `{END}` are not both there"))
            .hint(format!("put `{BEGIN}` and, below it, `{END}` where the table shall stand"))),
    }
}

/// How the page refers to the drawing: by name when it is a neighbour.
pub fn link(page: &Path, svg: &Path) -> String {
    match svg.file_name() {
        Some(name) if page.parent() == svg.parent() => name.to_string_lossy().into_owned(),
        _ => svg.to_string_lossy().into_owned(),
    }
}

/// Conditions, drawing and table.
pub fn results(newest: &Newest, drawing: &str) -> String {
    let Some(first) = newest.rows.first() else { return String::new() };
    let rows: String = newest.rows.iter().map(row).collect();
    format!(
        "{}\n\n![times as fast as PyTorch]({drawing})\n\n\
         | entry | vg | GFLOP/s | peer | times as fast | before | date, revision, load |\n|---|---|---|---|---|---|---|\n{rows}",
        conditions(first.now)
    )
}

fn conditions(line: &Line) -> String {
    let cpu = line.cpu.as_deref().unwrap_or("unknown processor");
    format!(
        "{cpu}, {} cores, {} threads. The newest result of each entry; above 1, vg is faster.",
        line.cores, line.threads
    )
}

fn row(row: &Row) -> String {
    let now = row.now;
    let number = |x: Option<f64>, digits| x.map_or("-".to_owned(), |x: f64| format!("{x:.digits$}"));
    let peer = match (now.peer, now.peer_secs) {
        (Some(peer), Some(secs)) => format!("{}, {}", peer.title(), time(secs)),
        _ => "-".to_owned(),
    };
    let load = now.load.map(|l| format!(", {l:.2}")).unwrap_or_default();
    let when = format!("{}, {}{load}", day(&now.date), now.revision.as_deref().unwrap_or("unknown"));
    format!(
        "| {} | {} | {} | {peer} | {} | {} | {} |\n",
        cell(&now.entry),
        time(now.secs),
        number(now.gflops, 0),
        number(now.ratio, 2),
        number(row.before.and_then(|l| l.ratio), 2),
        cell(&when)
    )
}

/// The date without the time of day.
fn day(date: &str) -> &str {
    date.split('T').next().unwrap_or(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let page = format!("# Title\n{BEGIN}\nold\n{END}\nrest\n");
        let once = with_results(&page, "new\n").unwrap();
        assert_eq!(once, format!("# Title\n{BEGIN}\n\nnew\n\n{END}\nrest\n"));
        assert_eq!(with_results(&once, "new\n").unwrap(), once);
        assert!(with_results("# Title\n", "new").is_err());
        assert!(with_results(&format!("{END}\n{BEGIN}\n"), "new").is_err());
    }

    #[test]
    fn a_neighbour_is_linked_by_name() {
        assert_eq!(link(Path::new("docs/a.md"), Path::new("docs/a.svg")), "a.svg");
        assert_eq!(link(Path::new("a.md"), Path::new("/tmp/a.svg")), "/tmp/a.svg");
    }
}
