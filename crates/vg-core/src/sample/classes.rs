//! Names of the classes that a model was trained with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Version of the file of names.
const FORMAT: u32 = 1;
/// Names that an error suggests.
const NEAR: usize = 3;

/// Names of the classes of label groups, in index order, as the data of a run had them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassNames(BTreeMap<String, Vec<String>>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    groups: BTreeMap<String, Vec<String>>,
}

impl ClassNames {
    /// Names by label group; groups without a class are left out.
    pub fn new(groups: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        Self(groups.into_iter().filter(|(_, names)| !names.is_empty()).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The label groups with their names.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(group, names)| (group.as_str(), names.as_slice()))
    }

    /// The label group that a class without a group is of: the first of a model's named ones, else the only one that has names, else
    /// `class`.
    pub fn first_group(&self, attributes: &[super::Attribute]) -> String {
        let only = || self.0.keys().next().filter(|_| self.0.len() == 1).cloned();
        attributes.first().map(|a| a.name.clone()).or_else(only).unwrap_or_else(|| "class".to_owned())
    }

    /// The name of a class; its number where it has none.
    pub fn name(&self, group: &str, class: usize) -> String {
        self.0.get(group).and_then(|names| names.get(class)).cloned().unwrap_or_else(|| class.to_string())
    }

    /// The number of a class by its name. Case, spaces and other signs between letters do not count, unless two names differ in nothing else:
    /// `playing guitar` is `PlayingGuitar`.
    ///
    /// # Errors
    /// [`Error::Data`] with the nearest names, or for a group whose names are not known.
    pub fn find(&self, group: &str, name: &str) -> Result<usize> {
        let Some(names) = self.0.get(group) else {
            return Err(Error::Data(format!(
                "class {name:?}: these weights do not know the names of the classes of {group:?}; give a number"
            )));
        };
        if let Some(exact) = names.iter().position(|known| known == name) {
            return Ok(exact);
        }
        let wanted = plain(name);
        let mut alike = names.iter().enumerate().filter(|(_, known)| plain(known) == wanted);
        match (alike.next(), alike.next()) {
            (Some((class, _)), None) if !wanted.is_empty() => Ok(class),
            _ => Err(Error::Data(format!(
                "there is no class {name:?} among the {} of {group:?}{}",
                names.len(),
                near(&wanted, names)
            ))),
        }
    }

    /// The text of a file of names.
    pub(crate) fn to_json(&self) -> String {
        let file = File { format: FORMAT, groups: self.0.clone() };
        serde_json::to_string_pretty(&file).expect("plain data with string keys") + "\n"
    }

    /// Names from the text of such a file; what is wrong with it, otherwise.
    pub(crate) fn from_json(text: &str) -> std::result::Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|e| e.to_string())?;
        match file.format {
            FORMAT => Ok(Self::new(file.groups)),
            other => Err(format!("format {other} is not readable by this version, which reads {FORMAT}")),
        }
    }
}

/// At most `most` of the classes `0..classes`, evenly, the first and the last among them.
pub fn evenly_chosen(classes: usize, most: usize) -> Vec<usize> {
    if classes <= most || most < 2 {
        return (0..classes.min(most)).collect();
    }
    (0..most).map(|k| k * (classes - 1) / (most - 1)).collect()
}

/// Letters and digits in lower case.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The nearest names for a message; those that hold the wanted letters come first.
fn near(wanted: &str, names: &[String]) -> String {
    let distance = |name: &String| {
        let known = plain(name);
        let within = !wanted.is_empty() && known.contains(wanted);
        if within { 0 } else { strsim::damerau_levenshtein(&known, wanted) }
    };
    let mut near: Vec<(usize, &String)> = names.iter().map(|name| (distance(name), name)).collect();
    near.retain(|(distance, name)| *distance <= plain(name).len().max(wanted.len()).div_ceil(2));
    near.sort_by_key(|(distance, _)| *distance);
    let near: Vec<String> = near.iter().take(NEAR).map(|(_, name)| format!("{name:?}")).collect();
    if near.is_empty() { String::new() } else { format!("; near it: {}", near.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> ClassNames {
        let of = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        ClassNames::new([
            ("class".to_owned(), of(&["PlayingCello", "PlayingGuitar", "Surfing"])),
            ("kind".to_owned(), of(&["a b", "A-B", "c"])),
            ("empty".to_owned(), Vec::new()),
        ])
    }

    #[test]
    fn names_are_found_however_they_are_written() {
        let names = names();
        assert_eq!(names.find("class", "playing guitar").unwrap(), 1);
        assert_eq!(names.find("class", "Surfing").unwrap(), 2);
        assert_eq!(names.find("kind", "A-B").unwrap(), 1);
        assert_eq!((names.name("class", 2), names.name("class", 7)), ("Surfing".to_owned(), "7".to_owned()));
        assert_eq!(names.groups().count(), 2);
    }

    #[test]
    fn mistakes_come_with_what_is_near() {
        let text = |group: &str, name: &str| names().find(group, name).unwrap_err().to_string();
        let guitar = text("class", "plaing guitar");
        assert!(guitar.contains("near it: \"PlayingGuitar\""), "{guitar}");
        assert!(text("class", "guitar").contains("near it: \"PlayingGuitar\""));
        assert!(!text("class", "xyzw").contains("near"));
        assert!(text("kind", "a_b").contains("no class"), "two names differ in signs alone");
        assert!(text("class", "").contains("no class"));
        assert!(text("pose", "up").contains("do not know the names"));
    }

    #[test]
    fn files_come_back_equal_and_others_are_refused() {
        let names = names();
        assert_eq!(ClassNames::from_json(&names.to_json()).unwrap(), names);
        assert!(ClassNames::from_json("{\"format\": 2, \"groups\": {}}").unwrap_err().contains("format 2"));
        assert!(ClassNames::from_json("{").is_err());
    }

    #[test]
    fn the_group_of_a_class_is_the_models_first() {
        let attribute = super::super::Attribute { name: "identity".into(), classes: 2 };
        assert_eq!(names().first_group(&[attribute]), "identity");
        let one = ClassNames::new([("action".to_owned(), vec!["x".to_owned()])]);
        assert_eq!((one.first_group(&[]), names().first_group(&[])), ("action".into(), "class".into()));
    }

    #[test]
    fn classes_are_chosen_evenly() {
        assert_eq!(evenly_chosen(3, 10), [0, 1, 2]);
        assert_eq!(evenly_chosen(101, 5), [0, 25, 50, 75, 100]);
        assert!(evenly_chosen(0, 10).is_empty());
        assert_eq!(evenly_chosen(9, 1), [0]);
    }
}
