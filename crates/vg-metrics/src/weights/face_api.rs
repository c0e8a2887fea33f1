//! Weights of the face-api package: a JSON list of tensors, and one file in which they follow each other, most of them as bytes.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::Deserialize;

use super::budget::{Budget, MOST};
use super::numpy::Tensors;
use super::shape::elements;

#[derive(Deserialize)]
struct Group {
    weights: Vec<Entry>,
    paths: Vec<String>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<Quantization>,
}

/// A value is `scale * byte + min`.
#[derive(Deserialize)]
struct Quantization {
    dtype: String,
    scale: f64,
    min: f64,
}

/// The tensors of a manifest, whose files lie in `folder`.
pub(super) fn read(manifest: &[u8], folder: &Path) -> Result<Tensors, String> {
    read_within(manifest, folder, Budget::new(MOST))
}

fn read_within(manifest: &[u8], folder: &Path, mut budget: Budget) -> Result<Tensors, String> {
    let groups: Vec<Group> =
        serde_json::from_slice(manifest).map_err(|e| format!("not a list of tensors ({e})"))?;
    let (mut tensors, mut seen) = (Tensors::new(), BTreeSet::new());
    for group in &groups {
        let mut bytes = Vec::new();
        for path in &group.paths {
            if path.contains(['/', '\\']) || path.starts_with('.') {
                return Err(format!("{path:?} is no plain file name"));
            }
            if !seen.insert(path) {
                return Err(format!("{path:?} is named twice"));
            }
            let path = folder.join(path);
            let problem = |e: String| format!("{}: {e}", path.display());
            let file = File::open(&path).map_err(|e| problem(e.to_string()))?;
            bytes.extend(budget.read(file).map_err(problem)?);
        }
        let mut rest = &bytes[..];
        for entry in &group.weights {
            let tensor = entry.take(&mut rest).map_err(|e| format!("{}: {e}", entry.name))?;
            tensors.insert(entry.name.clone(), tensor);
        }
        if !rest.is_empty() {
            return Err(format!("{} bytes are left over", rest.len()));
        }
    }
    Ok(tensors)
}

impl Entry {
    /// Reads the tensor from the beginning of `rest` and moves that behind it.
    fn take(&self, rest: &mut &[u8]) -> Result<Tensor, String> {
        let width = match (&*self.dtype, &self.quantization) {
            ("float32", None) => 4,
            ("float32", Some(q)) if q.dtype == "uint8" => 1,
            _ => return Err("elements of an unknown type".to_owned()),
        };
        let bytes = elements(&self.shape).and_then(|count| count.checked_mul(width));
        let parts = bytes.and_then(|count| rest.split_at_checked(count));
        let (bytes, after) = parts.ok_or("the file is cut short")?;
        *rest = after;
        let values: Vec<f32> = match &self.quantization {
            Some(q) => bytes.iter().map(|b| (f64::from(*b) * q.scale + q.min) as f32).collect(),
            None => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        };
        Tensor::from_vec(values, self.shape.as_slice(), &Device::Cpu).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use crate::weights::budget::Budget;

    #[test]
    fn bytes_and_floats_follow_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let json = |path: &str| {
            format!(
                r#"[{{"weights":[{{"name":"a","shape":[2],"dtype":"float32","quantization":{{"dtype":"uint8","scale":0.5,"min":-1}}}},
                {{"name":"b","shape":[1,1],"dtype":"float32"}}],"paths":["{path}"]}}]"#
            )
        };
        let write = |bytes: &[u8]| std::fs::write(folder.path().join("w.bin"), bytes).unwrap();
        write(&[0, 4, 0, 0, 128, 63]);
        let read = |path| super::read(json(path).as_bytes(), folder.path());
        let tensors = read("w.bin").unwrap();
        assert_eq!(tensors["a"].to_vec1::<f32>().unwrap(), [-1.0, 1.0]);
        assert_eq!(tensors["b"].to_vec2::<f32>().unwrap(), [[1.0]]);
        write(&[0; 7]);
        assert!(read("w.bin").unwrap_err().contains("1 bytes are left over"));
        write(&[0; 5]);
        assert!(read("w.bin").unwrap_err().contains("b: the file is cut short"));
        assert!(read("../w.bin").unwrap_err().contains("no plain file name"));
        assert!(read("none.bin").unwrap_err().contains("none.bin"));
        assert!(read("w.bin\",\"w.bin").unwrap_err().contains("\"w.bin\" is named twice"));
        let within = |most| super::read_within(json("w.bin").as_bytes(), folder.path(), Budget::new(most));
        write(&[0; 6]);
        assert_eq!(within(6).unwrap().len(), 2);
        assert!(within(5).unwrap_err().contains("more than 5 bytes"));
        let empty = json("w.bin").replace("[1,1]", &format!("[0,{0},{0}]", usize::MAX));
        assert!(
            super::read(empty.as_bytes(), folder.path()).unwrap_err().contains("b: the file is cut short")
        );
        assert!(super::read(b"{}", folder.path()).unwrap_err().contains("not a list"));
    }
}
