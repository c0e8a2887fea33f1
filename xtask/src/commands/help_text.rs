//! `cargo xtask help-text`: the committed copies of all `--help` texts.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Command, CommandFactory};
use vg_core::Error;

use super::{Cli, HELP_WIDTH};
use crate::console;
use crate::failure::{Done, Failure};
use crate::run::write_text;

/// Write or check the committed help texts
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  cargo xtask help-text --write docs/help\n  cargo xtask help-text --check docs/help"
)]
pub struct Args {
    /// Folder to write `NAME.txt` files into
    #[arg(long, value_name = "DIR", required_unless_present = "check")]
    write: Option<PathBuf>,
    /// Folder whose files must be equal to the real texts; exit code 1 when one is not
    #[arg(long, value_name = "DIR", conflicts_with = "write")]
    check: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    if let Some(folder) = &args.write {
        for (name, text) in texts() {
            write_text(&folder.join(name), &text)?;
        }
        return Ok(Done::Good);
    }
    let Some(folder) = &args.check else {
        return Err(Failure::new("either --write or --check is needed").into());
    };
    let mut done = Done::Good;
    for (name, text) in texts() {
        let path = folder.join(name);
        let found = std::fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
        if found != text {
            console::note(format!("{} differs from the real help text", path.display()));
            done = Done::Worse;
        }
    }
    Ok(done)
}

/// File names and texts of all visible commands and their own commands: `bench.txt`, `bench-ops.txt`.
fn texts() -> Vec<(String, String)> {
    let mut root = Cli::command().term_width(HELP_WIDTH);
    root.build();
    let mut all = Vec::new();
    add(&mut all, "xtask", "", &mut root);
    all
}

/// Adds the text of a command, and those of the commands below it under names that start with `prefix`.
fn add(all: &mut Vec<(String, String)>, name: &str, prefix: &str, command: &mut Command) {
    all.push((format!("{name}.txt"), tidy(&command.render_long_help().to_string())));
    for below in command.get_subcommands_mut().filter(|c| !c.is_hide_set()) {
        let name = format!("{prefix}{}", below.get_name());
        add(all, &name, &format!("{name}-"), below);
    }
}

/// Without blanks at the ends of lines, and with one line break at the end.
fn tidy(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}
