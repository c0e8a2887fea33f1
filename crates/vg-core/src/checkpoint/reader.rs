//! Opens checkpoints and finds the newest sound one of a run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::de::DeserializeOwned;

use super::manifest::{Manifest, Progress};
use super::{CLASSES_FILE, CONFIG_FILE, MODEL_FILE, TRAIN_TENSORS, TRAIN_VALUES, read_classes, tensors};
use crate::sample::ClassNames;
use crate::{Error, Result};

/// A checkpoint whose files agree with its manifest.
#[derive(Debug)]
pub struct CheckpointReader {
    path: PathBuf,
    manifest: Manifest,
    config: String,
    model: BTreeMap<String, Tensor>,
    train: BTreeMap<String, Tensor>,
    values: BTreeMap<String, serde_json::Value>,
    classes: ClassNames,
}

impl CheckpointReader {
    /// Verifies and reads a checkpoint folder.
    ///
    /// # Errors
    /// [`Error::Format`] or [`Error::Io`] that names the file that is damaged or missing.
    pub fn open(path: &Path) -> Result<Self> {
        let manifest = Manifest::verified(path)?;
        let at = |name: &str| path.join(name);
        let config = fs::read_to_string(at(CONFIG_FILE)).map_err(Error::io("reading", at(CONFIG_FILE)))?;
        let values = fs::read_to_string(at(TRAIN_VALUES)).map_err(Error::io("reading", at(TRAIN_VALUES)))?;
        Ok(Self {
            path: path.to_path_buf(),
            classes: read_classes(&at(CLASSES_FILE))?,
            manifest,
            config,
            model: tensors::read(&at(MODEL_FILE))?,
            train: tensors::read(&at(TRAIN_TENSORS))?,
            values: serde_json::from_str(&values)
                .map_err(|e| Error::format(at(TRAIN_VALUES), e.to_string()))?,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Name of the model.
    pub fn model(&self) -> &str {
        &self.manifest.model
    }

    /// How far the run had come.
    pub fn progress(&self) -> Progress {
        self.manifest.progress
    }

    /// Text of `config.json`.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// Names of the model's classes; none where it has no classes, or no names for them.
    pub fn classes(&self) -> &ClassNames {
        &self.classes
    }

    /// The tensors that sampling needs.
    pub fn model_tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.model
    }

    /// A tensor that only training needs.
    pub fn train_tensor(&self, name: &str) -> Option<&Tensor> {
        self.train.get(name)
    }

    /// All tensors under `prefix.`, without it.
    pub fn train_all(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let strip = |k: &String| k.strip_prefix(prefix)?.strip_prefix('.').map(str::to_owned);
        self.train.iter().filter_map(|(k, t)| Some((strip(k)?, t.clone()))).collect()
    }

    /// A small value.
    ///
    /// # Errors
    /// [`Error::Format`] when it is missing or of another type.
    pub fn value<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let file = || self.path.join(TRAIN_VALUES);
        let value = self.values.get(key).ok_or_else(|| Error::format(file(), format!("{key} is missing")))?;
        serde_json::from_value(value.clone()).map_err(|e| Error::format(file(), format!("{key}: {e}")))
    }
}

/// Result of the search for a run's newest sound checkpoint.
#[derive(Debug)]
pub struct Newest {
    /// The newest one that could be read, if any.
    pub checkpoint: Option<CheckpointReader>,
    /// Newer ones that were refused, with the reason.
    pub refused: Vec<(PathBuf, Error)>,
}

/// Finds the newest sound checkpoint in a run's `checkpoints` folder.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be listed.
pub fn newest(checkpoints: &Path) -> Result<Newest> {
    let mut found = step_folders(checkpoints)?;
    let mut refused = Vec::new();
    while let Some((_, path)) = found.pop() {
        match CheckpointReader::open(&path) {
            Ok(reader) => return Ok(Newest { checkpoint: Some(reader), refused }),
            Err(error) => refused.push((path, error)),
        }
    }
    Ok(Newest { checkpoint: None, refused })
}

/// A run's checkpoint folders with their steps, oldest first, unverified.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be listed.
pub(crate) fn step_folders(checkpoints: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(checkpoints).map_err(Error::io("listing", checkpoints))? {
        let path = entry.map_err(Error::io("listing", checkpoints))?.path();
        if let Some(step) = path.file_name().and_then(|n| n.to_str()?.strip_prefix("step-")?.parse().ok()) {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found)
}
