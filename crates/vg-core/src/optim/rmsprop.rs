//! RMSProp.

use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

use super::group::Optimizer;
use super::in_place::{Zip2, Zip3};
use crate::Result;

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

impl Optimizer for RmsProp {
    fn state_names(&self) -> &'static [&'static str] {
        &["square_avg"]
    }

    fn step(&self, param: &Var, grad: &Tensor, state: &[Var], _step: u64) -> Result<()> {
        let (lr, alpha, eps) = (self.lr, self.alpha, self.eps);
        let (lr32, alpha32, eps32) = (lr as f32, alpha as f32, eps as f32);
        let one_minus32 = (1.0 - alpha) as f32;
        let square_avg = &state[0];
        square_avg.inplace_op2(
            grad,
            &Zip2 {
                name: "rmsprop-average",
                f32: move |v: f32, g: f32| alpha32 * v + one_minus32 * (g * g),
                f64: move |v: f64, g: f64| alpha * v + (1.0 - alpha) * (g * g),
            },
        )?;
        let inside = self.placement == EpsilonPlacement::Inside;
        param.inplace_op3(
            grad,
            square_avg,
            &Zip3 {
                name: "rmsprop-step",
                f32: move |p: f32, g: f32, v: f32| {
                    let root = if inside { (v + eps32).sqrt() } else { v.sqrt() + eps32 };
                    p - lr32 * (g / root)
                },
                f64: move |p: f64, g: f64, v: f64| {
                    let root = if inside { (v + eps).sqrt() } else { v.sqrt() + eps };
                    p - lr * (g / root)
                },
            },
        )?;
        Ok(())
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
