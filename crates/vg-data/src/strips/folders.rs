//! Strips in class folders.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use vg_core::{Error, Result};

use super::strip;
use crate::{
    cache::{Group, Item, Recipe},
    dataset::Skipped,
    decode::{Length, Origin, sniff},
    folder::{entries, split_folder},
    open::Split,
};

/// All strips below `folder`; without sub-folders they have no classes.
pub(super) fn recipe(
    name: String,
    folder: &Path,
    split: Split,
    strict: bool,
    min_frames: usize,
) -> Result<Recipe> {
    let root = split_folder(folder, split)?;
    let mut found = Found { root: root.clone(), strict, ..Found::default() };
    let (classes, files): (Vec<_>, Vec<_>) = entries(&root)?.into_iter().partition(|path| path.is_dir());
    files.iter().try_for_each(|path| found.file(path, None))?;
    for (index, class) in classes.iter().enumerate() {
        found.class(class, index as u32)?;
    }
    if found.items.is_empty() {
        let first = found.skipped.first().map_or(String::new(), |s| format!(" ({}: {})", s.name, s.problem));
        return Err(Error::Data(format!(
            "{}: no strips were found{first}; expected CLASS/FILE, images of square frames in a row, or a list file list.txt",
            root.display()
        )));
    }
    let classes: Vec<String> = classes.iter().map(|path| last_name(path)).collect();
    let groups =
        if classes.is_empty() { Vec::new() } else { vec![Group { name: "class".to_owned(), classes }] };
    let (items, skipped) = (found.items, found.skipped);
    Ok(Recipe { name, split, items, groups, skipped, min_frames, fill_classes: true, ..Recipe::default() })
}

#[derive(Default)]
struct Found {
    root: PathBuf,
    strict: bool,
    items: Vec<Item>,
    skipped: Vec<Skipped>,
    /// Folders already walked, so that links cannot lead in circles.
    seen: BTreeSet<PathBuf>,
}

impl Found {
    fn class(&mut self, folder: &Path, label: u32) -> Result<()> {
        if let Some(item) = self.items.first().filter(|item| item.labels.is_empty()) {
            return Err(Error::Data(format!(
                "{}: it lies beside the class folders; move it into one of them",
                self.root.join(&item.name).display()
            )));
        }
        let before = self.items.len();
        self.walk(folder, label)?;
        if self.items.len() > before {
            return Ok(());
        }
        let below = format!("{}/", last_name(folder));
        let first = self.skipped.iter().find(|s| s.name.starts_with(&below));
        let reason = first.map_or(String::new(), |s| format!(" ({}: {})", s.name, s.problem));
        Err(Error::Data(format!(
            "{}: the class is empty, there is no strip{reason}; fill or remove the folder",
            folder.display()
        )))
    }

    fn walk(&mut self, folder: &Path, label: u32) -> Result<()> {
        let real = folder.canonicalize().map_err(Error::io("reading the folder", folder))?;
        if !self.seen.insert(real) {
            return Ok(());
        }
        for path in entries(folder)? {
            if path.is_dir() { self.walk(&path, label)? } else { self.file(&path, Some(label))? }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, label: Option<u32>) -> Result<()> {
        match self.open(path) {
            Ok(Some(origin)) => {
                self.items.push(Item { name: self.name(path), origin, labels: label.into_iter().collect() });
            }
            Ok(None) => {}
            Err(Error::Format { problem, .. }) if !self.strict => {
                self.skipped.push(Skipped { name: self.name(path), problem });
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn open(&self, path: &Path) -> Result<Option<Origin>> {
        let Some(format) = sniff(path)? else { return Ok(None) };
        let origin = strip(path.to_path_buf(), format, Length::All);
        origin.map(Some).map_err(|problem| Error::format(path, problem))
    }

    fn name(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    }
}

fn last_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
