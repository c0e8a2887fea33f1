//! Sets that a person fetches: where their files lie, whether they are all there, how they are read.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use vg_core::{Error, Result};

use crate::{
    bair,
    cache::Recipe,
    chairs,
    decode::{Format, Origin},
    folder, kinetics, kth, levels,
    list::List,
    manifest::{Form, Manifest, Manual},
    media::write_atomic,
    open::{OpenOptions, Split},
    strips, weizmann,
};

/// In the set's folder below the root: the folder that was accepted in its place.
const MARKER: &str = ".vg-place.json";
/// Folders below that of the set in which files with known names are looked for.
const DEPTH: usize = 4;
/// Whether a set knows a file by its name.
type Known = fn(&str) -> bool;
/// Version of the marker.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    version: u32,
    folder: PathBuf,
}

/// A copy that is as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Where it lies.
    pub folder: PathBuf,
    /// Clips for training.
    pub train: u64,
    /// Clips for testing.
    pub test: u64,
}

/// The folder that holds the files of a set: the one that was accepted, else the set's own below `root`.
///
/// # Errors
/// [`Error::Data`] with what a person has to do when the files are not there; [`Error::Format`] for a damaged marker.
pub fn folder(manifest: &Manifest, root: &Path) -> Result<PathBuf> {
    let own = root.join(&manifest.name);
    let marker = own.join(MARKER);
    let folder = if marker.is_file() {
        let text = std::fs::read_to_string(&marker).map_err(Error::io("reading", &marker))?;
        let found: Option<Marker> =
            serde_json::from_str(&text).ok().filter(|m: &Marker| m.version == VERSION);
        found.ok_or_else(|| Error::format(&marker, "damaged or of another version; delete it"))?.folder
    } else {
        own.clone()
    };
    match missing(manifest, &folder).first() {
        None => Ok(folder),
        Some(first) => Err(Error::Data(format!(
            "{}: {first} is missing in {}\n{}",
            manifest.name,
            folder.display(),
            instructions(manifest, &own)
        ))),
    }
}

/// Checks the files in `from`, or where [`folder()`] finds them, and remembers `from` for [`open`](crate::open()).
///
/// # Errors
/// [`Error::Data`] when something is missing, when there are no clips, or when their classes are others.
pub fn accept(manifest: &Manifest, from: Option<&Path>, root: &Path) -> Result<Accepted> {
    let folder = match from {
        None => folder(manifest, root)?,
        Some(from) => {
            let from = std::path::absolute(from).map_err(Error::io("reading the folder", from))?;
            match &missing(manifest, &from)[..] {
                [] => from,
                names => {
                    let layout = manifest.manual.as_ref().map_or("", |m| m.layout.as_str());
                    return Err(Error::Data(format!(
                        "{}: missing in {}: {}; expected is {layout}",
                        manifest.name,
                        from.display(),
                        names.join(", ")
                    )));
                }
            }
        }
    };
    let count = |split| {
        let options = OpenOptions { split, ..OpenOptions::default() };
        Ok::<u64, Error>(read(manifest, &folder, &options)?.clips() as u64)
    };
    let train = count(Split::Train)?;
    let test = if has_test(manifest, &folder) { count(Split::Test)? } else { 0 };
    if from.is_some() {
        remember(&root.join(&manifest.name), &folder)?;
    }
    Ok(Accepted { folder, train, test })
}

/// What a person has to do, line by line; `own` is the set's folder below the root.
pub fn instructions(manifest: &Manifest, own: &Path) -> String {
    let Some(manual) = &manifest.manual else { return String::new() };
    let mut lines = vec![
        format!("{} has to be fetched by a person, from {}", manifest.title, manifest.homepage),
        format!("  terms: {}", manual.terms),
    ];
    lines.extend(manual.steps.iter().enumerate().map(|(i, step)| format!("  {}. {step}", i + 1)));
    lines.push(format!("  preprocessing: {}", manual.preprocessing));
    lines.push(format!("  layout of {}: {}", own.display(), manual.layout));
    lines.push(format!(
        "  then run `cargo xtask download {0}`, or `cargo xtask download {0} --from DIR` for files elsewhere",
        manifest.name
    ));
    lines.join("\n")
}

/// The clips of a set that a person fetched.
pub(crate) fn recipe(manifest: &Manifest, options: &OpenOptions) -> Result<Recipe> {
    let folder = folder(manifest, &options.root)?;
    read(manifest, &folder, options)
}

