//! KTH actions: 25 persons, six actions, four scenarios; grey videos of 160x120 pixels.
//!
//! Videos are named `personPP_ACTION_dD_uncomp.avi` and may lie in any folders. Persons 1 to 20 are for training, 21 to 25 for testing.
//! Frames are scaled as a whole, without a crop, by ffmpeg's bicubic filter (SVG, official `data/convert_kth.sh`). Where an index lies
//! beside the videos, each of its segments is a clip; without one each video is. Clips for training are drawn by action, video and
//! segment, each with equal chances (official `data/kth.py`).

use std::{
    collections::BTreeMap,
    ops::Range,
    path::{Path, PathBuf},
};

use vg_core::{Error, Result};

use crate::{
    cache::{Cut, Group, Item, Recipe},
    dataset::Skipped,
    decode::Fit,
    folder,
    open::{OpenOptions, Split},
};

/// Actions in the order of label group `class`.
pub const ACTIONS: [&str; 6] = ["boxing", "handclapping", "handwaving", "jogging", "running", "walking"];
/// Names that an index may have: that of `edenton/drnet`, and that of the data set's page.
pub const INDICES: [&str; 2] = ["kth_indices.txt", "00sequences.txt"];
/// Persons for training are 1 to this, those for testing up to [`PERSONS`].
const TRAIN_PERSONS: u32 = 20;
const PERSONS: u32 = 25;

/// What the name of a video says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Video {
    person: u32,
    /// Index into [`ACTIONS`].
    action: u32,
    scenario: u32,
}

impl Video {
    /// From `personPP_ACTION_dD`; none for other names.
    fn parse(name: &str) -> Option<Self> {
        let mut words = name.strip_prefix("person")?.split('_');
        let (person, action, scenario) = (words.next()?, words.next()?, words.next()?.strip_prefix('d')?);
        if words.next().is_some() || person.len() != 2 {
            return None;
        }
        let action = ACTIONS.iter().position(|known| *known == action)? as u32;
        let (person, scenario) = (person.parse().ok()?, scenario.parse().ok()?);
        ((1..=PERSONS).contains(&person) && (1..=4).contains(&scenario)).then_some(Self {
            person,
            action,
            scenario,
        })
    }

    /// From the path of a file or a folder of images.
    fn of_path(path: &str) -> Option<Self> {
        let last = path.rsplit('/').next().unwrap_or(path);
        let stem = last.split('.').next().unwrap_or(last);
        Self::parse(stem.strip_suffix("_uncomp").unwrap_or(stem))
    }

    fn split(self) -> Split {
        if self.person <= TRAIN_PERSONS { Split::Train } else { Split::Test }
    }
}

impl std::fmt::Display for Video {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "person{:02}_{}_d{}", self.person, ACTIONS[self.action as usize], self.scenario)
    }
}

/// Whether a file has the name of a video of the set.
pub(crate) fn is_video(name: &str) -> bool {
    Video::of_path(name).is_some()
}

/// The videos of a split below `folder`.
///
/// # Errors
/// [`Error::Data`] when there are none or two of a name, [`Error::Format`] for a damaged index, and for a broken file or a video that
/// the index lacks if strict; [`Error::Io`].
pub(crate) fn recipe(folder: &Path, options: &OpenOptions) -> Result<Recipe> {
    let OpenOptions { split, strict, .. } = *options;
    let all = folder::clips(folder, split, strict)?;
    let mut found: BTreeMap<Video, Item> = BTreeMap::new();
    for item in all.items {
        let Some(video) = Video::of_path(&item.name).filter(|video| video.split() == split) else { continue };
        let item = Item { labels: vec![video.action], ..item };
        if let Some(twin) = found.insert(video, item) {
            let name = &found[&video].name;
            return Err(Error::Data(format!(
                "{}: {video} is there twice, as {name} and as {}; remove one",
                folder.display(),
                twin.name
            )));
        }
    }
    let mut skipped = all.skipped;
    let (cut, items) = match index_of(folder) {
        None => (Cut::Whole, found.into_values().collect()),
        Some(index) => segments(&index, found, strict, &mut skipped)?,
    };
    if items.is_empty() {
        return Err(Error::Data(format!(
            "{}: there is no video of the {split} split; expected are files such as {}",
            folder.display(),
            if split == Split::Train {
                "person01_boxing_d1_uncomp.avi"
            } else {
                "person21_boxing_d1_uncomp.avi"
            }
        )));
    }
    let classes = ACTIONS.map(str::to_owned).to_vec();
    let groups = vec![Group { name: "class".to_owned(), classes }];
    Ok(Recipe { split, items, groups, skipped, fit: Fit::Stretch, cut, nested: true, ..Recipe::default() })
}

