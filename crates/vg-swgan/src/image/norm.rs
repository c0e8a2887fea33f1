//! Layer norm with ReLU, and its adjoint.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Init, ParamSource, Weights};
use vg_core::ops::Activation;
use vg_core::ops::channel::{channel_affine, channel_dot, channel_scale, channel_shift, channel_sum};
use vg_core::ops::norm::layer_norm;

use super::EPS;

/// Normalises each sample over channels and positions; scale and shift per channel, then ReLU.
pub(super) struct Norm {
    scale: Tensor,
    offset: Tensor,
}

impl Norm {
    pub(super) fn new(source: &ParamSource, channels: usize) -> Result<Self> {
        Ok(Self {
            scale: source.var("scale", &[channels], Init::Ones)?,
            offset: source.var("offset", &[channels], Init::Zeros)?,
        })
    }

    pub(super) fn at(&self, weights: Weights) -> Self {
        Self { scale: weights.see(&self.scale), offset: weights.see(&self.offset) }
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm(x, 1, Some(&self.scale), Some(&self.offset), EPS, Activation::Relu)
    }

    /// The gradient of the input `x` from that of the result `y`: with a the gradient before the scale, n values a sample and r one over
    /// their deviation, `r (a - mean(a) - x_hat mean(a x_hat))`.
    pub(super) fn adjoint(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let a = channel_scale(&Activation::Relu.gradient(y, grad)?, &self.scale)?;
        // One sample a channel.
        let (samples, shape) = (x.dim(0)?, x.dims());
        let n = (x.elem_count() / samples) as f64;
        let rows = |t: &Tensor| t.reshape((1, samples, t.elem_count() / samples));
        let (x, a) = (rows(x)?, rows(&a)?);
        let centred = channel_shift(&x, &channel_sum(&x)?.affine(-1.0 / n, 0.0)?)?;
        let r = channel_dot(&centred, &centred)?.affine(1.0 / n, EPS)?.sqrt()?.recip()?;
        let mean = channel_sum(&a)?.affine(1.0 / n, 0.0)?;
        // r x_hat mean(a x_hat) = centred r^3 mean(a centred).
        let along = (channel_dot(&a, &centred)?.affine(1.0 / n, 0.0)? * (r.sqr()? * &r)?)?;
        let straight = channel_affine(&a, &r, &(mean * &r)?.neg()?)?;
        Ok((straight - channel_scale(&centred, &along)?)?.reshape(shape)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};
    use vg_core::Rng;
    use vg_core::testing::gradcheck::gradcheck;

    #[test]
    fn the_adjoint_is_the_gradient_and_has_one() {
        let normal = |name: &str, shape: &[usize]| {
            Rng::new(8).stream(name).normal_tensor(shape, DType::F64, &Device::Cpu).unwrap()
        };
        let (x, g) = (normal("x", &[2, 3, 2, 2]), normal("g", &[2, 3, 2, 2]));
        let norm = Norm { scale: normal("scale", &[3]), offset: normal("offset", &[3]) };
        let var = Var::from_tensor(&x).unwrap();
        let y = norm.forward(var.as_tensor()).unwrap();
        let grads = (&y * &g).unwrap().sum_all().unwrap().backward().unwrap();
        let got = norm.adjoint(&x, &y, &g).unwrap();
        let worst = (got - grads.get(&var).unwrap()).unwrap().abs().unwrap().max_all().unwrap();
        assert!(worst.to_scalar::<f64>().unwrap() < 1e-12, "{worst}");
        let both = |t: &[Tensor]| {
            let norm = Norm { scale: t[2].clone(), offset: t[3].clone() };
            norm.adjoint(&t[0], &norm.forward(&t[0])?, &t[1])
        };
        let (scale, offset) = (norm.scale, norm.offset);
        // The offset only chooses the ReLU's side: its gradient is zero, and candle leaves zeros of a constant out.
        let of_three = |t: &[Tensor]| both(&[t[0].clone(), t[1].clone(), t[2].clone(), offset.clone()]);
        gradcheck(of_three, &[x, g, scale]).unwrap();
    }
}
