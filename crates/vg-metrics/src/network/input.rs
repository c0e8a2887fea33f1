//! What all networks ask of their input.

use candle_core::{DType, Tensor};
use vg_core::{Error, Result};

/// Refuses input of another rank, without three channels on axis 1, or with values that are not finite.
pub(crate) fn check(what: &'static str, x: &Tensor, expected: &str, rank: usize) -> Result<()> {
    if x.rank() != rank || x.dims()[1] != 3 {
        return Err(Error::shape(what, expected, x.dims()));
    }
    if x.dtype() == DType::U8
        || x.elem_count() == 0
        || x.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?.is_finite()
    {
        return Ok(());
    }
    for (number, item) in each(x).enumerate() {
        if !item?.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?.is_finite() {
            return Err(Error::Data(format!("{what}: number {number} has values that are not finite")));
        }
    }
    Ok(())
}

/// The items of a batch, each as a batch of one.
pub(crate) fn each(batch: &Tensor) -> impl Iterator<Item = Result<Tensor>> {
    (0..batch.dims().first().copied().unwrap_or(0)).map(move |i| Ok(batch.narrow(0, i, 1)?))
}

/// The rows of several results, one after the other.
pub(crate) fn join(parts: &[Tensor]) -> Result<Tensor> {
    if parts.is_empty() {
        return Err(Error::Data("there is nothing to look at: the batch is empty".to_owned()));
    }
    Ok(Tensor::cat(parts, 0)?)
}

/// `(x - mean) / std` of each of three channels, `[N, 3, ...]`.
pub(crate) fn standardise(x: &Tensor, mean: [f32; 3], std: [f32; 3]) -> Result<Tensor> {
    let shape: Vec<usize> = (0..x.rank()).map(|axis| if axis == 1 { 3 } else { 1 }).collect();
    let channel = |values: [f32; 3]| Tensor::new(&values, x.device())?.reshape(shape.as_slice());
    Ok(x.broadcast_sub(&channel(mean)?)?.broadcast_div(&channel(std)?)?)
}
