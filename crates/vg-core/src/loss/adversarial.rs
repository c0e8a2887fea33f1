//! Losses on the scores of a discriminator.

use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor, bail};

use crate::Result;
use crate::ops::Activation;

/// `log(1 + exp(x))` without overflow, any shape; its gradient is the logistic function, exact also at 0.
pub fn softplus(x: &Tensor) -> Result<Tensor> {
    Ok(crate::grad::apply1(&x.contiguous()?, Softplus)?)
}

/// Binary cross-entropy of logits against one constant label in [0, 1], averaged over all elements: a scalar.
///
/// `-(y log s(x) + (1 - y) log(1 - s(x)))` with the logistic function s; computed as `softplus(x) - y x`.
pub fn bce_with_logits(logits: &Tensor, label: f64) -> Result<Tensor> {
    Ok((softplus(logits)? - (logits * label)?)?.mean_all()?)
}

/// The hinge loss of a discriminator: the means of `max(0, 1 - real)` and of `max(0, 1 + fake)`, added.
///
/// The generator's is `-mean(fake)`. Source: Lim and Ye, "Geometric GAN", 2017.
///
/// # Errors
/// [`Error::Tensor`](crate::Error::Tensor) for no scores.
pub fn hinge(real: &Tensor, fake: &Tensor) -> Result<Tensor> {
    let outside = |margins: Tensor| Ok::<_, crate::Error>(Activation::Relu.apply(&margins)?.mean_all()?);
    Ok((outside(real.affine(-1.0, 1.0)?)? + outside(fake.affine(1.0, 1.0)?)?)?)
}

struct Softplus;

impl CustomOp1 for Softplus {
    fn name(&self) -> &'static str {
        "softplus"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("softplus needs a contiguous tensor")
        };
        let out = match storage {
            CpuStorage::F32(x) => {
                CpuStorage::F32(x[start..end].iter().map(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()).collect())
            }
            CpuStorage::F64(x) => {
                CpuStorage::F64(x[start..end].iter().map(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()).collect())
            }
            _ => bail!("softplus is defined for f32 and f64"),
        };
        Ok((out, layout.shape().clone()))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        // 1 / (1 + exp(-x)) as (1 + tanh(x / 2)) / 2, which does not overflow.
        let logistic = ((arg * 0.5)?.tanh()? + 1.0)? * 0.5;
        Ok(Some((grad * logistic?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn hinges_count_what_lies_inside_the_margin() {
        let real = Var::new(&[1.5f64, 0.2, -0.3], &Device::Cpu).unwrap();
        let fake = Var::new(&[-2f64, 0.4, -0.5], &Device::Cpu).unwrap();
        let loss = hinge(real.as_tensor(), fake.as_tensor()).unwrap();
        assert!((loss.to_scalar::<f64>().unwrap() - 4.0 / 3.0).abs() < 1e-12);
        let grads = loss.backward().unwrap();
        let of = |x: &Var| grads.get(x.as_tensor()).unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(of(&real), [0.0, -1.0 / 3.0, -1.0 / 3.0]);
        assert_eq!(of(&fake), [0.0, 1.0 / 3.0, 1.0 / 3.0]);
    }

    #[test]
    fn values_and_gradients_hold_at_zero_and_far_out() {
        let x = Var::new(&[0f64, 800.0, -800.0], &Device::Cpu).unwrap();
        let y = softplus(x.as_tensor()).unwrap();
        let expected = [std::f64::consts::LN_2, 800.0, 0.0];
        for (got, want) in y.to_vec1::<f64>().unwrap().iter().zip(expected) {
            assert!((got - want).abs() < 1e-12, "{got} {want}");
        }
        let grads = y.sum_all().unwrap().backward().unwrap();
        assert_eq!(grads.get(x.as_tensor()).unwrap().to_vec1::<f64>().unwrap(), [0.5, 1.0, 0.0]);
    }
}
