//! Files of weights.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use vg_core::{Error, Result};

/// The tensors of a `.safetensors` file or of PyTorch's zip archives (`.pth`, `.pt`, `.bin`), whose pickled part is parsed, not executed.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    // Tells a missing file from a damaged one.
    drop(std::fs::File::open(path).map_err(Error::io("reading", path))?);
    let damaged =
        |e: candle_core::Error| Error::format(path, format!("not a file of weights, or cut short ({e})"));
    match path.extension().and_then(|e| e.to_str()) {
        Some("safetensors") => {
            let tensors = candle_core::safetensors::load(path, &Device::Cpu).map_err(damaged)?;
            Ok(tensors.into_iter().collect())
        }
        Some("pth" | "pt" | "bin") => {
            Ok(candle_core::pickle::read_all(path).map_err(damaged)?.into_iter().collect())
        }
        _ => Err(Error::format(path, "expected weights as .safetensors, or .pth of PyTorch 1.6 or later")),
    }
}
