//! Weizmann actions: nine persons, ten actions, labels of both.
//!
//! Videos are named `PERSON_ACTION.avi`; where a person performs an action twice, `lena_run1` and `lena_run2`. They may lie in any folders.
//! With the option `time-split` the first `floor(2n / 3)` frames of each video are for training and the rest for testing, as in the
//! published VideoVAE ports; else all are for training, unless there are sub-folders `train` and `test`. The ports crop a square around
//! the person in every frame, from boxes that are not part of the set; here the middle of the frame is cropped, so persons who walk move
//! through the picture.
//!
//! MoCoGAN's copies are strips of four actions in the folders `0`, `1`, `3` and `4`, files `00000000` to `00000071`. What their numbers
//! mean is an observation: the files are those of a list of `PERSON_ACTION` in reversed order, each followed or preceded by its mirror image.
//! File `n` thus shows person `8 - n / 8` and action `wave2`, `wave1`, `jack`, `bend` number `n % 8 / 2`. Folders and numbers agree on
//! the actions, each block of eight files shows one person, and the blocks fit the persons as far as pictures can tell. Both copies of a
//! video are cut at the same frame, so that they stay on one side of a split.

use std::path::Path;

use vg_core::{Error, Result};

use crate::{
    cache::{Cut, Group, Item, Recipe},
    dataset::Skipped,
    folder,
    open::{OpenOptions, Split},
    strips,
};

/// Actions in the order of label group `class`.
pub const ACTIONS: [&str; 10] =
    ["bend", "jack", "jump", "pjump", "run", "side", "skip", "walk", "wave1", "wave2"];
/// Persons in the order of label group `identity`.
pub const PERSONS: [&str; 9] = ["daria", "denis", "eli", "ido", "ira", "lena", "lyova", "moshe", "shahar"];
/// Folders of the strips and their actions, in the order of label group `class`.
const STRIPS: [(&str, &str); 4] = [("0", "wave1"), ("1", "wave2"), ("3", "jack"), ("4", "bend")];
/// Actions of the strips in the order of their numbers.
const ORDER: [&str; 4] = ["wave2", "wave1", "jack", "bend"];

/// Person and action, as indices, of a video's path; none for other names.
fn parse(path: &str) -> Option<(u32, u32)> {
    let last = path.rsplit('/').next().unwrap_or(path);
    let stem = last.split('.').next().unwrap_or(last);
    let (person, action) = stem.split_once('_')?;
    let index = |names: &[&str], name: &str| names.iter().position(|known| *known == name).map(|i| i as u32);
    let repeated = || index(&ACTIONS, action.strip_suffix(['1', '2', '3'])?);
    Some((index(&PERSONS, person)?, index(&ACTIONS, action).or_else(repeated)?))
}

/// Whether a file has the name of a video of the set.
pub(crate) fn is_video(name: &str) -> bool {
    parse(name).is_some()
}

/// The videos below `folder`.
///
/// # Errors
/// [`Error::Data`] when an action has no video or a split is missing, [`Error::Format`] for a broken or misnamed file if strict, [`Error::Io`].
pub(crate) fn recipe(folder: &Path, options: &OpenOptions) -> Result<Recipe> {
    let OpenOptions { split, strict, time_split, skip_action, .. } = *options;
    let root = if time_split { folder.to_path_buf() } else { split_folder(folder, split)? };
    let all = folder::clips(&root, split, strict)?;
    let actions: Vec<&str> = ACTIONS.into_iter().filter(|action| skip_action || *action != "skip").collect();
    let (mut items, mut skipped) = (Vec::new(), all.skipped);
    for item in all.items {
        let Some((person, action)) = parse(&item.name) else {
            let problem = "not named PERSON_ACTION, such as daria_bend".to_owned();
            if strict {
                return Err(Error::format(root.join(&item.name), problem));
            }
            skipped.push(Skipped { name: item.name, problem });
            continue;
        };
        if let Some(class) = actions.iter().position(|known| *known == ACTIONS[action as usize]) {
            items.push(Item { labels: vec![class as u32, person], ..item });
        }
    }
    if let Some(action) = missing(&actions, &items) {
        let hint = if action == "skip" { "; `weizmann,no-skip` is the set without it" } else { "" };
        return Err(Error::Data(format!(
            "{}: there is no video of the action {action}, such as daria_{action}.avi{hint}",
            root.display()
        )));
    }
    let cut = if time_split { Cut::Thirds } else { Cut::Whole };
    Ok(Recipe { split, items, groups: groups(&actions), skipped, cut, ..Recipe::default() })
}

