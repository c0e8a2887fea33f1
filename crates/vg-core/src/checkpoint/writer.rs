//! Collects the state of a run, then writes it atomically.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::Serialize;

use super::manifest::{FORMAT_VERSION, FileEntry, Manifest, Progress};
use super::{CLASSES_FILE, CONFIG_FILE, MANIFEST_FILE, MODEL_FILE, TRAIN_TENSORS, TRAIN_VALUES, tensors};
use crate::sample::ClassNames;
use crate::{Error, Result};

/// The content of a checkpoint in memory.
#[derive(Default)]
pub struct CheckpointWriter {
    model: BTreeMap<String, Tensor>,
    train: BTreeMap<String, Tensor>,
    values: BTreeMap<String, serde_json::Value>,
    classes: ClassNames,
}

impl CheckpointWriter {
    /// Sets the names of the model's classes.
    pub fn classes(&mut self, names: ClassNames) {
        self.classes = names;
    }

    /// Adds a tensor that sampling needs.
    ///
    /// # Errors
    /// [`Error::Weights`] when the name is taken.
    pub fn model(&mut self, name: impl Into<String>, tensor: &Tensor) -> Result<()> {
        insert(&mut self.model, name.into(), tensor)
    }

    /// Adds a tensor that only training needs.
    ///
    /// # Errors
    /// [`Error::Weights`] when the name is taken.
    pub fn train(&mut self, name: impl Into<String>, tensor: &Tensor) -> Result<()> {
        insert(&mut self.train, name.into(), tensor)
    }

    /// Adds many tensors that only training needs, under `prefix.`.
    pub fn train_all(&mut self, prefix: &str, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
        tensors.iter().try_for_each(|(name, t)| self.train(format!("{prefix}.{name}"), t))
    }

    /// Adds a number, a name or another small value.
    pub fn value(&mut self, key: &str, value: &impl Serialize) -> Result<()> {
        let value = serde_json::to_value(value)
            .map_err(|e| Error::Unsupported(format!("{key} cannot be written as JSON: {e}")))?;
        self.values.insert(key.to_owned(), value);
        Ok(())
    }

    /// The tensors that sampling needs.
    pub fn model_tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.model
    }

    /// Writes the folder `path`, replacing one of the same name; until the last rename nothing of it is visible there.
    ///
    /// `config` is the JSON text of `config.json`.
    ///
    /// # Errors
    /// [`Error::Io`]; the temporary folder is then removed and an older checkpoint is untouched.
    pub fn write(&self, path: &Path, model: &str, config: &str, progress: Progress) -> Result<()> {
        let parent = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(Error::io("creating", parent))?;
        let temporary = tempfile::Builder::new()
            .prefix(".tmp-")
            .tempdir_in(parent)
            .map_err(Error::io("creating a folder in", parent))?;
        self.fill(temporary.path(), model, config, progress)?;
        if path.exists() {
            fs::remove_dir_all(path).map_err(Error::io("removing", path))?;
        }
        make_public(temporary.path())?;
        fs::rename(temporary.path(), path).map_err(Error::io("renaming a finished checkpoint to", path))?;
        // The folder has its final name; only the guard that would delete it is left.
        let _ = temporary.keep();
        sync(parent)
    }

    fn fill(&self, folder: &Path, model: &str, config: &str, progress: Progress) -> Result<()> {
        let at = |name: &str| folder.join(name);
        fs::create_dir(at("train")).map_err(Error::io("creating", at("train")))?;
        fs::write(at(CONFIG_FILE), config).map_err(Error::io("writing", at(CONFIG_FILE)))?;
        tensors::write(&at(MODEL_FILE), &self.model)?;
        tensors::write(&at(TRAIN_TENSORS), &self.train)?;
        let values = serde_json::to_string_pretty(&self.values).expect("a map of JSON values");
        fs::write(at(TRAIN_VALUES), values).map_err(Error::io("writing", at(TRAIN_VALUES)))?;
        let mut names = vec![CONFIG_FILE, MODEL_FILE, TRAIN_TENSORS, TRAIN_VALUES];
        if !self.classes.is_empty() {
            fs::write(at(CLASSES_FILE), self.classes.to_json())
                .map_err(Error::io("writing", at(CLASSES_FILE)))?;
            names.push(CLASSES_FILE);
        }
        let mut files = BTreeMap::new();
        for name in names {
            sync(&at(name))?;
            files.insert(name.to_owned(), FileEntry::of(&at(name))?);
        }
        let manifest = Manifest {
            format: FORMAT_VERSION,
            model: model.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            progress,
            files,
        };
        let text = serde_json::to_string_pretty(&manifest).expect("plain data with string keys");
        fs::write(at(MANIFEST_FILE), text).map_err(Error::io("writing", at(MANIFEST_FILE)))?;
        sync(&at(MANIFEST_FILE))?;
        sync(&at("train"))?;
        sync(folder)
    }
}

fn insert(map: &mut BTreeMap<String, Tensor>, name: String, tensor: &Tensor) -> Result<()> {
    if map.insert(name.clone(), tensor.detach()).is_some() {
        return Err(Error::Weights { what: "the saved tensors".into(), problems: format!("{name} twice") });
    }
    Ok(())
}

/// Asks the system to bring a file or folder to the disk.
fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|f| f.sync_all()).map_err(Error::io("syncing", path))
}

/// Temporary folders are private; checkpoints are readable like any other file of the user.
#[cfg(unix)]
fn make_public(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let sub: PathBuf = folder.join("train");
    let mode = fs::metadata(&sub).map_err(Error::io("reading", &sub))?.permissions().mode();
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).map_err(Error::io("writing", folder))
}

#[cfg(not(unix))]
fn make_public(_folder: &Path) -> Result<()> {
    Ok(())
}
