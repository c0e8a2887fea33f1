//! Which parts of a download are complete.

use std::{collections::BTreeMap, io::Write, path::Path};

use serde::{Deserialize, Serialize};
use vg_core::{Error, Result};

use crate::media::write_atomic;

/// Name of the marker in the folder of a data set.
const FILE: &str = ".vg-download.json";

/// The finished parts of one manifest with the names and lengths of their files.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Marker {
    version: u32,
    manifest: String,
    parts: BTreeMap<String, Vec<(String, u64)>>,
}

impl Marker {
    /// The marker of `folder`, or an empty one if it is missing, damaged or of another manifest.
    pub(super) fn read(folder: &Path, manifest: &str) -> Self {
        let text = std::fs::read_to_string(folder.join(FILE)).unwrap_or_default();
        let found = serde_json::from_str(&text).ok();
        let current = found.filter(|marker: &Self| marker.version == 1 && marker.manifest == manifest);
        current.unwrap_or_else(|| Self { version: 1, manifest: manifest.to_owned(), parts: BTreeMap::new() })
    }

    /// Whether a part was finished and its files still have their lengths.
    pub(super) fn has(&self, folder: &Path, part: &str) -> bool {
        let whole =
            |(name, bytes): &(String, u64)| folder.join(name).metadata().is_ok_and(|m| m.len() == *bytes);
        self.parts.get(part).is_some_and(|files| files.iter().all(whole))
    }

    pub(super) fn add(&mut self, part: &str, files: Vec<(String, u64)>) {
        self.parts.insert(part.to_owned(), files);
    }

    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let json = serde_json::to_vec(self).map_err(|e| Error::format(&path, e.to_string()))?;
        write_atomic(&path, |out| out.write_all(&json).map_err(Error::io("writing", &path)))
    }
}
