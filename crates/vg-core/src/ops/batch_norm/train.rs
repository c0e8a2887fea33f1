//! Batch norm in training mode as nodes of candle's graph.

use std::sync::{Arc, OnceLock};

use candle_core::{Result, Shape, Tensor};

use super::super::Activation;
use super::super::op::{Gradients, Op, Operand, Output, binary, ternary, unary, wanted};
use super::super::real::Real;
use super::BatchStats;
use super::backward::{GradSums, backward};
use super::cpu::{self, Affine, Setting};
use super::groups::Groups;
use super::second_order::Graph;

/// `x, gamma, beta -> y`.
pub(super) struct Train {
    groups: Groups,
    eps: f64,
    /// Piecewise linear.
    activation: Activation,
    stats: Arc<OnceLock<Arc<BatchStats>>>,
}

impl Train {
    pub(super) fn new(groups: Groups, eps: f64, activation: Activation) -> Self {
        Self { groups, eps, activation, stats: Arc::default() }
    }

    /// Where the forward pass leaves its statistics.
    pub(super) fn stats(&self) -> Arc<OnceLock<Arc<BatchStats>>> {
        Arc::clone(&self.stats)
    }
}

impl Op<3> for Train {
    const NAME: &'static str = "batch_norm";

    fn run<T: Real>(&self, [x, gamma, beta]: [Operand<'_, T>; 3]) -> Output<T> {
        let affine = Affine { gamma: gamma.data, beta: beta.data };
        let Self { groups, eps, activation, .. } = *self;
        let (y, stats) = cpu::forward(&Setting { groups, affine, eps, activation }, x.data);
        self.stats.get_or_init(|| Arc::new(stats));
        Ok((y, x.shape.clone()))
    }

    fn gradients(&self, [x, gamma, beta]: [&Tensor; 3], _y: &Tensor, grad: &Tensor) -> Gradients<3> {
        let stats = self
            .stats
            .get()
            .cloned()
            .ok_or_else(|| candle_core::Error::msg("batch_norm ran backward first"))?;
        let grad = grad.contiguous()?;
        let past = Past {
            groups: self.groups,
            stats,
            eps: self.eps,
            activation: self.activation,
            x: x.detach(),
            gamma: gamma.detach(),
            beta: beta.detach(),
            sums: Arc::default(),
        };
        let d_x = wanted(x, || Ok(ternary(x, gamma, &grad, InputGrad(past.clone()))?))?;
        if d_x.is_none() {
            binary(&past.x, &grad.detach(), SumsOnly(past.clone()))?;
        }
        let d_gamma = wanted(gamma, || Ok(binary(x, &grad, GammaGrad(past.clone()))?))?;
        let d_beta = wanted(beta, || Ok(unary(&grad, BetaGrad(past))?))?;
        Ok([d_x, d_gamma, d_beta])
    }
}

/// The forward pass as its derivatives see it.
#[derive(Clone)]
pub(super) struct Past {
    pub groups: Groups,
    stats: Arc<BatchStats>,
    pub eps: f64,
    pub activation: Activation,
    /// Constants, only to tell on which side of the activation's kink each element lies.
    pub x: Tensor,
    pub gamma: Tensor,
    pub beta: Tensor,
    /// By-product of the input gradient.
    sums: Arc<OnceLock<GradSums>>,
}

impl Past {
    fn backward<T: Real>(&self, x: &[T], grad: &[T], input_wanted: bool) -> Result<Vec<T>> {
        let (gamma, beta) = (self.gamma.to_vec1::<T>()?, self.beta.to_vec1::<T>()?);
        let setting = Setting {
            groups: self.groups,
            affine: Affine { gamma: &gamma, beta: &beta },
            eps: self.eps,
            activation: self.activation,
        };
        let (dx, sums) = backward(&setting, &self.stats, x, grad, input_wanted);
        self.sums.get_or_init(|| sums);
        Ok(dx)
    }

    /// One of the sums of each scale and shift.
    fn sums<T: Real>(&self, which: usize) -> Output<T> {
        let sums =
            self.sums.get().ok_or_else(|| candle_core::Error::msg("batch_norm sums are not there yet"))?;
        let values: Vec<T> = sums.iter().map(|sums| T::of(sums[which])).collect();
        let n = values.len();
        Ok((values, Shape::from(n)))
    }
}

/// Runs the sums alone; its result is not used.
struct SumsOnly(Past);

impl Op<2> for SumsOnly {
    const NAME: &'static str = "batch_norm gradient sums";

    fn run<T: Real>(&self, [x, g]: [Operand<'_, T>; 2]) -> Output<T> {
        Ok((self.0.backward(x.data, g.data, false)?, Shape::from(0)))
    }
}

/// `x, gamma, g -> dx`.
struct InputGrad(Past);

impl Op<3> for InputGrad {
    const NAME: &'static str = "batch_norm input gradient";

    fn run<T: Real>(&self, [x, _gamma, g]: [Operand<'_, T>; 3]) -> Output<T> {
        Ok((self.0.backward(x.data, g.data, true)?, x.shape.clone()))
    }

    fn gradients(&self, [x, gamma, g]: [&Tensor; 3], _dx: &Tensor, grad: &Tensor) -> Gradients<3> {
        Ok(Graph::new(&self.0, x)?.input_grad(gamma, g, grad)?)
    }
}

/// `x, g -> d gamma`, read from the by-product.
struct GammaGrad(Past);

impl Op<2> for GammaGrad {
    const NAME: &'static str = "batch_norm gamma gradient";

    fn run<T: Real>(&self, [_x, _g]: [Operand<'_, T>; 2]) -> Output<T> {
        self.0.sums(1)
    }

    fn gradients(&self, [x, g]: [&Tensor; 2], _d_gamma: &Tensor, grad: &Tensor) -> Gradients<2> {
        Ok(Graph::new(&self.0, x)?.gamma_grad(g, grad)?)
    }
}

/// `g -> d beta`, read from the by-product.
struct BetaGrad(Past);

impl Op<1> for BetaGrad {
    const NAME: &'static str = "batch_norm beta gradient";

    fn run<T: Real>(&self, [_g]: [Operand<'_, T>; 1]) -> Output<T> {
        self.0.sums(0)
    }

    fn gradients(&self, [_g]: [&Tensor; 1], _d_beta: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(Graph::new(&self.0, &self.0.x)?.beta_grad(grad)?)])
    }
}