/// MoCoGAN's strips below `folder`.
///
/// # Errors
/// Those of [`strips::recipe`], and [`Error::Data`] for other folders.
pub(crate) fn strips(folder: &Path, options: &OpenOptions) -> Result<Recipe> {
    let OpenOptions { split, strict, time_split, min_frames, .. } = *options;
    // Both halves of a time split are cut from the same files.
    let read = if time_split { Split::Train } else { split };
    let all = strips::recipe(folder, read, strict, min_frames)?;
    let (mut items, mut skipped) = (Vec::new(), all.skipped);
    for item in all.items {
        match strip_labels(&item.name) {
            Ok(labels) => items.push(Item { labels, ..item }),
            Err(problem) if strict => return Err(Error::format(folder.join(&item.name), problem)),
            Err(problem) => skipped.push(Skipped { name: item.name, problem }),
        }
    }
    let actions = STRIPS.map(|(_, action)| action);
    if let Some(action) = missing(&actions, &items) {
        let first = skipped.first().map_or(String::new(), |s| format!(" ({}: {})", s.name, s.problem));
        let class = STRIPS.iter().find(|(_, known)| *known == action).map_or("", |(class, _)| class);
        return Err(Error::Data(format!(
            "{}: there is no strip of the action {action} in the folder {class}{first}",
            folder.display()
        )));
    }
    let cut = if time_split { Cut::Thirds } else { Cut::Whole };
    Ok(Recipe { split, items, groups: groups(&actions), skipped, cut, ..all_but_items(min_frames) })
}

fn all_but_items(min_frames: usize) -> Recipe {
    Recipe { min_frames, fill_classes: true, ..Recipe::default() }
}

/// Class and identity of `FOLDER/NUMBER.jpg`, if both say the same action.
fn strip_labels(name: &str) -> std::result::Result<Vec<u32>, String> {
    let (class, file) = name.split_once('/').unwrap_or(("", name));
    let stem = file.split('.').next().unwrap_or(file);
    let number: usize = stem
        .parse()
        .ok()
        .filter(|n| *n < 8 * PERSONS.len())
        .ok_or_else(|| format!("{stem:?} is no number of 00000000 to 00000071"))?;
    let action = ORDER[number % 8 / 2];
    match STRIPS.iter().position(|known| *known == (class, action)) {
        Some(label) => Ok(vec![label as u32, (PERSONS.len() - 1 - number / 8) as u32]),
        None => {
            Err(format!("strip {number} shows {action}, which does not belong into the folder {class:?}"))
        }
    }
}

fn split_folder(folder: &Path, split: Split) -> Result<std::path::PathBuf> {
    folder::split_folder(folder, split).map_err(|error| match error {
        Error::Data(problem) => Error::Data(format!(
            "{problem}, or take `time-split`, which cuts each video into both: weizmann,time-split"
        )),
        other => other,
    })
}

fn missing<'a>(actions: &[&'a str], items: &[Item]) -> Option<&'a str> {
    let has = |class: usize| items.iter().any(|item| item.labels[0] as usize == class);
    actions.iter().enumerate().find(|(class, _)| !has(*class)).map(|(_, action)| *action)
}

fn groups(actions: &[&str]) -> Vec<Group> {
    let group = |name: &str, classes: &[&str]| Group {
        name: name.to_owned(),
        classes: classes.iter().map(|class| (*class).to_owned()).collect(),
    };
    vec![group("class", actions), group("identity", &PERSONS)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_person_and_action() {
        let names = |path| parse(path).map(|(p, a)| (PERSONS[p as usize], ACTIONS[a as usize]));
        assert_eq!(names("bend/daria_bend.avi"), Some(("daria", "bend")));
        assert_eq!(names("lena_run2.avi"), Some(("lena", "run")));
        assert_eq!(names("shahar_wave1.gif"), Some(("shahar", "wave1")));
        assert_eq!(names("x/ido_wave2"), Some(("ido", "wave2")));
        for name in ["daria.avi", "bob_run.avi", "daria_fly.avi", "daria_run12.avi", "daria_wave3.avi"] {
            assert_eq!(names(name), None, "{name}");
        }
    }

    #[test]
    fn numbers_of_strips_tell_the_person() {
        assert_eq!(strip_labels("0/00000002.jpg"), Ok(vec![0, 8]));
        assert_eq!(strip_labels("1/00000065.jpg"), Ok(vec![1, 0]));
        assert_eq!(strip_labels("4/00000030.png"), Ok(vec![3, 5]));
        assert!(strip_labels("0/00000000.jpg").unwrap_err().contains("shows wave2"));
        assert!(strip_labels("3/00000072.jpg").unwrap_err().contains("00000071"));
        assert!(strip_labels("3/a.jpg").is_err());
    }
}
