//! The part of a checkpoint that samples.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::Tensor;

use super::manifest::Manifest;
use super::{CLASSES_FILE, CONFIG_FILE, MANIFEST_FILE, MODEL_FILE, read_classes, tensors};
use crate::sample::ClassNames;
use crate::{Error, Result};

/// Tensors by name, with the configuration of the model that they fit.
#[derive(Clone, Debug)]
pub struct Weights {
    source: String,
    config: String,
    tensors: BTreeMap<String, Tensor>,
    classes: ClassNames,
}

impl Weights {
    /// Reads `config.json`, `model.safetensors` and, if it is there, `classes.json` of a folder, published weights and checkpoints alike; a
    /// checkpoint is verified.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] that names the file.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        if folder.join(MANIFEST_FILE).exists() {
            Manifest::verified(folder)?;
        }
        let weights = Self::from_files(&folder.join(CONFIG_FILE), &folder.join(MODEL_FILE))?;
        Ok(weights.with_classes(read_classes(&folder.join(CLASSES_FILE))?))
    }

    /// With names of the model's classes.
    pub fn with_classes(self, classes: ClassNames) -> Self {
        Self { classes, ..self }
    }

    fn from_files(config: &Path, model: &Path) -> Result<Self> {
        Ok(Self {
            source: model.display().to_string(),
            config: fs::read_to_string(config).map_err(Error::io("reading", config))?,
            tensors: tensors::read(model)?,
            classes: ClassNames::default(),
        })
    }

    /// Weights made in memory; `source` names them in messages.
    pub fn new(
        source: impl Into<String>,
        config: impl Into<String>,
        tensors: BTreeMap<String, Tensor>,
    ) -> Self {
        Self { source: source.into(), config: config.into(), tensors, classes: ClassNames::default() }
    }

    /// Downloads `config.json` and `model.safetensors` of a repository on the Hugging Face hub into its usual cache.
    ///
    /// `repository` is `owner/name`.
    ///
    /// # Errors
    /// [`Error::Data`] when the repository or a file cannot be had.
    #[cfg(feature = "hub")]
    pub fn from_pretrained(repository: &str) -> Result<Self> {
        let fetch = |file: &str| super::hub::fetch(repository, file);
        let weights = Self::from_files(&fetch(CONFIG_FILE)?, &fetch(MODEL_FILE)?)?;
        // Most repositories have no names, and numbers do without.
        let classes =
            fetch(CLASSES_FILE).map_or_else(|_| Ok(ClassNames::default()), |path| read_classes(&path))?;
        Ok(weights.with_classes(classes))
    }

    /// Where the weights come from, for messages.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Text of `config.json`: `{"model": name, "config": {...}}`.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// Names of the model's classes; none where it has no classes, or no names for them.
    pub fn classes(&self) -> &ClassNames {
        &self.classes
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// Writes the folder that [`Weights::open`] reads, each file through a temporary one.
    ///
    /// # Errors
    /// [`Error::Io`] that names the file.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(Error::io("creating", folder))?;
        let replace = |name: &str, fill: &dyn Fn(&Path) -> Result<()>| -> Result<()> {
            let (temporary, path): (PathBuf, PathBuf) =
                (folder.join(format!("{name}.tmp")), folder.join(name));
            fill(&temporary)?;
            fs::File::open(&temporary)
                .and_then(|f| f.sync_all())
                .map_err(Error::io("syncing", &temporary))?;
            fs::rename(&temporary, &path).map_err(Error::io("writing", &path))
        };
        replace(MODEL_FILE, &|p| tensors::write(p, &self.tensors))?;
        if !self.classes.is_empty() {
            let text = self.classes.to_json();
            replace(CLASSES_FILE, &|p| fs::write(p, &text).map_err(Error::io("writing", p)))?;
        }
        replace(CONFIG_FILE, &|p| fs::write(p, &self.config).map_err(Error::io("writing", p)))
    }
}
