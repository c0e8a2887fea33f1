//! `cargo xtask bench plot`: the recorded results as a drawing and a table.

mod chart;
mod newest;
mod page;

use std::path::PathBuf;

use anyhow::Result;
use vg_core::Error;

use self::newest::Newest;
use super::history;
use crate::console;
use crate::failure::{Done, Failure};
use crate::run::write_text;

/// Draw docs/benchmarks.svg from docs/benchmarks.jsonl, and write its table into docs/benchmarks.md
///
/// The newest result of every entry, of the machine and number of threads of the newest line; a bar for each that was measured
/// against PyTorch. The table stands between two marker comments.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench plot\n  \
    cargo xtask bench plot --json /tmp/results.jsonl --svg /tmp/results.svg --page /tmp/results.md")]
pub struct Args {
    /// Results; docs/benchmarks.jsonl of this repository when absent
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Drawing to write; docs/benchmarks.svg when absent
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Markdown page with the two marker comments; docs/benchmarks.md when absent
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let json = args.json.clone().unwrap_or_else(history::default_path);
    let svg = args.svg.clone().unwrap_or_else(|| history::in_docs("benchmarks.svg"));
    let page = args.page.clone().unwrap_or_else(|| history::in_docs("benchmarks.md"));
    let lines = history::read(&json)?;
    let newest = Newest::of(&lines);
    let Some(drawing) = chart::svg(&newest)? else {
        let text = format!("{} holds no comparison with PyTorch", json.display());
        return Err(Failure::new(text)
            .hint("make one with `cargo xtask bench record --against pytorch`")
            .into());
    };
    let old = std::fs::read_to_string(&page).map_err(Error::io("reading", &page))?;
    let new = page::with_results(&old, &page::results(&newest, &page::link(&page, &svg)))
        .map_err(|e| Failure::new(format!("{} cannot take the table", page.display())).because(e))?;
    write_text(&svg, &drawing)?;
    write_text(&page, &new)?;
    let others = newest.other_machines;
    if others > 0 {
        console::note(format!("{others} lines of other machines or numbers of threads are left out"));
    }
    console::result(svg.display())?;
    console::result(page.display())?;
    Ok(Done::Good)
}
