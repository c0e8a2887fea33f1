//! `strips:PATH`: clips kept as images, in the layout of MoCoGAN (class folders) or of VGAN (a list file).
//!
//! A strip is one image: square frames of its shorter side, one after the other along the longer. Images are known by their content,
//! whatever their names end in; alpha is discarded. Frames are fitted like those of all sets: box averages when they shrink, which for
//! 128 to 64 pixels is VGAN's mean of 2x2.
//!
//! | | MoCoGAN | VGAN |
//! |---|---|---|
//! | PATH | a folder with a sub-folder per class | a list file, or a folder that holds `list.txt`, or `train.txt` and `test.txt` |
//! | frames | all; strips of fewer than [`MIN_FRAMES`] are left out | the first [`LISTED_FRAMES`]; shorter strips repeat the last one |
//! | classes | names of the folders in order | second word of a line, from 1, named by `classInd.txt` if it lies beside the list |
//! | source | official code | official code |

mod folders;

use std::path::{Path, PathBuf};

use vg_core::{Error, Result};

use crate::{
    cache::Recipe,
    decode::{Format, Length, Origin},
    list::List,
    open::Split,
};

/// Shorter strips of class folders are left out by default (MoCoGAN's `min_len`).
pub const MIN_FRAMES: usize = 32;
/// Frames of every clip of a list (VGAN, official code).
pub const LISTED_FRAMES: usize = 32;

/// The strips at `path`, a folder or a list file.
///
/// The splits of a folder are its sub-folders `train` and `test`, those of lists `train.txt` and `test.txt`; with the path of a list whose
/// name holds `train`, the test list is the one with `test` in its place. `min_frames` concerns class folders alone.
///
/// # Errors
/// [`Error::Io`] for what cannot be read; [`Error::Data`] for a missing split, a class without strips, a list whose files are missing;
/// [`Error::Format`] for a damaged list, and for a broken file if `strict`.
pub fn recipe(path: &Path, split: Split, strict: bool, min_frames: usize) -> Result<Recipe> {
    let name = format!("strips:{}", path.display());
    let Some(list) = list_of(path, split)? else {
        return folders::recipe(name, path, split, strict, min_frames);
    };
    let base = list.parent().unwrap_or(Path::new("")).to_path_buf();
    List { name, path: &list, base, split, strict, origin: listed }.recipe()
}

/// The list that `path` means; none for class folders.
fn list_of(path: &Path, split: Split) -> Result<Option<PathBuf>> {
    if path.is_file() {
        return listed_split(path, split).map(Some);
    }
    let names: &[&str] = match split {
        Split::Train => &["list.txt", "train.txt"],
        Split::Test => &["test.txt"],
    };
    let found = names.iter().map(|name| path.join(name)).find(|list| list.is_file());
    if found.is_none() && split == Split::Test && path.join("list.txt").is_file() {
        return Err(no_test_list(path));
    }
    Ok(found)
}

fn listed_split(path: &Path, split: Split) -> Result<PathBuf> {
    if split == Split::Train {
        return Ok(path.to_path_buf());
    }
    let name = path.file_name().map(|name| name.to_string_lossy().replace("train", "test"));
    let twin = path.with_file_name(name.unwrap_or_default());
    if twin != path && twin.is_file() { Ok(twin) } else { Err(no_test_list(path)) }
}

fn no_test_list(path: &Path) -> Error {
    Error::Data(format!("{}: there is no test split; name the lists train.txt and test.txt", path.display()))
}

fn listed(path: PathBuf, format: Format) -> std::result::Result<Origin, String> {
    strip(path, format, Length::Exactly(LISTED_FRAMES))
}

fn strip(path: PathBuf, format: Format, length: Length) -> std::result::Result<Origin, String> {
    if format.is_image() {
        return Ok(Origin::Strip(path, length));
    }
    Err("a video, not an image with frames in a row; `folder:` reads videos".to_owned())
}
