//! Losses on the logits of classes.

use candle_core::{DType, Tensor};

use crate::{Error, Result, expect_dims};

/// Cross-entropy of class logits against labels, averaged over the batch: a scalar, `mean(logsumexp(x) - x[label])`.
///
/// # Shapes
/// - `logits` `[B, K]`; `labels` `[B]` u32
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit, [`Error::Data`] for a label that is not below K.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let batch = labels.dims().first().copied().unwrap_or(0);
    expect_dims!("class logits", logits.dims(), [(batch), K])?;
    let target = one_hot(labels, logits.dim(1)?, logits.dtype())?;
    // Without the largest logit of a row nothing overflows, and nothing else changes.
    let shifted = logits.broadcast_sub(&logits.max_keepdim(1)?.detach())?;
    let log_sums = shifted.exp()?.sum(1)?.log()?;
    let chosen = (&shifted * target)?.sum(1)?;
    Ok((log_sums - chosen)?.mean_all()?)
}

/// Labels `[B]` u32 -> `[B, classes]` with 1 at the label and 0 elsewhere.
///
/// # Errors
/// [`Error::Data`] for a label that is not below `classes`.
pub fn one_hot(labels: &Tensor, classes: usize, dtype: DType) -> Result<Tensor> {
    let ids = labels.to_vec1::<u32>()?;
    let mut values = vec![0f32; ids.len() * classes];
    for (row, &id) in ids.iter().enumerate() {
        if id as usize >= classes {
            return Err(Error::Data(format!(
                "label {id} is not below {classes}, the model's number of classes; set that to the number of classes of the data"
            )));
        }
        values[row * classes + id as usize] = 1.0;
    }
    Ok(Tensor::from_vec(values, (ids.len(), classes), labels.device())?.to_dtype(dtype)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn equal_logits_cost_the_logarithm_of_their_number() {
        for classes in [2usize, 4, 6, 101] {
            let logits = Tensor::zeros((3, classes), DType::F64, &Device::Cpu).unwrap();
            let labels = Tensor::new(&[0u32, 1, 0], &Device::Cpu).unwrap();
            let loss = cross_entropy(&logits, &labels).unwrap().to_scalar::<f64>().unwrap();
            assert!((loss - (classes as f64).ln()).abs() < 1e-12, "{classes}: {loss}");
        }
    }

    #[test]
    fn gradients_are_probabilities_without_the_label() {
        let logits = Var::new(&[[1f64, 2.0, 800.0], [0.5, -0.5, 0.0]], &Device::Cpu).unwrap();
        let labels = Tensor::new(&[2u32, 1], &Device::Cpu).unwrap();
        let loss = cross_entropy(logits.as_tensor(), &labels).unwrap();
        let grads = loss.backward().unwrap();
        let got = grads.get(logits.as_tensor()).unwrap().to_vec2::<f64>().unwrap();
        let e = [0.5f64.exp(), (-0.5f64).exp(), 1.0];
        let sum: f64 = e.iter().sum();
        let want = [[0.0, 0.0, 0.0], [e[0] / sum, e[1] / sum - 1.0, e[2] / sum]];
        for (got, want) in got.concat().iter().zip(want.concat()) {
            assert!((got - want / 2.0).abs() < 1e-12, "{got} {want}");
        }
    }

    #[test]
    fn labels_beyond_the_classes_are_named() {
        let logits = Tensor::zeros((1, 3), DType::F32, &Device::Cpu).unwrap();
        let labels = Tensor::new(&[3u32], &Device::Cpu).unwrap();
        let error = cross_entropy(&logits, &labels).unwrap_err().to_string();
        assert!(error.contains("label 3 is not below 3"), "{error}");
        let two = Tensor::new(&[0u32, 1], &Device::Cpu).unwrap();
        assert!(cross_entropy(&logits, &two).is_err());
    }
}
