//! Chair CAD (Seeing 3D chairs): rotations of rendered chairs.
//!
//! The archive has a folder per model with its views, `MODEL/renders/image_NNN_pPPP_tTTT_rRRR.png`: elevation PPP and azimuth TTT in
//! degrees, 31 azimuths at each of two elevations. A clip is one turn at a fixed elevation, in either direction, with as many views
//! repeated at its end that a shorter clip of up to 16 frames may begin at every azimuth. One model in five is for testing: those whose
//! name has a SHA-256 with its first four bytes divisible by five. Frames are scaled as they are; the views are squares.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use vg_core::{Error, Result};

use crate::{
    cache::{Group, Item, Recipe},
    dataset::Skipped,
    decode::Origin,
    folder::entries,
    open::{OpenOptions, Split},
};

/// Views after the turn, so that clips of one more frame may begin anywhere.
const REPEATED: usize = 15;
/// In the order of label group `direction`: the order of growing azimuths, and the other.
const DIRECTIONS: [&str; 2] = ["forward", "backward"];

/// Elevation and azimuth of a view, in degrees.
fn parse(name: &str) -> Option<(u32, u32)> {
    let mut words = name.strip_prefix("image_")?.split('.').next()?.split('_');
    words.next()?.parse::<u32>().ok()?;
    let number = |word: Option<&str>, letter: char| word?.strip_prefix(letter)?.parse().ok();
    Some((number(words.next(), 'p')?, number(words.next(), 't')?))
}

/// Whether a file has the name of a view.
pub(crate) fn is_view(name: &str) -> bool {
    parse(name).is_some()
}

fn split_of(model: &str) -> Split {
    let hash = Sha256::digest(model.as_bytes());
    let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    if number.is_multiple_of(5) { Split::Test } else { Split::Train }
}

/// The turns of a split's models below `folder`.
///
/// # Errors
/// [`Error::Data`] when there are none, [`Error::Format`] for a model without two elevations if strict, [`Error::Io`].
pub(crate) fn recipe(folder: &Path, options: &OpenOptions) -> Result<Recipe> {
    let mut models = BTreeMap::new();
    let root = folder.join("rendered_chairs");
    for path in entries(if root.is_dir() { &root } else { folder })? {
        let model = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() && split_of(&model) == options.split {
            let rings = rings(&path)?;
            if !rings.is_empty() {
                models.insert(model, rings);
            }
        }
    }
    let angles: std::collections::BTreeSet<u32> = models.values().flat_map(BTreeMap::keys).copied().collect();
    if models.is_empty() || angles.len() != 2 {
        return Err(Error::Data(format!(
            "{}: {} models of the {} split, with the elevations {angles:?}; expected are two, from files MODEL/renders/image_000_p020_t011_r096.png",
            folder.display(),
            models.len(),
            options.split
        )));
    }
    let (mut items, mut skipped) = (Vec::new(), Vec::new());
    for (model, rings) in models {
        let views: Vec<usize> = rings.values().map(BTreeMap::len).collect();
        if views.len() != 2 || views[0] != views[1] || views[0] < 2 {
            let problem = format!("{views:?} views at the elevations {:?}", rings.keys().collect::<Vec<_>>());
            if options.strict {
                return Err(Error::format(folder.join(&model), problem));
            }
            skipped.push(Skipped { name: model, problem });
            continue;
        }
        for (elevation, ring) in rings.into_values().enumerate() {
            items.extend(turns(&model, elevation as u32, ring.into_values().collect()));
        }
    }
    let group = |name: &str, classes: Vec<String>| Group { name: name.to_owned(), classes };
    let groups = vec![
        group("elevation", angles.iter().map(u32::to_string).collect()),
        group("direction", DIRECTIONS.map(str::to_owned).to_vec()),
    ];
    Ok(Recipe { split: options.split, items, groups, skipped, ..Recipe::default() })
}

/// Views by azimuth, by elevation.
type Rings = BTreeMap<u32, BTreeMap<u32, PathBuf>>;

fn rings(model: &Path) -> Result<Rings> {
    let renders = model.join("renders");
    let mut rings = Rings::new();
    for path in entries(if renders.is_dir() { &renders } else { model })? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if let Some((elevation, azimuth)) = parse(&name) {
            rings.entry(elevation).or_default().insert(azimuth, path);
        }
    }
    Ok(rings)
}

/// A turn in each direction.
fn turns(model: &str, elevation: u32, ring: Vec<PathBuf>) -> impl Iterator<Item = Item> {
    let backward: Vec<PathBuf> = ring.iter().rev().cloned().collect();
    [ring, backward].into_iter().zip(DIRECTIONS).zip(0..).map(move |((ring, name), direction)| {
        let views = ring.iter().cycle().take(ring.len() + REPEATED).cloned().collect();
        let labels = vec![elevation, direction];
        Item { name: format!("{model}/{elevation}/{name}"), origin: Origin::Images(views), labels }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_elevation_and_azimuth() {
        assert_eq!(parse("image_000_p020_t011_r096.png"), Some((20, 11)));
        assert_eq!(parse("image_061_p030_t349_r096.png"), Some((30, 349)));
        assert_eq!(parse("image_p020_t011.png"), None);
        assert_eq!(parse("notes.txt"), None);
    }

    #[test]
    fn turns_wrap_around() {
        let ring: Vec<PathBuf> = (0..31).map(|i| PathBuf::from(format!("{i}"))).collect();
        let turns: Vec<Item> = turns("m", 1, ring).collect();
        let Origin::Images(forward) = &turns[0].origin else { panic!("images are expected") };
        let Origin::Images(backward) = &turns[1].origin else { panic!("images are expected") };
        assert_eq!((forward.len(), &forward[30], &forward[31]), (46, &"30".into(), &"0".into()));
        assert_eq!((&backward[0], &backward[30], &backward[31]), (&"30".into(), &"0".into(), &"30".into()));
        assert_eq!((turns[0].labels.clone(), turns[1].labels.clone()), (vec![1, 0], vec![1, 1]));
    }
}
