//! A Gaussian as a file.

use std::collections::HashMap;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{Gaussian, MOST, Moments};
use crate::error::{Error, Result};

const FORMAT: &str = "vg-metrics gaussian";
const VERSION: &str = "1";

impl Gaussian {
    /// The statistics as a safetensors file, for caching; every number exact.
    ///
    /// # Errors
    /// None in practice: the file is built in memory.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let bytes = |v: &[f64]| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
        let parts = [
            ("mean", vec![self.folded.mean.len()], bytes(&self.folded.mean)),
            ("scatter", vec![self.folded.scatter.len()], bytes(&self.folded.scatter)),
            ("pending", vec![self.pending.len() / self.dim, self.dim], bytes(&self.pending)),
        ];
        let views = parts
            .iter()
            .map(|(name, shape, bytes)| Ok((*name, TensorView::new(Dtype::F64, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(damaged)?;
        let meta = [
            ("format", FORMAT.to_owned()),
            ("version", VERSION.to_owned()),
            ("what", self.what.clone()),
            ("dim", self.dim.to_string()),
            ("count", self.folded.count.to_string()),
        ];
        let meta: HashMap<String, String> = meta.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        safetensors::serialize(views, Some(meta)).map_err(damaged)
    }

    /// Reads what [`Gaussian::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Format`] for anything else, damage, or another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
        let meta = header.metadata().clone().unwrap_or_default();
        let text = |key: &str| meta.get(key).map(String::as_str).unwrap_or_default();
        if (text("format"), text("version")) != (FORMAT, VERSION) {
            let found = format!("{:?} version {:?}", text("format"), text("version"));
            return Err(damaged(format!("expected {FORMAT:?} version {VERSION:?}, got {found}")));
        }
        let number =
            |key: &str| text(key).parse::<usize>().map_err(|_| damaged(format!("{key} is no number")));
        let (dim, count) = (number("dim")?, number("count")?);
        let file = SafeTensors::deserialize(bytes).map_err(damaged)?;
        let folded = Moments { count, mean: values(&file, "mean")?, scatter: values(&file, "scatter")? };
        let gaussian = Self {
            folded,
            pending: values(&file, "pending")?,
            ..Self::new(text("what"), dim).map_err(damaged)?
        };
        gaussian.check().map_err(damaged)?;
        Ok(gaussian)
    }

    /// What pushing vectors guarantees, and a file may break.
    fn check(&self) -> Result<(), String> {
        let (dim, pending) = (self.dim, self.pending.len());
        let sizes = (self.folded.mean.len(), self.folded.scatter.len());
        let expected =
            if self.folded.count == 0 { Some((0, 0)) } else { dim.checked_mul(dim).map(|d| (dim, d)) };
        if expected != Some(sizes) || !pending.is_multiple_of(dim) {
            return Err(format!("sizes {}, {}, {pending} do not fit dimension {dim}", sizes.0, sizes.1));
        }
        let rows = pending / dim;
        if rows >= self.block() {
            return Err(format!("{rows} vectors wait to be folded; {} are a block", self.block()));
        }
        match self.folded.count.checked_add(rows) {
            Some(count) if count <= MOST => Ok(()),
            _ => Err(format!("{} and {rows} vectors are more than 2^53", self.folded.count)),
        }
    }
}

/// The numbers of a tensor.
fn values(file: &SafeTensors<'_>, name: &str) -> Result<Vec<f64>> {
    let tensor = file.tensor(name).map_err(damaged)?;
    if tensor.dtype() != Dtype::F64 {
        return Err(damaged(format!("{name} is {:?}, expected F64", tensor.dtype())));
    }
    let (numbers, _) = tensor.data().as_chunks::<8>();
    let values: Vec<f64> = numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    match values.iter().position(|v| !v.is_finite()) {
        Some(place) => Err(damaged(format!("number {place} of {name} is {}", values[place]))),
        None => Ok(values),
    }
}

fn damaged(problem: impl ToString) -> Error {
    Error::Format { what: "stored feature statistics", problem: problem.to_string() }
}
