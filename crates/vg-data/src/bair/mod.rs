//! BAIR robot pushing: TFRecord files with raw frames of a camera.
//!
//! `softmotion30_44k/{train,test}/*.tfrecords`; each record is a clip of 30 frames of 64x64 pixels under the names
//! `0/image_aux1/encoded` to `29/image_aux1/encoded`. Files in the order of their names, records in that of their files (SVG, official
//! `data/convert_bair.py` and `data/bair.py`). Shorter clips begin at the first frame, unless they are asked to begin anywhere.

pub(crate) mod example;
pub(crate) mod tfrecord;

use std::path::Path;

use vg_core::{Error, Result};

use crate::{
    cache::{Item, Recipe},
    dataset::{Skipped, Start},
    decode::{Layout, Origin, Record},
    folder::entries,
    open::{OpenOptions, Split},
};

/// Folder of the archive.
const FOLDER: &str = "softmotion30_44k";

/// The clips of a split below `folder`.
///
/// # Errors
/// [`Error::Data`] when there is no record, [`Error::Format`] for a damaged file if strict, [`Error::Io`].
pub(crate) fn recipe(folder: &Path, options: &OpenOptions) -> Result<Recipe> {
    let OpenOptions { split, strict, legacy_stretch, start, .. } = *options;
    let folder = folder.join(FOLDER).join(split.to_string());
    let mut recipe = Recipe { split, start: start.unwrap_or(Start::First), ..Recipe::default() };
    for path in entries(&folder)? {
        if path.extension().is_none_or(|ending| ending != "tfrecords" && ending != "tfrecord") {
            continue;
        }
        file(&path, legacy_stretch, strict, &mut recipe)?;
    }
    if recipe.items.is_empty() {
        let first = recipe.skipped.first();
        let first = first.map_or(String::new(), |s| format!(" ({}: {})", s.name, s.problem));
        return Err(Error::Data(format!(
            "{}: there is no record{first}; expected are the files *.tfrecords of the archive",
            folder.display()
        )));
    }
    Ok(recipe)
}

/// The records of a file; those before a damaged place are kept, unless strict.
fn file(path: &Path, stretch: bool, strict: bool, recipe: &mut Recipe) -> Result<()> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (places, damage) = tfrecord::places(path)?;
    for (index, place) in places.into_iter().enumerate() {
        let number = index + 1;
        let (path, offset, length) = (path.to_path_buf(), place.offset, place.length);
        let origin =
            Origin::Record(Record { path, number, offset, length, layout: Layout::Frames { stretch } });
        recipe.items.push(Item { name: format!("{name}/{number}"), origin, labels: Vec::new() });
    }
    match damage {
        Some(Error::Format { problem, .. }) if !strict => {
            recipe.skipped.push(Skipped { name, problem: format!("{problem}; what follows is left out") });
            Ok(())
        }
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Whether a split's folder is there.
pub(crate) fn has(folder: &Path, split: Split) -> bool {
    folder.join(FOLDER).join(split.to_string()).is_dir()
}
