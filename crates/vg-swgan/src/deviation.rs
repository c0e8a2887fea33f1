//! Minibatch standard deviation, and its adjoint.

use candle_core::Tensor;
use vg_core::Result;

/// Added to the variance.
const EPS: f64 = 1e-8;

/// What a pass leaves for its adjoint: the activations about their mean over the group, and their deviations.
pub(crate) struct Deviation {
    /// `[group, subsets, C, T, H, W]`.
    centred: Tensor,
    /// `[1, subsets, C, T, H, W]`.
    spread: Tensor,
}

/// Appends to `x` `[B, C, T, H, W]` a channel that holds, for each subset of samples, the mean over channels and positions of the standard
/// deviation over its samples: `[B, C + 1, T, H, W]`.
///
/// Source: specification, section 2.2. Subsets have `min(group, B)` samples, which must divide B; sample n is in subset
/// `n mod (B / group)`.
pub(crate) fn append(x: &Tensor, group: usize) -> Result<(Tensor, Deviation)> {
    let (b, c, t, h, w) = x.dims5()?;
    let group = group.min(b);
    let grouped = x.reshape(&[group, b / group, c, t, h, w][..])?;
    let centred = grouped.broadcast_sub(&grouped.mean_keepdim(0)?)?;
    let spread = (centred.sqr()?.mean_keepdim(0)? + EPS)?.sqrt()?;
    let mean = spread.flatten_from(2)?.mean(2)?;
    let channel =
        mean.reshape(&[1, b / group, 1, 1, 1, 1][..])?.broadcast_as(&[group, b / group, 1, t, h, w][..])?;
    let channel = channel.reshape((b, 1, t, h, w))?;
    Ok((Tensor::cat(&[x, &channel], 1)?, Deviation { centred, spread }))
}

impl Deviation {
    /// The gradient of the input `[B, C, T, H, W]` from that of the result: its own part, and `U y / (sd K g)` with the sum U of the last
    /// channel's gradient over a subset, the centred input y, its deviation sd, K elements a sample and g samples (section 3.1).
    pub(crate) fn adjoint(&self, grad: &Tensor) -> Result<Tensor> {
        let (b, all, t, h, w) = grad.dims5()?;
        let (c, group) = (all - 1, self.centred.dim(0)?);
        let own = grad.narrow(1, 0, c)?;
        let last = grad.narrow(1, c, 1)?.reshape((group, b / group, t * h * w))?;
        let sum = last.sum_keepdim(2)?.sum_keepdim(0)?;
        let sum = (sum / (c * t * h * w * group) as f64)?.reshape(&[1, b / group, 1, 1, 1, 1][..])?;
        let factor = sum.broadcast_div(&self.spread)?;
        let through = self.centred.broadcast_mul(&factor)?.reshape((b, c, t, h, w))?;
        Ok((own + through)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};
    use vg_core::Rng;
    use vg_core::testing::gradcheck::gradcheck;

    fn normal(name: &str, shape: &[usize]) -> Tensor {
        Rng::new(2).stream(name).normal_tensor(shape, DType::F64, &Device::Cpu).unwrap()
    }

    /// Section 12.1, item 8.
    #[test]
    fn equal_samples_deviate_by_the_epsilon_alone() {
        let x = normal("x", &[1, 2, 2, 2, 2]).broadcast_as((4, 2, 2, 2, 2)).unwrap().contiguous().unwrap();
        let (y, _) = append(&x, 4).unwrap();
        let last = y.narrow(1, 2, 1).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
        assert!(last.iter().all(|v| (v - 1e-4).abs() < 1e-9), "{last:?}");
    }

    #[test]
    fn the_adjoint_is_the_gradient_and_has_one() {
        let (x, g) = (normal("x", &[4, 2, 1, 2, 2]), normal("g", &[4, 3, 1, 2, 2]));
        let var = Var::from_tensor(&x).unwrap();
        let (y, deviation) = append(var.as_tensor(), 2).unwrap();
        let grads = (y * &g).unwrap().sum_all().unwrap().backward().unwrap();
        let want = grads.get(&var).unwrap();
        let got = deviation.adjoint(&g).unwrap();
        let worst = (got - want).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
        assert!(worst < 1e-12, "{worst}");
        gradcheck(|t| append(&t[0], 2)?.1.adjoint(&t[1]), &[x, g]).unwrap();
    }
}
