//! Finds sequences of frames and of what belongs to them in parallel folders.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use vg_core::{Error, Result};

use crate::{folder::entries, open::Split};

/// What the files of a folder are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Stream {
    Frames,
    Labels,
    Instances,
    DensePose,
    OpenPose,
    Keypoints,
}

/// Endings of pictures that are read.
const PICTURES: &[&str] = &["jpg", "jpeg", "png", "webp", "gif"];

impl Stream {
    fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Frames => PICTURES,
            Self::Labels | Self::Instances | Self::DensePose => &["png"],
            Self::OpenPose => &["json"],
            Self::Keypoints => &["txt"],
        }
    }
}

/// A folder that a layout has, under the names that it may have.
pub(super) struct Place {
    pub stream: Stream,
    /// Below the folder of the set; `{}` stands for the split.
    pub names: &'static [&'static str],
    pub needed: bool,
}

/// One sequence: for each stream, the file of every frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    /// Name of its folder of frames.
    pub name: String,
    pub files: BTreeMap<Stream, Vec<PathBuf>>,
}

impl Sequence {
    pub(super) fn frames(&self) -> usize {
        self.files.values().next().map_or(0, Vec::len)
    }

    pub(super) fn of(&self, stream: Stream) -> &[PathBuf] {
        self.files.get(&stream).map_or(&[], Vec::as_slice)
    }
}

/// All sequences of a split. The k-th sub-folders of all folders, in the order of names, belong together, and so do their k-th files.
///
/// # Errors
/// [`Error::Data`] for a folder that is missing or empty, and when numbers of sequences or of files differ.
pub(super) fn find(root: &Path, split: Split, places: &[Place]) -> Result<Vec<Sequence>> {
    let mut found: Vec<(Stream, PathBuf, Vec<Named>)> = Vec::new();
    for place in places {
        let options = place.names.iter().map(|name| name.replace("{}", &split.to_string()));
        let options: Vec<String> = options.collect();
        let here = |base: &Path| options.iter().map(|name| base.join(name)).find(|path| path.is_dir());
        match here(root).or_else(|| here(&root.join(split.to_string()))) {
            Some(path) => {
                let sequences = sequences(&path, place.stream)?;
                found.push((place.stream, path, sequences));
            }
            None if place.needed => {
                return Err(Error::Data(format!(
                    "{}: there is no folder {} for the {split} split, neither here nor in a sub-folder `{split}`",
                    root.display(),
                    options.join(" or ")
                )));
            }
            None => {}
        }
    }
    let Some((_, first, frames)) = found.first() else {
        return Err(Error::Data(format!("{}: there are no sequences", root.display())));
    };
    for (_, path, sequences) in &found[1..] {
        if sequences.len() != frames.len() {
            return Err(Error::Data(format!(
                "{} has {} sequences, but {} has {}; in the order of their names each belongs to one of the other",
                path.display(),
                sequences.len(),
                first.display(),
                frames.len()
            )));
        }
    }
    let sequence = |k: usize| -> Result<Sequence> {
        let (name, images) = &frames[k];
        let mut files = BTreeMap::new();
        for (stream, path, sequences) in &found {
            let (other, list) = &sequences[k];
            if list.len() != images.len() {
                return Err(Error::Data(format!(
                    "{} has {} files, but {} has {}; every frame needs one of each",
                    path.join(other).display(),
                    list.len(),
                    first.join(name).display(),
                    images.len()
                )));
            }
            files.insert(*stream, list.clone());
        }
        Ok(Sequence { name: name.clone(), files })
    };
    (0..frames.len()).map(sequence).collect()
}

/// A folder's name and its files.
type Named = (String, Vec<PathBuf>);

/// Sub-folders with their files, or the files of the folder itself as one sequence without a name.
fn sequences(folder: &Path, stream: Stream) -> Result<Vec<Named>> {
    let below = entries(folder)?;
    let folders: Vec<&PathBuf> = below.iter().filter(|path| path.is_dir()).collect();
    let fits = |path: &PathBuf| {
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
        path.is_file() && stream.endings().contains(&ending.as_str())
    };
    let files = |list: Vec<PathBuf>| list.into_iter().filter(fits).collect::<Vec<_>>();
    let found: Vec<Named> = if folders.is_empty() {
        vec![(String::new(), files(below))]
    } else {
        let of = |path: &PathBuf| -> Result<Named> {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            Ok((name, files(entries(path)?)))
        };
        folders.into_iter().map(of).collect::<Result<_>>()?
    };
    match found.iter().find(|(_, files)| files.is_empty()) {
        Some((name, _)) => Err(Error::Data(format!(
            "{}: there are no files of the kinds {}",
            folder.join(name).display(),
            stream.endings().join(", ")
        ))),
        None => Ok(found),
    }
}
