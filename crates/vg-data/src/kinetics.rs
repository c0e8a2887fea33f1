//! Kinetics: official lists of YouTube videos, and whatever of them lies in a folder.
//!
//! A list is a CSV file with the columns `label`, `youtube_id`, `time_start`, `time_end` and, if wanted, `split`; further ones are not
//! looked at. A video is `ID_SSSSSS_EEEEEE` with start and end in six digits (`abc_000001_000011.mp4`), or `ID` alone, in any folders: by
//! class, by part, or flat. Videos go away from YouTube, so copies lack many; those are counted and reported. Classes are the labels of
//! all lists that are there, in the order of the alphabet, whatever has a video.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use vg_core::{Error, Result};

use crate::{
    cache::{Group, Item, Recipe},
    dataset::Skipped,
    decode::{Origin, sniff},
    folder::entries,
    open::{OpenOptions, Split},
};

/// Names that the list of a part may have, the first one that is there counts.
const TRAIN: &[&str] = &["train.csv", "kinetics_600_train.csv", "kinetics600_train.csv"];
const VALIDATE: &[&str] = &[
    "validate.csv",
    "val.csv",
    "validation.csv",
    "kinetics_600_validate.csv",
    "kinetics_600_val.csv",
    "kinetics600_validate.csv",
    "kinetics600_val.csv",
];
const TEST: &[&str] = &["test.csv", "kinetics_600_test.csv", "kinetics600_test.csv"];
/// Columns that a list must have.
const COLUMNS: [&str; 4] = ["label", "youtube_id", "time_start", "time_end"];

/// A row of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    label: String,
    id: String,
    /// Seconds.
    start: u32,
    end: u32,
    part: String,
}

impl Row {
    /// The name of its file without the ending.
    fn stem(&self) -> String {
        format!("{}_{:06}_{:06}", self.id, self.start, self.end)
    }
}

/// Whether there is a list of the part.
pub(crate) fn has(folder: &Path, split: Split) -> bool {
    let names = if split == Split::Train { TRAIN } else { VALIDATE };
    list_of(folder, names).is_some()
}

/// The videos below `folder` that the list of the split names: that of training, that of validation or, with the option `test-list`, of
/// testing.
///
/// # Errors
/// [`Error::Data`] when the list or all of its videos are missing, or any of them if strict; [`Error::Format`] for a damaged list;
/// [`Error::Io`].
pub(crate) fn recipe(folder: &Path, options: &OpenOptions) -> Result<Recipe> {
    let OpenOptions { split, strict, test_list, keep_every, .. } = *options;
    let names = match (split, test_list) {
        (Split::Train, _) => TRAIN,
        (Split::Test, false) => VALIDATE,
        (Split::Test, true) => TEST,
    };
    let list = list_of(folder, names).ok_or_else(|| {
        Error::Data(format!(
            "{}: the list of the {split} split is missing; expected is {}",
            folder.display(),
            names.join(" or ")
        ))
    })?;
    let rows = rows_of(&list, names)?;
    let classes = labels(folder)?;
    let files = Files::below(folder)?;
    let (mut items, mut skipped) = (Vec::new(), Vec::new());
    for row in &rows {
        let class = classes.binary_search(&row.label).ok().map(|class| class as u32);
        let Some(class) = class.filter(|_| !row.label.is_empty()) else {
            let problem = format!("{} has no label, so no class can be learned from it", row.stem());
            return Err(Error::format(&list, problem));
        };
        match files.find(row) {
            None => skipped.push(Skipped {
                name: row.stem(),
                problem: "the list names it, but there is no such file".to_owned(),
            }),
            Some(path) => match sniff(path) {
                Ok(Some(format)) => items.push(Item {
                    name: below(folder, path),
                    origin: Origin::File(path.to_path_buf(), format),
                    labels: vec![class],
                }),
                Ok(None) => skipped.push(Skipped {
                    name: below(folder, path),
                    problem: "neither an image nor a video".into(),
                }),
                Err(Error::Format { problem, .. }) if !strict => {
                    skipped.push(Skipped { name: below(folder, path), problem });
                }
                Err(error) => return Err(error),
            },
        }
    }
    if items.is_empty() || (strict && !skipped.is_empty()) {
        let first =
            skipped.first().map_or(String::new(), |s| format!(", the first: {}: {}", s.name, s.problem));
        return Err(Error::Data(format!(
            "{}: {} of the {} videos of {} are missing or broken{first}; expected are files such as LABEL/{}.mp4 in any folders",
            folder.display(),
            skipped.len(),
            rows.len(),
            list.display(),
            rows.first().map_or_else(|| "ID_000001_000011".to_owned(), Row::stem)
        )));
    }
    let groups = vec![Group { name: "class".to_owned(), classes }];
    Ok(Recipe { split, items, groups, skipped, keep_every, ..Recipe::default() })
}