fn index_of(folder: &Path) -> Option<PathBuf> {
    INDICES.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// The segments of each video; videos that the index lacks are left out.
fn segments(
    index: &Path,
    found: BTreeMap<Video, Item>,
    strict: bool,
    skipped: &mut Vec<Skipped>,
) -> Result<(Cut, Vec<Item>)> {
    let text = std::fs::read_to_string(index).map_err(Error::io("reading", index))?;
    let mut known = read_index(&text).map_err(|problem| Error::format(index, problem))?;
    let (mut cuts, mut items) = (Vec::new(), Vec::new());
    for (video, item) in found {
        match known.remove(&video) {
            Some(segments) => {
                cuts.push(segments);
                items.push(item);
            }
            None if strict => return Err(Error::format(index, format!("there is no line for {video}"))),
            None => {
                let problem = format!("{} has no line for {video}", index.display());
                skipped.push(Skipped { name: item.name, problem });
            }
        }
    }
    Ok((Cut::Segments(cuts), items))
}

/// Segments by video, from lines such as `person01_boxing_d1 frames 1-95, 96-185`, counted from 1, both ends included. Lines that do
/// not begin with `person` are not looked at, and a video may be `*missing*`.
fn read_index(text: &str) -> std::result::Result<BTreeMap<Video, Vec<Range<usize>>>, String> {
    let mut videos = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let mut words = line.split_whitespace();
        let Some(name) = words.next().filter(|word| word.starts_with("person")) else { continue };
        let video = Video::parse(name).ok_or_else(|| {
            format!("line {number}: {name:?}; expected personPP_ACTION_dD, such as person01_boxing_d1")
        })?;
        let rest: String = words.filter(|word| *word != "frames").collect();
        if rest.contains("missing") {
            continue;
        }
        let ranges: Option<Vec<_>> = rest.split(',').filter(|part| !part.is_empty()).map(range).collect();
        let Some(ranges) = ranges.filter(|ranges| !ranges.is_empty()) else {
            return Err(format!("line {number}: {rest:?}; expected segments such as 1-95, 96-185"));
        };
        if videos.insert(video, ranges).is_some() {
            return Err(format!("line {number}: a second line for {video}"));
        }
    }
    if videos.is_empty() {
        return Err("there is no line such as `person01_boxing_d1 frames 1-95, 96-185`".to_owned());
    }
    Ok(videos)
}

fn range(text: &str) -> Option<Range<usize>> {
    let (first, last) = text.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    (first >= 1 && last >= first).then(|| first - 1..last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_person_action_and_scenario() {
        let video = Video::of_path("boxing/person21_boxing_d3_uncomp.avi").unwrap();
        assert_eq!((video.person, video.action, video.scenario, video.split()), (21, 0, 3, Split::Test));
        assert_eq!(Video::of_path("person20_walking_d1").unwrap().split(), Split::Train);
        assert_eq!(video.to_string(), "person21_boxing_d3");
        for name in ["person1_boxing_d1", "person01_box_d1", "person26_boxing_d1", "person01_boxing_d5", "a"]
        {
            assert_eq!(Video::of_path(name), None, "{name}");
        }
    }

    #[test]
    fn the_index_counts_from_one_and_includes_both_ends() {
        let text = "KTH, see person lists\nperson01_boxing_d1\t\tframes\t1-95, 96-185,186-245\n\nperson13_handclapping_d3 *missing*\n";
        let index = read_index(text).unwrap();
        assert_eq!(index.len(), 1);
        assert_eq!(index[&Video::parse("person01_boxing_d1").unwrap()], [0..95, 95..185, 185..245]);
    }

    #[test]
    fn mistakes_in_the_index_are_named() {
        let message = |text: &str| read_index(text).unwrap_err();
        assert!(message("").contains("there is no line"));
        assert!(message("person01_box_d1 frames 1-2").contains("line 1: \"person01_box_d1\""));
        for segments in ["5-4", "0-4", "1", "1-", "x-y", "", "1-99999999999999999999"] {
            let text = message(&format!("\nperson01_boxing_d1 frames {segments}"));
            assert!(text.contains("line 2") && text.contains("expected segments"), "{text}");
        }
        let twice = "person01_boxing_d1 frames 1-9\nperson01_boxing_d1 frames 1-9";
        assert!(message(twice).contains("line 2: a second line for person01_boxing_d1"));
    }
}
