//! Animated emoji: clips named by their code points.

use std::path::Path;

use sha2::{Digest, Sha256};
use vg_core::{Error, Result};

use crate::{
    cache::{Group, Item, Recipe},
    decode::{Format, Origin},
    open::Split,
};

/// Names of the skin tones in the order of label group `tone`.
const TONES: [&str; 7] = ["none", "light", "medium-light", "medium", "medium-dark", "dark", "two"];
/// Names of the classes in the order of label group `class`.
const CLASSES: [&str; 7] = ["faces", "people", "animals", "food", "travel", "objects", "symbols"];

/// The animations in `folder`, every second frame (12 a second); stills are dropped.
///
/// The split goes by glyph without its skin tones, so that the same movement never stands on both sides: a glyph is for testing when
/// the first four bytes of its SHA-256 are divisible by ten (about one in ten).
///
/// # Errors
/// [`Error::Data`] when the folder holds no `.webp` files.
pub fn recipe(folder: &Path, split: Split) -> Result<Recipe> {
    let mut items: Vec<Item> = names(folder)?
        .into_iter()
        .filter_map(|name| Some((Glyph::parse(name.strip_suffix(".webp")?)?, name)))
        .filter(|(glyph, _)| glyph.split() == split)
        .map(|(glyph, name)| Item {
            labels: vec![glyph.class(), glyph.tone],
            origin: Origin::File(folder.join(&name), Format::WebP),
            name,
        })
        .collect();
    items.sort_by(|a, b| a.name.cmp(&b.name));
    if items.is_empty() {
        return Err(Error::Data(format!(
            "emoji: there are no clips in {}; `cargo xtask download emoji` fetches them",
            folder.display()
        )));
    }
    let group = |name: &str, classes: &[&str]| Group {
        name: name.to_owned(),
        classes: classes.iter().map(|class| (*class).to_owned()).collect(),
    };
    let groups = vec![group("class", &CLASSES), group("tone", &TONES)];
    Ok(Recipe {
        name: "emoji".to_owned(),
        split,
        items,
        groups,
        keep_every: 2,
        drop_stills: true,
        ..Recipe::default()
    })
}

fn names(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = std::fs::read_dir(folder).map_err(Error::io("reading the folder", folder))?;
    entries
        .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()
        .map_err(Error::io("reading the folder", folder))
}

/// What a file's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glyph {
    /// Code points without skin tones and variation selectors, joined by `-`.
    pub base: String,
    /// Index into the tones: 0 none, 1 to 5 light to dark, 6 two different people.
    pub tone: u32,
    first: u32,
}

impl Glyph {
    /// From hexadecimal code points such as `1f926-1f3fe-200d-2640-fe0f`; none for other names.
    pub fn parse(stem: &str) -> Option<Self> {
        let points =
            stem.split('-').map(|hex| u32::from_str_radix(hex, 16).ok()).collect::<Option<Vec<u32>>>()?;
        let is_tone = |point: &u32| (0x1f3fb..=0x1f3ff).contains(point);
        let tones: Vec<u32> = points.iter().copied().filter(is_tone).collect();
        let tone = match tones[..] {
            [] => 0,
            [tone] => tone - 0x1f3fa,
            _ => 6,
        };
        let rest: Vec<String> =
            points.iter().filter(|p| !is_tone(p) && **p != 0xfe0f).map(|p| format!("{p:x}")).collect();
        (!rest.is_empty()).then(|| Self { base: rest.join("-"), tone, first: points[0] })
    }

    /// The split of the glyph, whatever its tone.
    pub fn split(&self) -> Split {
        let hash = Sha256::digest(self.base.as_bytes());
        let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
        if number.is_multiple_of(10) { Split::Test } else { Split::Train }
    }

    /// Index into the classes, by the block of the first code point.
    pub fn class(&self) -> u32 {
        let known = RANGES.iter().find(|(first, last, _)| (*first..=*last).contains(&self.first));
        let other = if self.first < 0x1f000 { SYMBOLS } else { OBJECTS };
        known.map_or(other, |(_, _, class)| *class)
    }
}

