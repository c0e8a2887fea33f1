//! Adam with L2 or decoupled weight decay.

use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

use super::group::{Optimizer, tensors};
use crate::Result;
use crate::ops::in_place::{Rule, lerp, update};
use crate::ops::real::Real;

/// How weight decay enters the step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightDecay {
    /// Added to the gradient, `g + wd * p` (Adam as published).
    #[default]
    L2,
    /// Taken off the weight, `p -= lr * wd * p` (AdamW).
    Decoupled,
}

/// Where epsilon stands relative to the bias correction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdamEpsilon {
    /// `m^ / (sqrt(v^) + eps)` with both moments corrected: the paper, PyTorch.
    #[default]
    Corrected,
    /// `lr sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps)`: Torch7, TensorFlow.
    Uncorrected,
}

/// Adam (Kingma and Ba 2015).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// Where it is added.
    pub epsilon: AdamEpsilon,
    /// Strength of the weight decay; 0 for none.
    pub weight_decay: f64,
    /// How the decay enters.
    pub decay: WeightDecay,
}

impl Adam {
    /// The plain form: no weight decay, epsilon 1e-8 after bias correction.
    pub fn new(lr: f64, beta1: f64, beta2: f64) -> Self {
        Self {
            lr,
            beta1,
            beta2,
            eps: 1e-8,
            epsilon: AdamEpsilon::Corrected,
            weight_decay: 0.0,
            decay: WeightDecay::L2,
        }
    }

    /// `(step size, eps)` such that the step is `step size * m / (sqrt(v) + eps)`.
    fn scales(&self, step: u64) -> (f64, f64) {
        let correct1 = 1.0 - self.beta1.powf(step as f64);
        let root2 = (1.0 - self.beta2.powf(step as f64)).sqrt();
        let eps = match self.epsilon {
            AdamEpsilon::Corrected => self.eps * root2,
            AdamEpsilon::Uncorrected => self.eps,
        };
        (self.lr * root2 / correct1, eps)
    }
}

/// The numbers of one step.
struct Step {
    beta1: f64,
    beta2: f64,
    size: f64,
    eps: f64,
    /// Added to the gradient, times the weight.
    l2: f64,
    /// What is left of the weight before the step.
    keep: f64,
}

impl Rule<2> for Step {
    const NAME: &'static str = "Adam";

    #[inline(always)]
    fn apply<T: Real>(&self, param: &mut [T], [mean, square]: [&mut [T]; 2], grad: &[T]) {
        let (beta1, rest1) = (T::of(self.beta1), T::of(1.0 - self.beta1));
        let (beta2, rest2) = (T::of(self.beta2), T::of(1.0 - self.beta2));
        let (size, eps) = (T::of(self.size), T::of(self.eps));
        let (l2, keep) = (T::of(self.l2), T::of(self.keep));
        for (((p, m), v), g) in param.iter_mut().zip(mean).zip(square).zip(grad) {
            let g = if self.l2 == 0.0 { *g } else { *g + l2 * *p };
            *m = lerp(*m, g, beta1, rest1);
            *v = lerp(*v, g * g, beta2, rest2);
            *p = keep * *p - size * (*m / (v.sqrt() + eps));
        }
    }
}

impl Optimizer for Adam {
    fn state_names(&self) -> &'static [&'static str] {
        &["exp_avg", "exp_avg_sq"]
    }

    fn step(&self, param: &Var, grad: &Tensor, state: &[Var], step: u64) -> Result<()> {
        let (size, eps) = self.scales(step);
        let (l2, keep) = match self.decay {
            WeightDecay::L2 => (self.weight_decay, 1.0),
            WeightDecay::Decoupled => (0.0, 1.0 - self.lr * self.weight_decay),
        };
        let rule = Step { beta1: self.beta1, beta2: self.beta2, size, eps, l2, keep };
        update(param.as_tensor(), tensors(state)?, grad, &rule)
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

    fn run(rule: Adam, start: f64, grads: &[f64]) -> f64 {
        let var = |x: f64| Var::new(&[x], &Device::Cpu).unwrap();
        let (p, state) = (var(start), [var(0.0), var(0.0)]);
        for (k, g) in grads.iter().enumerate() {
            let g = Tensor::new(&[*g], &Device::Cpu).unwrap();
            rule.step(&p, &g, &state, k as u64 + 1).unwrap();
        }
        p.to_vec1::<f64>().unwrap()[0]
    }

    /// First steps for a constant gradient in both epsilon conventions (VGAN specification, section 4).
    #[test]
    fn first_steps_of_both_conventions() {
        for (g, torch7, pytorch) in [(1e-4, 1.9937e-4, 1.9998e-4), (1e-7, 4.8051e-5, 1.8182e-4)] {
            let mut rule = Adam::new(2e-4, 0.5, 0.999);
            assert!((run(rule, 0.0, &[g]) + pytorch).abs() < 1e-8);
            rule.epsilon = AdamEpsilon::Uncorrected;
            assert!((run(rule, 0.0, &[g]) + torch7).abs() < 1e-8);
        }
    }

    #[test]
    fn decoupled_decay_shrinks_the_weight_and_l2_changes_the_gradient() {
        let mut rule = Adam::new(0.1, 0.9, 0.999);
        rule.weight_decay = 0.5;
        rule.decay = WeightDecay::Decoupled;
        assert!((run(rule, 2.0, &[0.0]) - 1.9).abs() < 1e-12);
        rule.decay = WeightDecay::L2;
        // The gradient is 0.5 * 2, its first Adam step is lr.
        assert!((run(rule, 2.0, &[0.0]) - 1.9).abs() < 1e-8);
    }
}
