//! List files: one clip a line, its path and, if the clips have classes, a class counted from 1.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, ErrorKind},
    path::{Path, PathBuf},
};

use vg_core::{Error, Result};

use crate::{
    cache::{Group, Item, Recipe},
    dataset::Skipped,
    decode::{Format, Origin, sniff},
    open::Split,
};

/// Names the classes, if it lies beside the list: `ID NAME` a line, as in UCF-101.
pub(crate) const CLASS_NAMES: &str = "classInd.txt";
/// Largest class number; a damaged list must not ask for all memory.
const MAX_CLASS: u32 = 1 << 16;

/// A list and what is done with its files.
pub(crate) struct List<'a> {
    /// Name of the set.
    pub name: String,
    /// The list file.
    pub path: &'a Path,
    /// The folder that its paths start from.
    pub base: PathBuf,
    pub split: Split,
    /// Whether a missing or broken file is an error.
    pub strict: bool,
    /// How a file of a format is read, or what is wrong with it.
    pub origin: fn(PathBuf, Format) -> std::result::Result<Origin, String>,
}

/// A line.
struct Entry {
    line: usize,
    path: String,
    class: Option<u32>,
}

impl List<'_> {
    /// All clips of the list, in its order.
    ///
    /// # Errors
    /// [`Error::Format`] for a damaged list, [`Error::Data`] for one that is empty or whose files are missing, [`Error::Io`].
    pub(crate) fn recipe(self) -> Result<Recipe> {
        let entries = read(self.path)?;
        let classes = self.classes(&entries)?;
        let (mut items, mut skipped, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for (entry, labels) in entries.iter().zip(&classes.labels) {
            match self.open(entry) {
                Ok(Some(origin)) => {
                    items.push(Item {
                        name: entry.path.clone(),
                        origin,
                        labels: labels.iter().copied().collect(),
                    });
                }
                Ok(None) => missing.push(entry),
                Err(Error::Format { problem, .. }) if !self.strict => {
                    skipped.push(Skipped { name: entry.path.clone(), problem });
                }
                Err(error) => return Err(error),
            }
        }
        if !missing.is_empty() && (self.strict || items.is_empty()) {
            return Err(self.missing(&missing));
        }
        let problem = "the list names it, but there is no such file";
        skipped.extend(missing.iter().map(|e| Skipped { name: e.path.clone(), problem: problem.to_owned() }));
        if items.is_empty() {
            let first = skipped.first().map_or(String::new(), |s| format!(": {}: {}", s.name, s.problem));
            return Err(Error::Data(format!("{}: the list names no clip{first}", self.path.display())));
        }
        let groups = classes.group.into_iter().collect();
        Ok(Recipe { name: self.name, split: self.split, items, groups, skipped, ..Recipe::default() })
    }

    /// None for a missing file.
    fn open(&self, entry: &Entry) -> Result<Option<Origin>> {
        let path = self.base.join(&entry.path);
        let format = match sniff(&path) {
            Ok(Some(format)) => format,
            Ok(None) => return Err(Error::format(&path, "neither an image nor a video")),
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        (self.origin)(path.clone(), format).map(Some).map_err(|problem| Error::format(&path, problem))
    }

    fn missing(&self, missing: &[&Entry]) -> Error {
        let first = missing.first().map_or((0, ""), |e| (e.line, e.path.as_str()));
        Error::Data(format!(
            "{}: it names {} files that are missing, the first in line {}: {}; paths start from {}",
            self.path.display(),
            missing.len(),
            first.0,
            first.1,
            self.base.display()
        ))
    }

    /// Classes by the numbers in the list, else by the first folder of each path where [`CLASS_NAMES`] knows them all.
    fn classes(&self, entries: &[Entry]) -> Result<Classes> {
        let none = Classes { group: None, labels: vec![None; entries.len()] };
        let names = class_names(&self.path.with_file_name(CLASS_NAMES))?;
        let numbered = entries.iter().filter(|e| e.class.is_some()).count();
        if numbered == 0 {
            let number_of: BTreeMap<&str, u32> = names.iter().map(|(n, name)| (name.as_str(), *n)).collect();
            let of_folder =
                |e: &Entry| e.path.split_once('/').and_then(|(f, _)| number_of.get(f)).map(|n| Some(n - 1));
            let labels: Option<Vec<_>> = entries.iter().map(of_folder).collect();
            return Ok(match labels {
                Some(labels) if !names.is_empty() => {
                    Classes { group: Some(group(&names, names.len() as u32)), labels }
                }
                _ => none,
            });
        }
        if let Some(bare) = entries.iter().find(|e| e.class.is_none()) {
            let problem = format!("line {} has no class, but {numbered} other lines have one", bare.line);
            return Err(Error::format(self.path, problem));
        }
        let largest = entries.iter().filter_map(|e| e.class).max().unwrap_or(0);
        if !names.is_empty() && largest as usize > names.len() {
            let problem = format!("class {largest}, but {CLASS_NAMES} names {} classes", names.len());
            return Err(Error::format(self.path, problem));
        }
        let labels = entries.iter().map(|e| e.class.map(|n| n - 1)).collect();
        Ok(Classes { group: Some(group(&names, largest.max(names.len() as u32))), labels })
    }
}

struct Classes {
    group: Option<Group>,
    labels: Vec<Option<u32>>,
}

fn group(names: &BTreeMap<u32, String>, count: u32) -> Group {
    let name = |n: u32| names.get(&n).cloned().unwrap_or_else(|| n.to_string());
    Group { name: "class".to_owned(), classes: (1..=count).map(name).collect() }
}

/// The lines of a list; empty ones are left out, further words on a line are not looked at.
fn read(path: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for (number, text) in lines(path)?.into_iter().enumerate() {
        let mut words = text.split_whitespace();
        let Some(file) = words.next() else { continue };
        let class = words.next().map(|word| class(word, path, number + 1)).transpose()?;
        entries.push(Entry { line: number + 1, path: file.to_owned(), class });
    }
    if entries.is_empty() {
        return Err(Error::Data(format!("{}: the list is empty", path.display())));
    }
    Ok(entries)
}

fn lines(path: &Path) -> Result<Vec<String>> {
    let file = File::open(path).map_err(Error::io("reading", path))?;
    BufReader::new(file).lines().collect::<std::io::Result<_>>().map_err(|error| match error.kind() {
        ErrorKind::InvalidData => Error::format(path, "not a list: it is no text"),
        _ => Error::io("reading", path)(error),
    })
}

fn class(word: &str, path: &Path, line: usize) -> Result<u32> {
    word.parse().ok().filter(|n| (1..=MAX_CLASS).contains(n)).ok_or_else(|| {
        Error::format(path, format!("line {line}: class {word:?}; expected a number of 1 to {MAX_CLASS}"))
    })
}

/// Names by number, 1 to their count; empty without the file.
fn class_names(path: &Path) -> Result<BTreeMap<u32, String>> {
    if !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let mut names = BTreeMap::new();
    for (number, text) in lines(path)?.into_iter().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let Some((id, name)) = text.trim().split_once(char::is_whitespace) else {
            return Err(Error::format(path, format!("line {}: expected `ID NAME`", number + 1)));
        };
        names.insert(class(id, path, number + 1)?, name.trim().to_owned());
    }
    if names.last_key_value().is_some_and(|(last, _)| *last as usize != names.len()) {
        return Err(Error::format(path, "its numbers are not 1, 2, 3 and so on"));
    }
    Ok(names)
}