const FACES: u32 = 0;
const PEOPLE: u32 = 1;
const ANIMALS: u32 = 2;
const FOOD: u32 = 3;
const TRAVEL: u32 = 4;
const OBJECTS: u32 = 5;
const SYMBOLS: u32 = 6;

/// First and last code point and class; the first match counts. After the groups of Unicode's `emoji-test.txt`, plants with the
/// animals, weather and sky with travel.
const RANGES: &[(u32, u32, u32)] = &[
    (0x1f648, 0x1f64a, ANIMALS),
    (0x1f600, 0x1f644, FACES),
    (0x1f645, 0x1f64f, PEOPLE),
    (0x1f479, 0x1f47b, FACES),
    (0x1f47d, 0x1f480, FACES),
    (0x1f4a9, 0x1f4a9, FACES),
    (0x1f910, 0x1f917, FACES),
    (0x1f920, 0x1f925, FACES),
    (0x1f927, 0x1f92f, FACES),
    (0x1f970, 0x1f976, FACES),
    (0x1f978, 0x1f97a, FACES),
    (0x1f9d0, 0x1f9d0, FACES),
    (0x1fae0, 0x1faef, FACES),
    (0x2620, 0x2620, FACES),
    (0x2639, 0x263a, FACES),
    (0x1f385, 0x1f385, PEOPLE),
    (0x1f3c2, 0x1f3c4, PEOPLE),
    (0x1f3c7, 0x1f3c7, PEOPLE),
    (0x1f3ca, 0x1f3cc, PEOPLE),
    (0x1f440, 0x1f450, PEOPLE),
    (0x1f464, 0x1f478, PEOPLE),
    (0x1f47c, 0x1f47c, PEOPLE),
    (0x1f481, 0x1f483, PEOPLE),
    (0x1f485, 0x1f487, PEOPLE),
    (0x1f48f, 0x1f48f, PEOPLE),
    (0x1f491, 0x1f491, PEOPLE),
    (0x1f4aa, 0x1f4aa, PEOPLE),
    (0x1f574, 0x1f575, PEOPLE),
    (0x1f57a, 0x1f57a, PEOPLE),
    (0x1f590, 0x1f596, PEOPLE),
    (0x1f6a3, 0x1f6a3, PEOPLE),
    (0x1f6b4, 0x1f6b6, PEOPLE),
    (0x1f6c0, 0x1f6c0, PEOPLE),
    (0x1f6cc, 0x1f6cc, PEOPLE),
    (0x1f90c, 0x1f90c, PEOPLE),
    (0x1f90f, 0x1f90f, PEOPLE),
    (0x1f918, 0x1f91f, PEOPLE),
    (0x1f926, 0x1f926, PEOPLE),
    (0x1f930, 0x1f939, PEOPLE),
    (0x1f93c, 0x1f93e, PEOPLE),
    (0x1f977, 0x1f977, PEOPLE),
    (0x1f9b4, 0x1f9b9, PEOPLE),
    (0x1f9bb, 0x1f9bb, PEOPLE),
    (0x1f9cd, 0x1f9cf, PEOPLE),
    (0x1f9d1, 0x1f9df, PEOPLE),
    (0x1fac2, 0x1fac5, PEOPLE),
    (0x1faf0, 0x1faf8, PEOPLE),
    (0x261d, 0x261d, PEOPLE),
    (0x26f9, 0x26f9, PEOPLE),
    (0x270a, 0x270d, PEOPLE),
    (0x1f331, 0x1f344, ANIMALS),
    (0x1f400, 0x1f43f, ANIMALS),
    (0x1f490, 0x1f490, ANIMALS),
    (0x1f54a, 0x1f54a, ANIMALS),
    (0x1f577, 0x1f578, ANIMALS),
    (0x1f940, 0x1f940, ANIMALS),
    (0x1f980, 0x1f9ae, ANIMALS),
    (0x1fab0, 0x1fabf, ANIMALS),
    (0x1face, 0x1facf, ANIMALS),
    (0x2618, 0x2618, ANIMALS),
    (0x1f32d, 0x1f330, FOOD),
    (0x1f345, 0x1f37f, FOOD),
    (0x1f382, 0x1f382, FOOD),
    (0x1f942, 0x1f944, FOOD),
    (0x1f950, 0x1f96f, FOOD),
    (0x1f9c0, 0x1f9cb, FOOD),
    (0x1fad0, 0x1fadf, FOOD),
    (0x2615, 0x2615, FOOD),
    (0x1f300, 0x1f32c, TRAVEL),
    (0x1f3d4, 0x1f3f0, TRAVEL),
    (0x1f550, 0x1f567, TRAVEL),
    (0x1f5fa, 0x1f5ff, TRAVEL),
    (0x1f680, 0x1f6ff, TRAVEL),
    (0x231a, 0x231b, TRAVEL),
    (0x23f0, 0x23f3, TRAVEL),
    (0x2600, 0x2604, TRAVEL),
    (0x2614, 0x2614, TRAVEL),
    (0x2693, 0x2693, TRAVEL),
    (0x26c4, 0x26c8, TRAVEL),
    (0x26e9, 0x26fd, TRAVEL),
    (0x2708, 0x2708, TRAVEL),
    (0x2b50, 0x2b50, TRAVEL),
    (0x1f191, 0x1f251, SYMBOLS),
    (0x1f3c1, 0x1f3c1, SYMBOLS),
    (0x1f3f3, 0x1f3f4, SYMBOLS),
    (0x1f493, 0x1f49f, SYMBOLS),
    (0x1f500, 0x1f506, SYMBOLS),
    (0x1f518, 0x1f524, SYMBOLS),
    (0x1f52f, 0x1f53d, SYMBOLS),
    (0x1f5a4, 0x1f5a4, SYMBOLS),
    (0x1f90d, 0x1f90e, SYMBOLS),
    (0x1f9e1, 0x1f9e1, SYMBOLS),
    (0x1fa75, 0x1fa77, SYMBOLS),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_tell_glyph_tone_and_class() {
        let parsed = |stem: &str| {
            Glyph::parse(stem).map(|g| (g.base.clone(), TONES[g.tone as usize], CLASSES[g.class() as usize]))
        };
        assert_eq!(
            parsed("1f926-1f3fe-200d-2640-fe0f"),
            Some(("1f926-200d-2640".to_owned(), "medium-dark", "people"))
        );
        assert_eq!(parsed("1f600"), Some(("1f600".to_owned(), "none", "faces")));
        assert_eq!(parsed("1f648"), Some(("1f648".to_owned(), "none", "animals")));
        assert_eq!(parsed("2764-fe0f"), Some(("2764".to_owned(), "none", "symbols")));
        assert_eq!(parsed("1faf1-1f3fb-200d-1faf2-1f3ff").map(|p| p.1), Some("two"));
        assert_eq!(parsed("README"), None);
    }

    #[test]
    fn about_one_glyph_in_ten_is_for_testing() {
        let test = (0x1f400..0x1f800)
            .filter(|p| Glyph::parse(&format!("{p:x}")).unwrap().split() == Split::Test)
            .count();
        assert!((70..140).contains(&test), "{test} of 1024");
    }

    proptest! {
        #[test]
        fn all_tones_of_a_glyph_are_on_one_side(point in 0x1f300u32..0x1faff, tone in 0x1f3fbu32..=0x1f3ff) {
            prop_assume!(!(0x1f3fb..=0x1f3ff).contains(&point));
            let plain = Glyph::parse(&format!("{point:x}")).unwrap();
            let toned = Glyph::parse(&format!("{point:x}-{tone:x}")).unwrap();
            prop_assert_eq!(plain.split(), toned.split());
            prop_assert_eq!(plain.base, toned.base);
        }
    }
}
