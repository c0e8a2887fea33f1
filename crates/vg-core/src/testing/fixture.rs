//! Golden files: tensors of a reference run with its configuration.
//!
//! A fixture is a safetensors file whose metadata entry `meta` is a JSON object with `config`, `seed`, `entries`, `notes`, `noise` and
//! `values`. Tensor names start with `param.`, `in.`, `out.`, `eval.`, `loss.`, `grad.<loss>.`, `after.` or `after3.`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    model: String,
    config: serde_json::Value,
    #[serde(default)]
    noise: BTreeMap<String, f64>,
}

/// An open golden file.
pub struct Fixture {
    path: PathBuf,
    meta: Meta,
    tensors: BTreeMap<String, Tensor>,
}

impl Fixture {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] for a file that is no fixture or is cut short.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(Error::io("reading", path))?;
        let damaged = |e: String| Error::format(path, format!("not a fixture, or cut short ({e})"));
        let (_, header) =
            safetensors::SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
        let meta = header.metadata().as_ref().and_then(|m| m.get("meta"));
        let meta = meta.ok_or_else(|| damaged("it has no metadata entry \"meta\"".to_owned()))?;
        let meta: Meta = serde_json::from_str(meta).map_err(|e| damaged(e.to_string()))?;
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu);
        let tensors = tensors.map_err(|e| damaged(e.to_string()))?.into_iter().collect();
        Ok(Self { path: path.to_path_buf(), meta, tensors })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Name of the reference model, such as `tgan`.
    pub fn model(&self) -> &str {
        &self.meta.model
    }

    /// The reference configuration.
    ///
    /// # Errors
    /// [`Error::Format`] when fields are missing, unknown or of other types.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.meta.config.clone())
            .map_err(|e| Error::format(&self.path, format!("configuration: {e}")))
    }

    /// Rounding noise of the reference in an entry, 0 where it is small.
    pub fn noise(&self, name: &str) -> f64 {
        self.meta.noise.get(name).copied().unwrap_or(0.0)
    }

    /// Whether the file holds an entry.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// An entry, floats in the given precision.
    ///
    /// # Errors
    /// [`Error::Format`] when it is missing.
    pub fn tensor(&self, name: &str, dtype: DType) -> Result<Tensor> {
        let t =
            self.tensors.get(name).ok_or_else(|| Error::format(&self.path, format!("{name} is missing")))?;
        Ok(if t.dtype().is_float() { t.to_dtype(dtype)? } else { t.clone() })
    }

    /// All entries whose name starts with `prefix`, without it, floats in the given precision.
    pub fn group(&self, prefix: &str, dtype: DType) -> Result<BTreeMap<String, Tensor>> {
        let names = self.tensors.keys().filter_map(|k| Some((k, k.strip_prefix(prefix)?)));
        names.map(|(full, name)| Ok((name.to_owned(), self.tensor(full, dtype)?))).collect()
    }

    /// Names of all entries that hold expected values: everything but inputs and initial parameters.
    pub fn expected(&self) -> BTreeSet<String> {
        let given = |k: &String| k.starts_with("in.") || k.starts_with("param.");
        self.tensors.keys().filter(|k| !given(k)).cloned().collect()
    }
}
