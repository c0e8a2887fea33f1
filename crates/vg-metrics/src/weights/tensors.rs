//! Tensors of a safetensors file.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::numpy::Tensors;
use super::shape::elements;

/// The floating-point tensors of a file as f32; others, such as counts of batches, say nothing about weights.
pub(crate) fn read(data: &[u8]) -> Result<Tensors, String> {
    let file = SafeTensors::deserialize(data).map_err(|e| e.to_string())?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        let dtype = match view.dtype() {
            Dtype::F16 => DType::F16,
            Dtype::BF16 => DType::BF16,
            Dtype::F32 => DType::F32,
            Dtype::F64 => DType::F64,
            _ => continue,
        };
        elements(view.shape())
            .ok_or_else(|| format!("{name} has the impossible shape {:?}", view.shape()))?;
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu);
        let tensor = tensor.and_then(|t| t.to_dtype(DType::F32)).map_err(|e| format!("{name}: {e}"))?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(tensors)
}

/// A file of tensors as f32; equal tensors give equal bytes, as long as there is one entry of metadata at most.
pub(crate) fn to_bytes(
    tensors: &Tensors,
    metadata: Option<HashMap<String, String>>,
) -> Result<Vec<u8>, String> {
    let mut bytes: Vec<(&str, &[usize], Vec<u8>)> = Vec::new();
    for (name, tensor) in tensors {
        let values =
            tensor.flatten_all().and_then(|t| t.to_vec1::<f32>()).map_err(|e| format!("{name}: {e}"))?;
        bytes.push((name, tensor.dims(), values.iter().flat_map(|v| v.to_le_bytes()).collect()));
    }
    let views = bytes
        .iter()
        .map(|(name, shape, data)| Ok((*name, TensorView::new(Dtype::F32, shape.to_vec(), data)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>().map_err(|e| e.to_string())?;
    safetensors::serialize(views, metadata).map_err(|e| e.to_string())
}
