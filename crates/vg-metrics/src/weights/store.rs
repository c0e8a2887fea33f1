//! Our own files: `NAME.safetensors` in one folder, with a record of where they come from.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use vg_core::{Error, Result};

use super::catalogue::Network;
use super::tensors;

/// Key of the record in a file's metadata.
const KEY: &str = "vg-network";
/// Version of the format.
const VERSION: u32 = 1;

/// What the metadata of a file says.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    version: u32,
    network: String,
    sources: Vec<Origin>,
}

/// A file that the weights were converted from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    pub name: String,
    pub bytes: u64,
    pub sha256: String,
}

/// The weights of a network.
#[derive(Clone, Debug)]
pub struct Weights {
    network: Network,
    path: PathBuf,
    sha256: String,
    tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// The network.
    pub fn network(&self) -> Network {
        self.network
    }

    /// SHA-256 in hexadecimal digits, the hash that belongs beside a result: over all tensors in the order of their names, of the length
    /// of the name, the name, the number of axes, their sizes, and the values; lengths as u64 and values as f32, both little-endian. Equal
    /// weights have equal hashes, whatever file they come from.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Where they were read, for messages.
    pub fn source(&self) -> String {
        self.path.display().to_string()
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }
}

/// Where the weights of a network lie in a folder.
fn path(network: Network, folder: &Path) -> PathBuf {
    folder.join(format!("{}.safetensors", network.name()))
}

/// Whether the folder has a file for the network; it is not opened.
pub fn is_present(network: Network, folder: impl AsRef<Path>) -> bool {
    path(network, folder.as_ref()).is_file()
}

/// Reads the weights of a network from the folder that [`convert()`](super::convert()) writes to.
///
/// # Errors
/// [`Error::Data`] that names the command when the file does not exist, [`Error::Io`] when it cannot be read, [`Error::Format`] when it
/// is damaged or holds something else.
pub fn open(network: Network, folder: impl AsRef<Path>) -> Result<Weights> {
    let path = path(network, folder.as_ref());
    let data = match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let (name, path) = (network.name(), path.display());
            let problem =
                format!("the network {name} is missing ({path}); get it with `{}`", network.command());
            return Err(Error::Data(problem));
        }
        data => data.map_err(Error::io("reading", &path))?,
    };
    let again = |problem: String| {
        Error::format(&path, format!("{problem}; delete it and run `{}`", network.command()))
    };
    let (_, header) = SafeTensors::read_metadata(&data).map_err(|e| again(format!("damaged ({e})")))?;
    let record = header.metadata().as_ref().and_then(|m| m.get(KEY));
    let record: Record = match record.map(|json| serde_json::from_str(json)) {
        Some(Ok(record)) => record,
        _ => return Err(again("not weights converted by this program".to_owned())),
    };
    if record.version != VERSION || record.network != network.name() {
        let found = format!("{} in version {}", record.network, record.version);
        return Err(again(format!(
            "expected the network {} in version {VERSION}, got {found}",
            network.name()
        )));
    }
    let tensors = tensors::read(&data).map_err(again)?;
    Ok(Weights { network, path, sha256: digest(&tensors)?, tensors })
}

/// See [`Weights::sha256`].
pub(crate) fn digest(tensors: &BTreeMap<String, Tensor>) -> Result<String> {
    let mut hash = Sha256::new();
    for (name, tensor) in tensors {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update((tensor.rank() as u64).to_le_bytes());
        tensor.dims().iter().for_each(|size| hash.update((*size as u64).to_le_bytes()));
        for values in tensor.flatten_all()?.to_vec1::<f32>()?.chunks(1 << 16) {
            hash.update(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
        }
    }
    Ok(format!("{:x}", hash.finalize()))
}

/// Writes f32 tensors so that the file appears whole or not at all; equal tensors give equal bytes.
pub(super) fn write(
    network: Network,
    folder: &Path,
    tensors: &BTreeMap<String, Tensor>,
    sources: Vec<Origin>,
) -> Result<PathBuf> {
    let path = path(network, folder);
    let record = Record { version: VERSION, network: network.name().to_owned(), sources };
    let damaged = |e: &dyn std::fmt::Display| Error::format(&path, e.to_string());
    let record = serde_json::to_string(&record).map_err(|e| damaged(&e))?;
    // One entry: several would be written in random order.
    let metadata = HashMap::from([(KEY.to_owned(), record)]);
    let content = tensors::to_bytes(tensors, Some(metadata)).map_err(|e| damaged(&e))?;
    std::fs::create_dir_all(folder).map_err(Error::io("making the folder", folder))?;
    let mut temporary = temporary_in(folder).map_err(Error::io("writing into", folder))?;
    let written = temporary.write_all(&content).and_then(|()| temporary.as_file().sync_all());
    written.map_err(Error::io("writing", &path))?;
    temporary.persist(&path).map_err(|e| Error::io("writing", &path)(e.error))?;
    Ok(path)
}

/// A temporary file that others may read, as far as the user's mask allows.
pub(crate) fn temporary_in(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".vg-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}
