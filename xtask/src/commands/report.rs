//! `cargo xtask report`.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::failure::Done;
use crate::{console, report};

/// Write the report of a run: one HTML file with curves, clips and settings
///
/// `train` does that at the end by itself; this command works on a run that is still going, too. The file asks nothing of the
/// network and may be mailed around.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask report runs/0001-tgan-shapes")]
pub struct Args {
    /// Run folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let path = report::write(&args.folder)?;
    if args.json {
        console::json(&json!({ "report": path }))?;
    } else {
        console::result(path.display())?;
    }
    Ok(Done::Good)
}
