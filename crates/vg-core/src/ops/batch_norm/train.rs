//! Batch norm in training mode as nodes of candle's graph.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use super::super::Activation;
use super::super::real::{Real, by_dtype, slice};
use super::super::reduce::View;
use super::BatchStats;
use super::cpu::{self, Affine, GradSums, Saved};
use super::second_order::Graph;
use crate::grad::{apply1, apply2, apply3};

/// `x, gamma, beta -> y`.
pub(super) struct Train {
    view: View,
    eps: f64,
    /// Piecewise linear.
    activation: Activation,
    stats: Arc<OnceLock<Arc<BatchStats>>>,
}

impl Train {
    pub(super) fn new(view: View, eps: f64, activation: Activation) -> Self {
        Self { view, eps, activation, stats: Arc::default() }
    }

    /// Where the forward pass leaves its statistics.
    pub(super) fn stats(&self) -> Arc<OnceLock<Arc<BatchStats>>> {
        Arc::clone(&self.stats)
    }
}

impl CustomOp3 for Train {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "batch_norm", T => {
            let affine = Affine::<T> { gamma: slice(s2, l2)?, beta: slice(s3, l3)? };
            let (y, stats) = cpu::forward(self.view, slice(s1, l1)?, affine, self.eps, self.activation);
            self.stats.get_or_init(|| Arc::new(stats));
            Ok((T::to_cpu_storage_owned(y), l1.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let stats = self
            .stats
            .get()
            .cloned()
            .ok_or_else(|| candle_core::Error::msg("batch_norm ran backward first"))?;
        let grad = grad.contiguous()?;
        let past = Past {
            view: self.view,
            stats,
            eps: self.eps,
            activation: self.activation,
            x: x.detach(),
            gamma: gamma.detach(),
            beta: beta.detach(),
            sums: Arc::default(),
        };
        let d_x = if x.track_op() {
            Some(apply3(x, gamma, &grad, InputGrad(past.clone()))?)
        } else {
            past.compute_sums(&grad)?;
            None
        };
        let d_gamma = if gamma.track_op() { Some(apply2(x, &grad, GammaGrad(past.clone()))?) } else { None };
        let d_beta = if beta.track_op() { Some(apply1(&grad, BetaGrad(past))?) } else { None };
        Ok((d_x, d_gamma, d_beta))
    }
}

/// The forward pass as its derivatives see it.
#[derive(Clone)]
pub(super) struct Past {
    pub view: View,
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
    /// The sums without the input gradient.
    fn compute_sums(&self, grad: &Tensor) -> Result<()> {
        self.x.apply_op2_no_bwd(grad, &SumsOnly(self.clone())).map(|_| ())
    }

    fn backward<T: Real>(
        &self,
        x: (&CpuStorage, &Layout),
        grad: (&CpuStorage, &Layout),
        input_wanted: bool,
    ) -> Result<Vec<T>> {
        let (gamma, beta) = (self.gamma.to_vec1::<T>()?, self.beta.to_vec1::<T>()?);
        let saved = Saved {
            stats: &self.stats,
            affine: Affine { gamma: &gamma, beta: &beta },
            eps: self.eps,
            activation: self.activation,
        };
        let (x, grad) = (slice(x.0, x.1)?, slice(grad.0, grad.1)?);
        let (dx, sums) = cpu::backward(self.view, x, grad, saved, input_wanted);
        self.sums.get_or_init(|| sums);
        Ok(dx)
    }

    fn vector<T: Real>(&self, pick: impl Fn(&GradSums) -> &Vec<f64>) -> Result<(CpuStorage, Shape)> {
        let sums =
            self.sums.get().ok_or_else(|| candle_core::Error::msg("batch_norm sums are not there yet"))?;
        let values: Vec<T> = pick(sums).iter().map(|v| T::of(*v)).collect();
        let n = values.len();
        Ok((T::to_cpu_storage_owned(values), Shape::from(n)))
    }
}

/// Runs the sums alone; its result is not used.
struct SumsOnly(Past);

impl CustomOp2 for SumsOnly {
    fn name(&self) -> &'static str {
        "batch_norm gradient sums"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "batch_norm", T => {
            let nothing = self.0.backward::<T>((s1, l1), (s2, l2), false)?;
            Ok((T::to_cpu_storage_owned(nothing), Shape::from(0)))
        })
    }
}

/// `x, gamma, g -> dx`.
struct InputGrad(Past);

impl CustomOp3 for InputGrad {
    fn name(&self) -> &'static str {
        "batch_norm input gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        _s2: &CpuStorage,
        _l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "batch_norm", T => {
            let dx = self.0.backward::<T>((s1, l1), (s3, l3), true)?;
            Ok((T::to_cpu_storage_owned(dx), l1.shape().clone()))
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        g: &Tensor,
        _dx: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        Ok(Graph::new(&self.0, x)?.input_grad(gamma, g, grad)?)
    }
}

/// `x, g -> d gamma`, read from the by-product.
struct GammaGrad(Past);

impl CustomOp2 for GammaGrad {
    fn name(&self) -> &'static str {
        "batch_norm gamma gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        _l1: &Layout,
        _s2: &CpuStorage,
        _l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "batch_norm", T => self.0.vector::<T>(|s| &s.normalised))
    }

    fn bwd(
        &self,
        x: &Tensor,
        g: &Tensor,
        _d_gamma: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok(Graph::new(&self.0, x)?.gamma_grad(g, grad)?)
    }
}

/// `g -> d beta`, read from the by-product.
struct BetaGrad(Past);

impl CustomOp1 for BetaGrad {
    fn name(&self) -> &'static str {
        "batch_norm beta gradient"
    }

    fn cpu_fwd(&self, s: &CpuStorage, _l: &Layout) -> Result<(CpuStorage, Shape)> {
        by_dtype!(s, "batch_norm", T => self.0.vector::<T>(|s| &s.plain))
    }

    fn bwd(&self, _g: &Tensor, _d_beta: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(Graph::new(&self.0, &self.0.x)?.beta_grad(grad)?))
    }
}
