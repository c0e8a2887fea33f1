//! Clips in TFRecord files as progressive GANs keep them: one file a size, `NAME-r02.tfrecords` for 4x4 pixels to `NAME-r08.tfrecords` for 256x256, each
//! with all clips and all their frames (SWGAN, official `dataset_tool`).
//!
//! Smaller files hold averages of the largest one, which is what the cache makes for every size that is asked for: the largest alone is
//! read. A folder without such files is one of videos.

use std::path::{Path, PathBuf};

use vg_core::{Error, Result};

use crate::{
    bair::tfrecord,
    cache::{Item, Recipe},
    dataset::Skipped,
    decode::{Layout, Origin, Record},
    folder::{self, entries},
    open::{OpenOptions, Split},
};

/// No split is published: every so many records are for testing.
const TEST_EVERY: usize = 100;

/// The clips of a split below `folder`.
///
/// # Errors
/// Those of [`folder`](crate::folder) where there is no TFRecord file; [`Error::Data`] when the largest has no record of the split,
/// [`Error::Format`] when it is damaged if strict, [`Error::Io`].
pub(crate) fn recipe(folder: &Path, options: &OpenOptions) -> Result<Recipe> {
    let OpenOptions { split, strict, .. } = *options;
    let Some(path) = largest(folder)? else { return folder::recipe(folder, split, strict) };
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut recipe = Recipe { split, ..Recipe::default() };
    let (places, damage) = tfrecord::places(&path)?;
    for (index, place) in places.into_iter().enumerate() {
        let number = index + 1;
        if number.is_multiple_of(TEST_EVERY) == (split == Split::Test) {
            let (offset, length) = (place.offset, place.length);
            let record = Record { path: path.clone(), number, offset, length, layout: Layout::Clip };
            let item =
                Item { name: format!("{name}/{number}"), origin: Origin::Record(record), labels: Vec::new() };
            recipe.items.push(item);
        }
    }
    match damage {
        Some(Error::Format { problem, .. }) if !strict => {
            recipe.skipped.push(Skipped { name, problem: format!("{problem}; what follows is left out") });
        }
        Some(error) => return Err(error),
        None => {}
    }
    if recipe.items.is_empty() {
        let few = format!("{}: no record for {split}; every {TEST_EVERY}th is for testing", path.display());
        return Err(Error::Data(few));
    }
    Ok(recipe)
}

/// The file of the largest size in a folder or one below it.
fn largest(folder: &Path) -> Result<Option<PathBuf>> {
    let mut found: Option<(u32, PathBuf)> = None;
    for path in entries(folder)? {
        let inside = if path.is_dir() { entries(&path)? } else { vec![path] };
        for path in inside {
            if let Some(level) =
                level(&path).filter(|level| found.as_ref().is_none_or(|(most, _)| level > most))
            {
                found = Some((level, path));
            }
        }
    }
    Ok(found.map(|(_, path)| path))
}

/// 8 for `NAME-r08.tfrecords`.
fn level(path: &Path) -> Option<u32> {
    let stem = path.file_name()?.to_str()?.strip_suffix(".tfrecords")?;
    stem.rsplit_once("-r")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_from_names() {
        assert_eq!(level(Path::new("a/trailerFaces-r08.tfrecords")), Some(8));
        for other in ["a-r08.tfrecord", "a.tfrecords", "a-rx.tfrecords"] {
            assert_eq!(level(Path::new(other)), None, "{other}");
        }
    }
}
