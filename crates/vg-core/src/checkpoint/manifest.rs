//! The list of a checkpoint's files with sizes and hashes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::MANIFEST_FILE;
use crate::{Error, Result};

/// Version of the folder layout and of the files in it.
pub const FORMAT_VERSION: u32 = 1;

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps made.
    pub step: u64,
    /// Clips drawn from the data so far: the position in the data, and the unit in which batch sizes compare.
    pub clips_seen: u64,
}

/// Contents of `manifest.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the writer.
    pub format: u32,
    /// Name of the model, such as `tgan`.
    pub model: String,
    /// Version of the writing program.
    pub version: String,
    /// How far the run had come.
    pub progress: Progress,
    /// Size and hash by path relative to the checkpoint.
    pub files: BTreeMap<String, FileEntry>,
}

/// One file of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    bytes: u64,
    sha256: String,
}

impl FileEntry {
    /// Size and hash of a file as it is on disk.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let mut file = File::open(path).map_err(Error::io("reading", path))?;
        let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0u64, vec![0u8; 1 << 20]);
        loop {
            let n = file.read(&mut buffer).map_err(Error::io("reading", path))?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
            bytes += n as u64;
        }
        let sha256 = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        Ok(Self { bytes, sha256 })
    }
}

impl Manifest {
    /// Reads the manifest of a checkpoint folder and checks every listed file against it.
    ///
    /// # Errors
    /// [`Error::Format`] that names the damaged file, [`Error::Io`] for one that cannot be read.
    pub(super) fn verified(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST_FILE);
        let text = std::fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
        let manifest: Self = serde_json::from_str(&text)
            .map_err(|e| Error::format(&path, format!("not a manifest, or cut short ({e})")))?;
        if manifest.format != FORMAT_VERSION {
            let problem = format!(
                "format {} is not readable by this version, which reads format {FORMAT_VERSION}",
                manifest.format
            );
            return Err(Error::format(&path, problem));
        }
        for (name, expected) in &manifest.files {
            let file = folder.join(name);
            let found = FileEntry::of(&file)?;
            if found.bytes != expected.bytes {
                let problem =
                    format!("cut short or grown: expected {} bytes, got {}", expected.bytes, found.bytes);
                return Err(Error::format(&file, problem));
            }
            if found.sha256 != expected.sha256 {
                return Err(Error::format(&file, "its content has changed since it was written"));
            }
        }
        Ok(manifest)
    }
}