fn read(manifest: &Manifest, folder: &Path, options: &OpenOptions) -> Result<Recipe> {
    let OpenOptions { split, strict, min_frames, .. } = *options;
    let Some(manual) = &manifest.manual else {
        return Err(Error::Data(format!("{}: a program fetches this set", manifest.name)));
    };
    let mut recipe = match &manual.form {
        Form::Folder => folder::recipe(folder, split, strict)?,
        Form::Strips => strips::recipe(folder, split, strict, min_frames)?,
        Form::Kth => kth::recipe(folder, options)?,
        Form::Bair => bair::recipe(folder, options)?,
        Form::Levels => levels::recipe(folder, options)?,
        Form::Weizmann => weizmann::recipe(folder, options)?,
        Form::WeizmannStrips => weizmann::strips(folder, options)?,
        Form::Chairs => chairs::recipe(folder, options)?,
        Form::Kinetics => kinetics::recipe(folder, options)?,
        Form::Lists { train, test, files } => {
            let list = list_of(manifest, folder, if split == Split::Train { train } else { test }, options)?;
            let (name, base) = (manifest.name.clone(), folder.join(files));
            List { name, path: &list, base, split, strict, origin: clip }.recipe()?
        }
    };
    check_classes(manifest, manual, &recipe)?;
    recipe.name.clone_from(&manifest.name);
    Ok(recipe)
}

/// The list of an official split.
fn list_of(manifest: &Manifest, folder: &Path, list: &str, options: &OpenOptions) -> Result<PathBuf> {
    let list = list.replace("{}", &options.official_split.to_string());
    let path = folder.join(&list);
    // The lists of the first split are looked for before.
    if options.official_split == 1 || path.is_file() {
        return Ok(path);
    }
    Err(Error::Data(format!(
        "{}: {list} is missing in {}; it comes with the lists of the other splits",
        manifest.name,
        folder.display()
    )))
}

fn clip(path: PathBuf, format: Format) -> std::result::Result<Origin, String> {
    Ok(Origin::File(path, format))
}

fn check_classes(manifest: &Manifest, manual: &Manual, recipe: &Recipe) -> Result<()> {
    let found = recipe.groups.first().map_or(&[][..], |group| &group.classes);
    if manual.classes.is_empty() || manual.classes == found {
        return Ok(());
    }
    Err(Error::Data(format!(
        "{}: the classes are {found:?}; expected {:?}, as the first-level folders",
        manifest.name, manual.classes
    )))
}

fn has_test(manifest: &Manifest, folder: &Path) -> bool {
    match manifest.manual.as_ref().map(|m| &m.form) {
        Some(Form::Lists { test, .. }) => folder.join(test.replace("{}", "1")).is_file(),
        Some(Form::Kinetics) => kinetics::has(folder, Split::Test),
        Some(Form::Bair) => bair::has(folder, Split::Test),
        Some(Form::Kth | Form::Chairs | Form::Levels) => true,
        _ => folder.join("test.txt").is_file() || folder.join("test").is_dir(),
    }
}

fn missing(manifest: &Manifest, folder: &Path) -> Vec<String> {
    let needs = manifest.manual.iter().flat_map(|m| &m.needs);
    let mut missing: Vec<String> = needs.filter(|name| !folder.join(name).exists()).cloned().collect();
    let by_name: Option<(&str, Known)> = match manifest.manual.as_ref().map(|m| &m.form) {
        Some(Form::Kth) => Some(("a file such as person01_boxing_d1_uncomp.avi", kth::is_video)),
        Some(Form::Weizmann) => Some(("a file such as daria_bend.avi", weizmann::is_video)),
        Some(Form::Chairs) => {
            Some(("a file such as MODEL/renders/image_000_p020_t011_r096.png", chairs::is_view))
        }
        _ => None,
    };
    missing
        .extend(by_name.filter(|(_, known)| !holds(folder, *known, DEPTH)).map(|(file, _)| file.to_owned()));
    missing
}

/// Whether a file or folder with a known name lies in `folder` or in folders below it, down to `depth`.
fn holds(folder: &Path, known: Known, depth: usize) -> bool {
    // What cannot be read is reported when the set is opened.
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    let paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| known(&name.to_string_lossy()));
    paths.iter().any(named)
        || (depth > 0 && paths.iter().any(|path| path.is_dir() && holds(path, known, depth - 1)))
}

fn remember(own: &Path, folder: &Path) -> Result<()> {
    let path = own.join(MARKER);
    let marker = Marker { version: VERSION, folder: folder.to_path_buf() };
    let json = serde_json::to_vec(&marker).map_err(|e| Error::format(&path, e.to_string()))?;
    write_atomic(&path, |out| out.write_all(&json).map_err(Error::io("writing", &path)))
}
