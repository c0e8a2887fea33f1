//! Which video goes where, and the lists of what came out.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use vg_core::{Error, Result};

use super::Method;
use crate::{
    cache::{Item, Recipe},
    dataset::Skipped,
    decode::{Format, Origin},
    list::CLASS_NAMES,
    media::write_atomic,
};

/// What the clips of a folder were made with.
const SETTINGS: &str = "stabilize.json";
/// Version of that file.
const VERSION: u32 = 1;

/// A video.
pub(super) struct Task {
    /// As in the set.
    pub name: String,
    pub path: PathBuf,
    /// Of its clips, below the folder of all results.
    pub folder: PathBuf,
    /// Its list.
    list: usize,
    /// Counted from 1.
    class: Option<usize>,
}

/// All videos in order.
pub(super) struct Plan {
    pub to: PathBuf,
    pub videos: Vec<Task>,
    pub skipped: Vec<Skipped>,
    lists: Vec<PathBuf>,
    classes: Vec<String>,
}

/// What [`Plan::write_lists`] found finished.
#[derive(Default)]
pub(super) struct Written {
    pub finished: usize,
    pub clips: usize,
    pub short: usize,
    pub lists: Vec<PathBuf>,
}

impl Plan {
    pub(super) fn new(sets: &[Recipe], to: &Path) -> Result<Self> {
        let lists = match sets {
            [_] => vec![to.join("list.txt")],
            _ => sets.iter().map(|set| to.join(format!("{}.txt", set.split))).collect(),
        };
        let classes: BTreeSet<&String> =
            sets.iter().filter_map(|s| s.groups.first()).flat_map(|g| &g.classes).collect();
        let same = |g: &&[String]| g.len() == classes.len();
        // The order of a set that has them all, such as an official one, else that of their names.
        let given = sets.iter().filter_map(|s| s.groups.first()).map(|g| &g.classes[..]).find(same);
        let classes = match given {
            Some(given) => given.to_vec(),
            None => classes.into_iter().cloned().collect(),
        };
        let mut plan = Self { to: to.to_path_buf(), videos: Vec::new(), skipped: Vec::new(), lists, classes };
        for (list, set) in sets.iter().enumerate() {
            plan.skipped.extend_from_slice(&set.skipped);
            let prefix = if sets.len() > 1 { PathBuf::from(set.split.to_string()) } else { PathBuf::new() };
            set.items.iter().for_each(|item| plan.add(set, item, list, &prefix));
        }
        plan.check()?;
        Ok(plan)
    }

    fn add(&mut self, set: &Recipe, item: &Item, list: usize, prefix: &Path) {
        let path = match &item.origin {
            Origin::File(path, Format::Video | Format::Y4m | Format::Gif) => path.clone(),
            _ => {
                let problem = "no video; mp4, avi, mkv, webm, mov, mpeg, Y4M and GIF are".to_owned();
                self.skipped.push(Skipped { name: item.name.clone(), problem });
                return;
            }
        };
        let name = item.labels.first().and_then(|l| set.groups.first()?.classes.get(*l as usize));
        let class = name.and_then(|name| self.classes.iter().position(|c| c == name)).map(|i| i + 1);
        let folder = prefix.join(plain(&item.name));
        self.videos.push(Task { name: item.name.clone(), path, folder, list, class });
    }

    fn check(&self) -> Result<()> {
        if self.videos.is_empty() {
            let first =
                self.skipped.first().map_or(String::new(), |s| format!(": {}: {}", s.name, s.problem));
            return Err(Error::Data(format!("there are no videos{first}")));
        }
        let mut seen = BTreeMap::new();
        for video in &self.videos {
            if let Some(other) = seen.insert(&video.folder, &video.name) {
                return Err(Error::Data(format!(
                    "{other:?} and {:?} would both go to {}; rename one",
                    video.name,
                    video.folder.display()
                )));
            }
        }
        Ok(())
    }

    /// Writes the lists, and the names of classes, of all clips that are there.
    pub(super) fn write_lists(&self, to: &Path) -> Result<Written> {
        let mut texts = vec![String::new(); self.lists.len()];
        let mut written = Written { lists: self.lists.clone(), ..Written::default() };
        for video in &self.videos {
            let Some(clips) = clips(&to.join(&video.folder))? else { continue };
            written.finished += 1;
            written.short += usize::from(clips.is_empty());
            written.clips += clips.len();
            let folder = slashes(&video.folder);
            let class = video.class.map_or(String::new(), |class| format!(" {class}"));
            clips.iter().for_each(|clip| texts[video.list] += &format!("{folder}/{clip}{class}\n"));
        }
        for (path, text) in self.lists.iter().zip(&texts) {
            write_text(path, text)?;
        }
        if !self.classes.is_empty() {
            let names = self.classes.iter().enumerate().map(|(i, name)| format!("{} {name}\n", i + 1));
            write_text(&to.join(CLASS_NAMES), &names.collect::<String>())?;
        }
        Ok(written)
    }
}

/// Notes what the clips are made with, or compares it with what is noted.
pub(super) fn settle(to: &Path, method: Method, size: usize) -> Result<()> {
    #[derive(PartialEq, Eq, Serialize, Deserialize)]
    struct Settings {
        version: u32,
        method: Method,
        size: usize,
    }
    let path = to.join(SETTINGS);
    let now = Settings { version: VERSION, method, size };
    if path.is_file() {
        let text = std::fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
        let noted: Settings = serde_json::from_str(&text).map_err(|e| Error::format(&path, e.to_string()))?;
        if noted == now {
            return Ok(());
        }
        return Err(Error::Data(format!(
            "{}: its clips were made with {} at {} pixels, not with {} at {size}; name another folder",
            to.display(),
            noted.method.name(),
            noted.size,
            method.name()
        )));
    }
    let json = serde_json::to_string(&now).map_err(|e| Error::format(&path, e.to_string()))?;
    write_text(&path, &json)
}

/// Names of the clips in a finished folder.
fn clips(folder: &Path) -> Result<Option<Vec<String>>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    let entries = std::fs::read_dir(folder).map_err(Error::io("reading the folder", folder))?;
    let mut names = entries
        .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(Error::io("reading the folder", folder))?;
    names.retain(|name| name.ends_with(".jpg"));
    names.sort();
    Ok(Some(names))
}

/// A relative path without blanks, which end a path in a list, and that leads nowhere else.
fn plain(name: &str) -> PathBuf {
    let parts = Path::new(name).components().filter_map(|part| match part {
        Component::Normal(part) => Some(part.to_string_lossy().replace(char::is_whitespace, "_")),
        _ => None,
    });
    parts.collect()
}

fn slashes(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn write_text(path: &Path, text: &str) -> Result<()> {
    write_atomic(path, |out| out.write_all(text.as_bytes()).map_err(Error::io("writing", path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_no_blanks_and_stay_below() {
        assert_eq!(plain("a b/my clip.avi"), PathBuf::from("a_b/my_clip.avi"));
        assert_eq!(plain("../../etc/x.avi"), PathBuf::from("etc/x.avi"));
        assert_eq!(plain("/etc/x.avi"), PathBuf::from("etc/x.avi"));
    }

    #[test]
    fn other_settings_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        settle(folder.path(), Method::Vidstab, 128).unwrap();
        settle(folder.path(), Method::Vidstab, 128).unwrap();
        let message = settle(folder.path(), Method::Deshake, 128).unwrap_err().to_string();
        assert!(message.contains("with vidstab at 128 pixels, not with deshake at 128"), "{message}");
    }
}
