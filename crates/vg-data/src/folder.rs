//! `folder:PATH`: any folder of clips.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use vg_core::{Error, Result};

use crate::{
    cache::{Group, Item, Recipe},
    dataset::Skipped,
    decode::{self, ACCEPTED, Fit, Origin, sniff},
    open::Split,
};

/// All clips below `folder`, in the order of their names.
///
/// With sub-folders `train` and `test` a split is the one of its name; without them everything is for training. First-level
/// sub-folders are classes if every clip lies in one. A folder that holds nothing but numbered images is one clip.
///
/// # Errors
/// [`Error::Io`] for a folder or file that cannot be read, [`Error::Data`] when there are no clips, [`Error::Format`] for a broken
/// file if `strict`.
pub fn recipe(folder: &Path, split: Split, strict: bool) -> Result<Recipe> {
    let root = split_folder(folder, split)?;
    Ok(Recipe { name: format!("folder:{}", folder.display()), ..clips(&root, split, strict)? })
}

/// All clips below `root`, whatever its sub-folders are called; the set has no name yet.
pub(crate) fn clips(root: &Path, split: Split, strict: bool) -> Result<Recipe> {
    let mut found = Found { root: root.to_path_buf(), strict, ..Found::default() };
    found.walk(root)?;
    if found.clips.is_empty() {
        return Err(nothing(root, &found.skipped));
    }
    let classes = found.classes();
    let items = found.clips.into_iter().map(|(name, origin)| {
        let class = classes.iter().position(|class| Some(class.as_str()) == class_of(&name));
        Item { labels: class.map(|index| index as u32).into_iter().collect(), name, origin }
    });
    let items = items.collect();
    let groups =
        if classes.is_empty() { Vec::new() } else { vec![Group { name: "class".to_owned(), classes }] };
    let skipped = found.skipped;
    Ok(Recipe { split, items, groups, skipped, ..Recipe::default() })
}

/// `train` or `test` below `folder` if both are there, else `folder` itself, which is for training.
pub(crate) fn split_folder(folder: &Path, split: Split) -> Result<PathBuf> {
    let splits = [Split::Train, Split::Test].map(|split| folder.join(split.to_string()));
    if splits.iter().all(|path| path.is_dir()) {
        return Ok(splits[split as usize].clone());
    }
    if split == Split::Test {
        return Err(Error::Data(format!(
            "{}: there is no test split; put the clips into sub-folders `train` and `test`",
            folder.display()
        )));
    }
    Ok(folder.to_path_buf())
}

fn nothing(root: &Path, skipped: &[Skipped]) -> Error {
    let broken = match skipped {
        [] => String::new(),
        [first, rest @ ..] => {
            format!(" ({} and {} more files are broken: {})", first.name, rest.len(), first.problem)
        }
    };
    Error::Data(format!("{}: no clips were found{broken}; accepted are {ACCEPTED}", root.display()))
}

#[derive(Default)]
struct Found {
    root: PathBuf,
    strict: bool,
    /// Name below the root, and files.
    clips: Vec<(String, Origin)>,
    skipped: Vec<Skipped>,
    /// Folders already walked, so that links cannot lead in circles.
    seen: BTreeSet<PathBuf>,
}

impl Found {
    fn walk(&mut self, folder: &Path) -> Result<()> {
        let real = folder.canonicalize().map_err(Error::io("reading the folder", folder))?;
        if !self.seen.insert(real) {
            return Ok(());
        }
        let entries = entries(folder)?;
        if let Some(images) = numbered_images(&entries)? {
            self.clips.push((self.name(folder), Origin::Images(images)));
            return Ok(());
        }
        for path in entries {
            if path.is_dir() { self.walk(&path)? } else { self.file(&path)? }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        match sniff(path) {
            Ok(Some(format)) => self.clips.push((self.name(path), Origin::File(path.to_path_buf(), format))),
            Ok(None) => {}
            Err(Error::Format { problem, .. }) if !self.strict => {
                self.skipped.push(Skipped { name: self.name(path), problem });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn name(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    }

    fn classes(&self) -> Vec<String> {
        let classes: Option<BTreeSet<&str>> = self.clips.iter().map(|(name, _)| class_of(name)).collect();
        classes.unwrap_or_default().into_iter().map(str::to_owned).collect()
    }
}

fn class_of(name: &str) -> Option<&str> {
    name.split_once('/').map(|(class, _)| class)
}

/// What `folder` holds, hidden files aside, in the order of names.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = std::fs::read_dir(folder).map_err(Error::io("reading the folder", folder))?;
    let mut paths = read
        .map(|entry| entry.map(|e| e.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(Error::io("reading the folder", folder))?;
    paths.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')));
    paths.sort();
    Ok(paths)
}

/// The images in the order of their numbers, if the folder holds two or more images whose names differ in their last number alone.
fn numbered_images(entries: &[PathBuf]) -> Result<Option<Vec<PathBuf>>> {
    let numbered: Option<Vec<(String, u64)>> = entries.iter().map(|path| number(path)).collect();
    let Some(numbered) = numbered.filter(|n| n.len() > 1 && n.iter().all(|(prefix, _)| *prefix == n[0].0))
    else {
        return Ok(None);
    };
    for path in entries {
        match sniff(path) {
            Ok(Some(format)) if format.is_image() => {}
            // A damaged image of a sequence is found when it is decoded.
            Err(Error::Format { .. }) => {}
            Ok(_) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    // Numbered animations are clips of their own; the first one tells.
    if is_animated(&entries[0])? {
        return Ok(None);
    }
    let mut order: Vec<(u64, PathBuf)> =
        numbered.into_iter().map(|(_, n)| n).zip(entries.iter().cloned()).collect();
    order.sort();
    Ok(Some(order.into_iter().map(|(_, path)| path).collect()))
}

fn is_animated(path: &Path) -> Result<bool> {
    let Ok(Some(format)) = sniff(path) else { return Ok(false) };
    let origin = Origin::File(path.to_path_buf(), format);
    let size = crate::FrameSize { height: 1, width: 1, channels: 1 };
    let mut frames = 0;
    let counted = decode::decode(&origin, size, Fit::Crop, 1, &decode::Ffmpeg::default(), &mut |_| {
        frames += 1;
        if frames > 1 { Err(Error::Data("animated".to_owned())) } else { Ok(()) }
    });
    match counted {
        Err(Error::Io { action, path, source }) => Err(Error::Io { action, path, source }),
        _ => Ok(frames > 1),
    }
}

/// What stands before the last digits of a file's stem, and the number that they are.
fn number(path: &Path) -> Option<(String, u64)> {
    let stem = path.file_stem()?.to_str()?;
    let prefix = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = stem[prefix.len()..].parse().ok()?;
    path.is_file().then(|| (prefix.to_owned(), number))
}
