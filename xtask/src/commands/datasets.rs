//! `cargo xtask datasets`.

use anyhow::Result;

use crate::console;
use crate::failure::Done;

/// List the data sets
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask datasets\n  cargo xtask datasets --json")]
pub struct Args {
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    for name in vg_data::NAMES {
        if args.json {
            console::json(&serde_json::json!({ "name": name }))?;
        } else {
            console::result(name)?;
        }
    }
    Ok(Done::Good)
}
