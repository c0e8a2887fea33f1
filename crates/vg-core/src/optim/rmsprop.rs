//! RMSProp.

use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

use super::group::{Optimizer, tensors};
use crate::Result;
use crate::ops::in_place::{Rule, lerp, update};
use crate::ops::real::Real;

/// Where epsilon is added to the root of the squared average `ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EpsilonPlacement {
    /// `g / (sqrt(ms) + eps)`: Chainer, PyTorch.
    #[default]
    Outside,
    /// `g / sqrt(ms + eps)`: TensorFlow.
    Inside,
}

/// RMSProp without momentum, not centred: `ms = alpha ms + (1 - alpha) g^2; p -= lr g / (sqrt(ms) + eps)`, `ms` starting at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RmsProp {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the squared average.
    pub alpha: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Where it is added.
    pub placement: EpsilonPlacement,
}

impl Rule<1> for RmsProp {
    const NAME: &'static str = "RMSProp";

    #[inline(always)]
    fn apply<T: Real>(&self, param: &mut [T], [square]: [&mut [T]; 1], grad: &[T]) {
        let (alpha, rest) = (T::of(self.alpha), T::of(1.0 - self.alpha));
        let (lr, eps) = (T::of(self.lr), T::of(self.eps));
        let inside = self.placement == EpsilonPlacement::Inside;
        for ((p, v), g) in param.iter_mut().zip(square).zip(grad) {
            *v = lerp(*v, *g * *g, alpha, rest);
            let root = if inside { (*v + eps).sqrt() } else { v.sqrt() + eps };
            *p -= lr * (*g / root);
        }
    }
}

impl Optimizer for RmsProp {
    fn state_names(&self) -> &'static [&'static str] {
        &["square_avg"]
    }

    fn step(&self, param: &Var, grad: &Tensor, state: &[Var], _step: u64) -> Result<()> {
        update(param.as_tensor(), tensors(state)?, grad, self)
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn lr(&self) -> f64 {
        self.lr
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// papers: TGAN self-check 7.
    #[test]
    fn first_step_of_a_constant_gradient() {
        let p = Var::new(&[0f64], &Device::Cpu).unwrap();
        let ms = Var::new(&[0f64], &Device::Cpu).unwrap();
        let g = Tensor::new(&[1f64], &Device::Cpu).unwrap();
        let rule = RmsProp { lr: 5e-5, alpha: 0.99, eps: 1e-8, placement: EpsilonPlacement::Outside };
        rule.step(&p, &g, &[ms], 1).unwrap();
        let got = p.to_vec1::<f64>().unwrap()[0];
        assert!((got + 4.999_999_5e-4).abs() < 1e-12, "{got}");
    }
}
