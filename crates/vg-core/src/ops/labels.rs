//! Maps of whole numbers as network inputs: one channel a class, and the edges of instances. Constants, without gradients.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// Height, width and values of maps `[N, H, W]`.
fn values(what: &'static str, maps: &Tensor) -> Result<(Vec<f64>, usize, usize)> {
    let [_, h, w] = *maps.dims() else { return Err(Error::shape(what, "[N, H, W]", maps.dims())) };
    Ok((maps.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?, h, w))
}

/// One channel a class: channel k is 1 where the label is k, else 0.
///
/// # Shapes
/// - `labels` `[N, H, W]` of whole numbers 0 to `classes - 1`, in any type; returns `[N, classes, H, W]` of `dtype`
///
/// # Errors
/// [`Error::Data`] that names a label outside of this range and where it is; [`Error::Shape`] for another rank.
pub fn one_hot(labels: &Tensor, classes: usize, dtype: DType) -> Result<Tensor> {
    let (values, h, w) = values("label maps", labels)?;
    let plane = h * w;
    let mut out = vec![0u8; values.len() * classes];
    for (at, value) in values.iter().enumerate() {
        let label = *value as usize;
        if label as f64 != *value || label >= classes {
            let (image, y, x) = (at / plane, at % plane / w, at % w);
            return Err(Error::Data(format!(
                "label {value} at row {y}, column {x} of map {image}: the model knows the labels 0 to {}; map others to one of these",
                classes.saturating_sub(1)
            )));
        }
        out[(at / plane * classes + label) * plane + at % plane] = 1;
    }
    let out = Tensor::from_vec(out, (labels.dim(0)?, classes, h, w), labels.device())?;
    Ok(out.to_dtype(dtype)?)
}

/// 1 where one of the four neighbours belongs to another instance, else 0; the border of the image is no edge.
///
/// # Shapes
/// - `instances` `[N, H, W]` of ids, in any type; returns `[N, 1, H, W]` of `dtype`
///
/// # Errors
/// [`Error::Shape`] for another rank.
pub fn instance_edges(instances: &Tensor, dtype: DType) -> Result<Tensor> {
    let (ids, h, w) = values("instance maps", instances)?;
    let mut out = vec![0u8; ids.len()];
    for image in 0..instances.dim(0)? {
        for (y, x) in (0..h).flat_map(|y| (0..w).map(move |x| (y, x))) {
            let at = (image * h + y) * w + x;
            let neighbours = [(x + 1 < w, at + 1), (y + 1 < h, at + w)];
            for (_, next) in neighbours.into_iter().filter(|(inside, next)| *inside && ids[at] != ids[*next])
            {
                (out[at], out[next]) = (1, 1);
            }
        }
    }
    Ok(Tensor::from_vec(out, (instances.dim(0)?, 1, h, w), instances.device())?.to_dtype(dtype)?)
}
