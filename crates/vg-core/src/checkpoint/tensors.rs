//! safetensors files with system errors kept apart from format errors.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, View};

use crate::{Error, Result};

struct Bytes {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Bytes {
    fn of(tensor: &Tensor) -> Result<Self> {
        let flat = tensor.to_device(&Device::Cpu)?.flatten_all()?;
        let (dtype, data) = match tensor.dtype() {
            DType::F32 => (Dtype::F32, le_bytes(&flat.to_vec1::<f32>()?, |x| x.to_le_bytes())),
            DType::F64 => (Dtype::F64, le_bytes(&flat.to_vec1::<f64>()?, |x| x.to_le_bytes())),
            DType::U32 => (Dtype::U32, le_bytes(&flat.to_vec1::<u32>()?, |x| x.to_le_bytes())),
            DType::I64 => (Dtype::I64, le_bytes(&flat.to_vec1::<i64>()?, |x| x.to_le_bytes())),
            DType::U8 => (Dtype::U8, flat.to_vec1::<u8>()?),
            other => {
                return Err(Error::Unsupported(format!("checkpoints hold no tensors of type {other:?}")));
            }
        };
        Ok(Self { dtype, shape: tensor.dims().to_vec(), data })
    }
}

fn le_bytes<T: Copy, const N: usize>(values: &[T], bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|x| bytes(*x)).collect()
}

impl View for Bytes {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.data)
    }
    fn data_len(&self) -> usize {
        self.data.len()
    }
}

/// Writes tensors under their names; the file is neither synced nor written atomically.
pub(super) fn write(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<()> {
    let views: Vec<(&String, Bytes)> =
        tensors.iter().map(|(name, t)| Ok((name, Bytes::of(t)?))).collect::<Result<_>>()?;
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize_to_file(views, Some(metadata), path).map_err(|e| match e {
        safetensors::SafeTensorError::IoError(source) => Error::io("writing", path)(source),
        other => Error::format(path, other.to_string()),
    })
}

/// Reads all tensors of a file.
pub(super) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = std::fs::read(path).map_err(Error::io("reading", path))?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| Error::format(path, format!("not a safetensors file, or cut short ({e})")))?;
    Ok(tensors.into_iter().collect())
}
