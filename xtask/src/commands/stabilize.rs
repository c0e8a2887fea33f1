//! `cargo xtask stabilize`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use serde_json::json;
use vg_data::cache::Recipe;
use vg_data::stabilize::{Options, Summary, stabilize};
use vg_data::{Ffmpeg, OpenOptions, Split, folder, manifest};

use crate::data::Bar;
use crate::failure::{Done, Failure};
use crate::{console, interrupt};

/// Broken videos that are named at the end; the rest is counted.
const NAMED: usize = 5;

/// Make steady clips of 32 frames out of videos, as VGAN does
///
/// Needs the ffmpeg program. Its filters vidstabdetect and vidstabtransform hold every clip still on its first frame; without them deshake
/// evens the motion out. The first 2 frames of a video are dropped, then up to 100 clips follow one another; frames are scaled to a
/// shorter side of 128 pixels, cropped to the middle and stacked in one JPEG image a clip. Clips with a cut are dropped.
///
/// Train on the result with `--data strips:OUT`. First-level sub-folders of IN are classes; its sub-folders `train` and `test`, or the
/// splits of a set such as ucf101, stay apart. A second call goes on where the first one stopped; broken videos are named and left out.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask stabilize my-videos/ clips/\n  \
    cargo xtask stabilize ucf101 data/vgan-ucf101 --size 256\n  \
    cargo xtask train tgan --data strips:clips/ --preset small\n\n\
    Exit codes: 0 finished, 2 error, 130 interrupted; what is finished is listed.")]
pub struct Args {
    /// Folder of videos, or the name of a set of videos that a person fetched
    #[arg(value_name = "IN")]
    from: String,
    /// Folder of the clips
    #[arg(value_name = "OUT")]
    to: PathBuf,
    /// Rows and columns of a frame, 16 to 1024
    #[arg(long, default_value_t = 128, value_name = "PIXELS")]
    size: usize,
    /// Videos in work at once; one a core when absent. Changes nothing but the time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1024))]
    jobs: Option<u64>,
    /// Where downloads live, for the name of a set
    #[arg(long, default_value = "data", value_name = "DIR")]
    root: PathBuf,
    /// The ffmpeg program
    #[arg(long, default_value = "ffmpeg", value_name = "FILE")]
    ffmpeg: PathBuf,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let sets = sets(args)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let options = Options {
        size: args.size,
        jobs: args.jobs.map_or(cores, |n| n as usize),
        ffmpeg: Ffmpeg { program: args.ffmpeg.clone() },
        stop: interrupt::flag("the clips in work are finished first")?,
        progress: Arc::new(Bar::default()),
    };
    let summary = stabilize(&sets, &args.to, &options)?;
    report(args, &summary)?;
    Ok(if summary.interrupted { Done::Interrupted } else { Done::Good })
}

/// The videos of one set or of two splits, before anything is decoded.
fn sets(args: &Args) -> Result<Vec<Recipe>> {
    let path = Path::new(&args.from);
    if path.is_dir() {
        refuse_inside(path, &args.to)?;
        let split = [Split::Train, Split::Test].iter().all(|s| path.join(s.to_string()).is_dir());
        let parts: &[Split] = if split { &[Split::Train, Split::Test] } else { &[Split::Train] };
        let sets = parts.iter().map(|split| folder::recipe(path, *split, false));
        return Ok(sets.collect::<vg_core::Result<_>>()?);
    }
    if !manifest::names().any(|name| name == args.from) {
        return Err(Failure::new(format!("{} is neither a folder nor the name of a set", args.from))
            .hint("name a folder of videos, or a set such as ucf101 after `cargo xtask download ucf101`")
            .into());
    }
    let open = |split| {
        let options = OpenOptions { root: args.root.clone(), split, ..OpenOptions::default() };
        vg_data::recipe(&args.from, &options)
    };
    match (open(Split::Train)?, open(Split::Test)?) {
        (Some(train), Some(test)) => Ok(vec![train, test]),
        _ => Err(Failure::new(format!("{} is no set of videos", args.from)).into()),
    }
}

/// Clips among the videos would be taken for videos by the next call.
fn refuse_inside(from: &Path, to: &Path) -> Result<()> {
    // A folder that is not there yet lies where its parent does.
    let absolute = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
    if absolute(to)?.starts_with(absolute(from)?) {
        return Err(Failure::new(format!("{} lies in {}, among the videos", to.display(), from.display()))
            .hint("name a folder elsewhere for the clips")
            .into());
    }
    Ok(())
}

fn report(args: &Args, summary: &Summary) -> Result<()> {
    let Summary { method, videos, before, clips, short, broken, lists, interrupted } = summary;
    for skipped in broken.iter().take(NAMED) {
        console::warn(format!("{}: {}", skipped.name, skipped.problem));
    }
    if broken.len() > NAMED {
        console::warn(format!("and {} more", broken.len() - NAMED));
    }
    if args.json {
        return console::json(&json!({
            "method": method.name(), "videos": videos, "before": before, "clips": clips, "short": short,
            "broken": broken, "lists": lists, "interrupted": interrupted,
        }));
    }
    console::result(format!(
        "{clips} clips of {videos} videos ({before} finished before, {short} without a clip, {} broken) with {} in {}",
        broken.len(),
        method.name(),
        args.to.display()
    ))?;
    Ok(console::result(format!("train on them with `--data strips:{}`", args.to.display()))?)
}
