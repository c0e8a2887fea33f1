//! Statistics of real sets, kept between measurements.

use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vg_core::Error as CoreError;

use super::Panel;
use crate::error::{Error, Result};
use crate::features::Features;
use crate::gaussian::Gaussian;
use crate::weights::temporary_in;

/// Changes when the same key would have to stand for other numbers.
const VERSION: u32 = 2;

/// A folder that keeps what Fréchet, kernel and neighbour metrics remember of a real set, so that its clips are looked at once.
///
/// Files are found by the set's description and by everything that the metrics' protocols and network add to it, the hash of the weights
/// included. A damaged file counts as none, and a folder that cannot be written costs no result: [`RealStore::unkept`].
#[derive(Clone, Debug)]
pub struct RealStore {
    folder: PathBuf,
    set: String,
    unkept: OnceLock<String>,
}

/// What was remembered of a real set.
pub(super) struct Known {
    pub(super) clips: usize,
    /// Frames, height, width, channels.
    pub(super) dims: [usize; 4],
    pub(super) numbers: Numbers,
}

/// In memory that the metrics need anyway: a Gaussian does not grow with the set.
pub(super) enum Numbers {
    Gaussian(Gaussian),
    Features(Features),
}

/// First line of a file.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    key: String,
    clips: usize,
    dims: [usize; 4],
    /// Of feature vectors, or 0 for a Gaussian.
    dim: usize,
    /// Of the line with this left empty, and of what follows it.
    sha256: String,
}

impl Header {
    /// Of this header, whose own sum is empty, and a payload.
    fn sum(&self, payload: &[u8]) -> Option<String> {
        let line = serde_json::to_vec(self).ok()?;
        Some(sha256(&[line.as_slice(), payload].concat()))
    }
}

impl RealStore {
    /// A store in `folder`, which is made when it is needed, for the set that `set` describes: everything that decides which pixels its
    /// clips have, such as name and fingerprint of the data set, split, size, frames, number of clips, and seed of their choice.
    pub fn new(folder: impl Into<PathBuf>, set: impl Into<String>) -> Self {
        Self { folder: folder.into(), set: set.into(), unkept: OnceLock::new() }
    }

    /// Why statistics could not be kept, if so; the next measurement looks at the real clips again.
    pub fn unkept(&self) -> Option<&str> {
        self.unkept.get().map(String::as_str)
    }

    /// Keeps statistics, or remembers why not.
    pub(super) fn keep(&self, panel: &Panel, kind: &str, known: &Known) {
        if let Err(error) = self.write(panel, kind, known) {
            self.unkept.get_or_init(|| error.to_string());
        }
    }

    /// The statistics of `kind`, if they are there and sound.
    pub(super) fn read(&self, panel: &Panel, kind: &str) -> Option<Known> {
        let key = self.key(panel, kind)?;
        let content = std::fs::read(self.path(&key)).ok()?;
        let end = content.iter().position(|byte| *byte == b'\n')?;
        let mut header: Header = serde_json::from_slice(&content[..end]).ok()?;
        let payload = &content[end + 1..];
        let found = std::mem::take(&mut header.sha256);
        if header.version != VERSION || header.key != key || found != header.sum(payload)? {
            return None;
        }
        let numbers = match header.dim {
            0 => Numbers::Gaussian(Gaussian::from_bytes(payload).ok()?),
            dim => {
                let rows: Vec<f32> = payload.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
                Numbers::Features(Features::from_rows("the real set", dim, &rows).ok()?)
            }
        };
        Some(Known { clips: header.clips, dims: header.dims, numbers })
    }

    /// Keeps statistics; the file appears whole or not at all.
    fn write(&self, panel: &Panel, kind: &str, known: &Known) -> Result<()> {
        let Some(key) = self.key(panel, kind) else { return Ok(()) };
        let (dim, payload) = match &known.numbers {
            Numbers::Gaussian(gaussian) => (0, gaussian.to_bytes()?),
            // They were f32 when the network gave them.
            Numbers::Features(features) => {
                (features.dim(), features.values().iter().flat_map(|v| (*v as f32).to_le_bytes()).collect())
            }
        };
        let (clips, dims, path) = (known.clips, known.dims, self.path(&key));
        let mut header = Header { version: VERSION, key, clips, dims, dim, sha256: String::new() };
        header.sha256 = header.sum(&payload).unwrap_or_default();
        let header = serde_json::to_string(&header).map_err(|e| CoreError::format(&path, e.to_string()))?;
        std::fs::create_dir_all(&self.folder).map_err(CoreError::io("making the folder", &self.folder))?;
        let temporary = temporary_in(&self.folder).map_err(CoreError::io("writing into", &self.folder));
        let mut temporary = temporary?;
        let mut put = |bytes: &[u8]| temporary.write_all(bytes).map_err(CoreError::io("writing", &path));
        put(header.as_bytes()).and_then(|()| put(b"\n")).and_then(|()| put(&payload))?;
        temporary.persist(&path).map_err(|e| Error::from(CoreError::io("writing", &path)(e.error)))?;
        Ok(())
    }

    /// Everything that the numbers depend on; none without a network.
    fn key(&self, panel: &Panel, kind: &str) -> Option<String> {
        let (network, protocol) = (panel.network.as_ref()?, panel.protocols.first()?);
        Some(format!(
            "{kind} of {}; network {} {:?}; resize {}; frames {:?}; clips {:?}; seed {}",
            self.set,
            network.sha256(),
            network.extractor(),
            protocol.resize,
            protocol.frames,
            protocol.clips_taken(),
            panel.seed,
        ))
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(format!("{}.real", &sha256(key.as_bytes())[..32]))
    }
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
