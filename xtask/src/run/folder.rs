//! Makes, opens and locks run folders.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Result;
use vg_core::Error;
use vg_core::checkpoint::{CONFIG_FILE, CheckpointReader, newest};
use vg_core::model::Experiment;
use vg_core::train::CHECKPOINTS;

use super::record::write_text;
use crate::console;
use crate::failure::Failure;

/// Where runs are made when no folder is given.
const RUNS: &str = "runs";

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// An existing folder, whatever is in it.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder that [`RunFolder::create`] would make now.
    ///
    /// # Errors
    /// [`Failure`] for a given folder that is in use, errors of the disk.
    pub fn plan(out: Option<&Path>, model: &str, data: &str) -> Result<PathBuf> {
        match out {
            Some(path) => refuse_used(path).map(|()| path.to_path_buf()),
            None => {
                let runs = Path::new(RUNS);
                let number = if runs.exists() { next_number(runs)? } else { 1 };
                Ok(runs.join(folder_name(number, model, data)))
            }
        }
    }

    /// Makes the folder of a new run: `out`, or the next free number below `runs/`. Two processes never get the same.
    ///
    /// # Errors
    /// [`Failure`] for a given folder that is in use, errors of the disk.
    pub fn create(out: Option<&Path>, model: &str, data: &str) -> Result<Self> {
        if let Some(path) = out {
            refuse_used(path)?;
            fs::create_dir_all(path).map_err(Error::io("creating", path))?;
            return Ok(Self::at(path));
        }
        let runs = Path::new(RUNS);
        fs::create_dir_all(runs).map_err(Error::io("creating", runs))?;
        // The lock keeps numbers apart; where folders cannot be locked, creation itself still keeps names apart.
        let lock = File::open(runs).ok();
        let _locked = lock.as_ref().map(File::lock);
        loop {
            let path = runs.join(folder_name(next_number(runs)?, model, data));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self::at(path)),
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("creating", &path)(e).into()),
            }
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Keeps other processes from training here as long as the returned file is open.
    ///
    /// # Errors
    /// [`Failure`] when another process does.
    pub fn lock(&self) -> Result<Option<File>> {
        let Ok(file) = File::open(&self.0) else { return Ok(None) };
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                Err(Failure::new(format!("{} is in use by another process", self.0.display()))
                    .hint("wait until it has ended, or stop it with Ctrl-C")
                    .into())
            }
            // Systems that cannot lock folders go without.
            Err(TryLockError::Error(_)) => Ok(None),
            Ok(()) => Ok(Some(file)),
        }
    }

    /// Writes the resolved configuration in both forms.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write_config(&self, experiment: &dyn Experiment, preset: &str) -> Result<()> {
        write_text(&self.join(CONFIG_FILE), &(experiment.config_file() + "\n"))?;
        let values = toml::to_string(&experiment.config())?;
        let head = format!("# Every value of this run; use it with `--config`.\npreset = {preset:?}\n");
        write_text(&self.join("config.toml"), &format!("{head}{values}"))
    }

    /// The newest sound checkpoint; newer ones that are refused are named in warnings.
    ///
    /// # Errors
    /// [`Failure`] when there is none.
    pub fn newest_checkpoint(&self) -> Result<CheckpointReader> {
        let folder = self.join(CHECKPOINTS);
        let none = |why: &str| {
            Failure::new(format!("{} {why}", self.0.display()))
                .hint("start a new run with `cargo xtask train MODEL`; see `cargo xtask train --help`")
        };
        if !folder.is_dir() {
            return Err(none("has no checkpoints yet").into());
        }
        let found = newest(&folder)?;
        for (path, error) in &found.refused {
            console::warn(format!("checkpoint {} is refused: {error}", path.display()));
        }
        match found.checkpoint {
            Some(checkpoint) => Ok(checkpoint),
            None if found.refused.is_empty() => Err(none("has no checkpoints yet").into()),
            None => Err(none("has no sound checkpoint").into()),
        }
    }

    /// Folders of checkpoints by step, oldest first; temporary ones are left out.
    pub fn checkpoints(&self) -> Vec<PathBuf> {
        sorted_entries(&self.join(CHECKPOINTS))
    }

    /// Folder of the newest clips class by class, of models with classes.
    pub fn class_rows(&self) -> PathBuf {
        self.join("classes")
    }

    /// Sample clips by step, oldest first.
    pub fn samples(&self) -> Vec<PathBuf> {
        sorted_entries(&self.join("samples"))
    }
}

fn sorted_entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut found: Vec<(u64, PathBuf)> = entries.filter_map(|p| Some((step_of(&p)?, p))).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// The number in `step-000100` or `step-000100.gif`.
pub fn step_of(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.strip_prefix("step-")?.parse().ok()
}

fn refuse_used(path: &Path) -> Result<()> {
    let used = match fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_some(),
        Err(e) if e.kind() == ErrorKind::NotFound => false,
        Err(e) => return Err(Error::io("listing", path)(e).into()),
    };
    if !used {
        return Ok(());
    }
    let shown = path.display();
    Err(Failure::new(format!("--out {shown}: the folder is not empty"))
        .hint(format!(
            "continue the run in it with `cargo xtask train --resume {shown}`, or name another folder"
        ))
        .into())
}

fn next_number(runs: &Path) -> Result<u32> {
    let entries = fs::read_dir(runs).map_err(Error::io("listing", runs))?;
    let names = entries.flatten().map(|e| e.file_name());
    let numbers = names.filter_map(|n| n.to_str()?.split('-').next()?.parse::<u32>().ok());
    Ok(numbers.max().unwrap_or(0).saturating_add(1))
}

/// `0007-tgan-shapes`; everything that is no letter or digit in the data set's name becomes a dash.
fn folder_name(number: u32, model: &str, data: &str) -> String {
    let last = data.rsplit('/').find(|part| !part.is_empty()).unwrap_or("data");
    let plain: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let plain = plain.trim_matches('-');
    format!("{number:04}-{model}-{}", if plain.is_empty() { "data" } else { plain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_numbers_go_on() {
        assert_eq!(folder_name(7, "tgan", "shapes"), "0007-tgan-shapes");
        assert_eq!(folder_name(12, "svg", "folder:/home/me/my clips/"), "0012-svg-my-clips");
        assert_eq!(folder_name(1, "svg", "folder:../.."), "0001-svg-data");
        let runs = tempfile::tempdir().unwrap();
        assert_eq!(next_number(runs.path()).unwrap(), 1);
        for name in ["0002-a-b", "0011-a-b", "notes", ".hidden"] {
            fs::create_dir(runs.path().join(name)).unwrap();
        }
        assert_eq!(next_number(runs.path()).unwrap(), 12);
    }

    #[test]
    fn a_folder_in_use_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(dir.path());
        let first = folder.lock().unwrap();
        if first.is_some() {
            assert!(folder.lock().unwrap_err().to_string().contains("in use"));
        }
    }
}