fn list_of(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// Labels of all lists, in order.
fn labels(folder: &Path) -> Result<Vec<String>> {
    let mut labels = BTreeSet::new();
    for names in [TRAIN, VALIDATE, TEST] {
        if let Some(list) = list_of(folder, names) {
            labels.extend(read(&list)?.into_iter().map(|row| row.label).filter(|label| !label.is_empty()));
        }
    }
    Ok(labels.into_iter().collect())
}

/// The rows of a list that are of its part: those of a file for all parts say which they are of.
fn rows_of(list: &Path, names: &[&str]) -> Result<Vec<Row>> {
    let mut rows = read(list)?;
    let accepted: &[&str] = match names[0] {
        "train.csv" => &["train"],
        "test.csv" => &["test"],
        _ => &["validate", "val", "validation"],
    };
    rows.retain(|row| row.part.is_empty() || accepted.contains(&row.part.as_str()));
    if rows.is_empty() {
        let problem = format!("there is no row of the split {}", accepted[0]);
        return Err(Error::format(list, problem));
    }
    Ok(rows)
}

fn below(folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Files by their names without endings.
struct Files(BTreeMap<String, PathBuf>);

impl Files {
    fn below(folder: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        let (mut folders, mut seen) = (vec![folder.to_path_buf()], BTreeSet::new());
        while let Some(folder) = folders.pop() {
            // Links must not lead in circles.
            if !seen.insert(folder.canonicalize().map_err(Error::io("reading the folder", &folder))?) {
                continue;
            }
            for path in entries(&folder)? {
                if path.is_dir() {
                    folders.push(path);
                } else if let Some(stem) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()) {
                    // Of copies in several folders the first in the order of paths.
                    let slot = files.entry(stem).or_insert_with(|| path.clone());
                    if path < *slot {
                        *slot = path;
                    }
                }
            }
        }
        Ok(Self(files))
    }

    fn find(&self, row: &Row) -> Option<&Path> {
        self.0.get(&row.stem()).or_else(|| self.0.get(&row.id)).map(PathBuf::as_path)
    }
}

fn read(path: &Path) -> Result<Vec<Row>> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => Error::format(path, "not a list: it is no text"),
        _ => Error::io("reading", path)(error),
    })?;
    parse(&text).map_err(|problem| Error::format(path, problem))
}

fn parse(text: &str) -> std::result::Result<Vec<Row>, String> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let head = lines.next().map(|(_, line)| fields(line.trim_start_matches('\u{feff}'))).unwrap_or_default();
    let place = |name: &str| head.iter().position(|column| column.trim() == name);
    let missing: Vec<&str> = COLUMNS.into_iter().filter(|name| place(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(format!(
            "the first line lacks the columns {}; expected is label,youtube_id,time_start,time_end,split",
            missing.join(", ")
        ));
    }
    let places = COLUMNS.map(|name| place(name).unwrap_or_default());
    let part = place("split");
    lines
        .map(|(number, line)| {
            let fields = fields(line);
            let field = |at: usize| fields.get(at).map_or("", |field| field.trim()).to_owned();
            let [label, id, start, end] = places.map(field);
            let seconds = |text: &str| {
                text.parse::<f64>().ok().filter(|s| (0.0..1e6).contains(s)).map(|s| s as u32).ok_or_else(
                    || format!("line {}: time {text:?}; expected seconds of 0 to 999999", number + 1),
                )
            };
            if id.is_empty() || id.contains(['/', '\\']) {
                return Err(format!("line {}: {id:?} is no YouTube id", number + 1));
            }
            let (start, end) = (seconds(&start)?, seconds(&end)?);
            Ok(Row { label, id, start, end, part: part.map(field).unwrap_or_default() })
        })
        .collect()
}

/// The fields of a line of CSV; quotes may hold commas, and doubled quotes.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "label,youtube_id,time_start,time_end,split,is_cc\n";

    #[test]
    fn rows_of_official_lists_are_read() {
        let text = format!(
            "\u{feff}{HEAD}abseiling,-0abc_d,1,11,train,0\r\n\n\"dance, slow \"\"x\"\"\",Q-9,280,290,validate,1\n"
        );
        let rows = parse(&text).unwrap();
        assert_eq!(rows[0].stem(), "-0abc_d_000001_000011");
        assert_eq!((rows[1].label.as_str(), rows[1].part.as_str()), ("dance, slow \"x\"", "validate"));
        assert_eq!(
            parse("time_end,time_start,youtube_id,label\n20.0,10.0,a,b").unwrap()[0].stem(),
            "a_000010_000020"
        );
    }

    #[test]
    fn mistakes_in_lists_are_named() {
        let message = |text: &str| parse(text).unwrap_err();
        assert!(message("").contains("lacks the columns label, youtube_id"));
        assert!(message("label,youtube_id,start,end\n").contains("lacks the columns time_start, time_end"));
        assert!(message(&format!("{HEAD}a,b,x,11,train")).contains("line 2: time \"x\""));
        assert!(message(&format!("{HEAD}\na,,1,11,train")).contains("line 3: \"\" is no YouTube id"));
        assert!(message(&format!("{HEAD}a,../b,1,11,train")).contains("no YouTube id"));
        assert!(message(&format!("{HEAD}a,b,1")).contains("time \"\""));
    }
}
