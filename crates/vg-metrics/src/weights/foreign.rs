//! Files of tensors in whatever form they are published.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;
use vg_core::{Error, Result};

use super::{face_api, numpy, tensors, torch};

/// The floating-point tensors of a file as f32, by the names that they have there.
///
/// Known are safetensors, `torch.save` of a state dictionary (archives and the layout before version 1.6), numpy archives (`.npz`),
/// pickled dictionaries of numpy arrays, and the manifests of the face-api package. The content decides, not the ending. Nothing in a
/// pickle is executed: arrays, tensors and dictionaries are recognised, all else is refused.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Format`] when it is damaged, cut short or of another kind.
pub fn read(path: impl AsRef<Path>) -> Result<BTreeMap<String, Tensor>> {
    let path = path.as_ref();
    let data = std::fs::read(path).map_err(Error::io("reading", path))?;
    parse(path, &data)
}

/// [`read`] of a file whose content is at hand.
pub(super) fn parse(path: &Path, data: &[u8]) -> Result<BTreeMap<String, Tensor>> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let found = match data {
        [b'P', b'K', 3, 4, ..] => archive(data),
        data if data.starts_with(torch::LEGACY) => torch::read_legacy(data),
        [0x80, ..] => numpy::read_pickle(data),
        [b'[', ..] => face_api::read(data, folder),
        [_, _, _, _, _, 0, 0, 0, b'{', ..] => tensors::read(data),
        [0x1f, 0x8b, ..] => {
            Err("a compressed archive; unpack it and name the file of weights inside".to_owned())
        }
        [] => Err("the file is empty".to_owned()),
        _ => Err("not a file of weights of a known kind (safetensors, torch, npz, pickled numpy arrays)"
            .to_owned()),
    };
    match found {
        Ok(tensors) if tensors.is_empty() => Err(Error::format(path, "it holds no floating-point tensors")),
        tensors => tensors.map_err(|problem| Error::format(path, problem)),
    }
}

fn archive(data: &[u8]) -> std::result::Result<BTreeMap<String, Tensor>, String> {
    let zip =
        zip::ZipArchive::new(std::io::Cursor::new(data)).map_err(|e| format!("a damaged archive ({e})"))?;
    let has = |ending: &str| zip.file_names().any(|name| name.is_ok_and(|n| n.ends_with(ending)));
    if has("constants.pkl") {
        return Err(
            "a TorchScript program; save its `state_dict()` with torch.save and convert that".to_owned()
        );
    }
    if has("data.pkl") {
        return torch::read_zip(data);
    }
    if has(".npy") { numpy::read_npz(data) } else { Err("an archive without tensors".to_owned()) }
}
