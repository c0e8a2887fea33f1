//! Batch normalisation per channel of `[B, C, ...]` tensors, with a scale, an optional shift and a fused activation.

mod backward;
mod cpu;
mod elements;
mod groups;
mod second_order;
mod train;

use std::sync::Arc;

use candle_core::{DType, Tensor};

pub(super) use self::groups::{Groups, Scope};
use super::Activation;
use super::channel::{channel_affine, channels, check};
use super::op::ternary;
use super::reduce::View;
use crate::{Error, Result};

/// Statistics of one batch, per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStats {
    /// Means.
    pub mean: Vec<f64>,
    /// Biased variances: divided by [`population`](Self::population).
    pub var: Vec<f64>,
    /// Values per channel.
    pub population: usize,
}

impl BatchStats {
    /// Variances divided by one less than the population, as running averages use them; the biased ones for a population of 1.
    pub fn unbiased_var(&self) -> Vec<f64> {
        let n = self.population as f64;
        let factor = if self.population > 1 { n / (n - 1.0) } else { 1.0 };
        self.var.iter().map(|v| v * factor).collect()
    }
}

/// Normalises by the statistics of the batch: `activation((x - mean) / sqrt(var + eps) * gamma + beta)`.
///
/// Source: Ioffe and Szegedy, "Batch Normalization", 2015, algorithm 1; the variance is the biased one, computed in f64.
/// First-order gradients take one pass over the input and the gradient; higher orders work and are slower. Constants get no
/// gradient.
///
/// # Shapes
/// - `x` `[B, C, ...]` with two to five axes; `gamma` and `beta` `[C]`
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit or a channel has no values, [`Error::Unsupported`] for types other than f32 and f64.
pub fn batch_norm_train(
    x: &Tensor,
    gamma: &Tensor,
    beta: Option<&Tensor>,
    eps: f64,
    activation: Activation,
) -> Result<(Tensor, Arc<BatchStats>)> {
    checked(x, gamma, beta)?;
    let groups = Groups { stats: View::of(x.dims()), scope: Scope::Channel };
    normalise(groups, x, gamma, beta, eps, activation)
}

/// [`batch_norm_train`] for any groups of a tensor's elements; `gamma` and `beta` are vectors.
pub(super) fn normalise(
    groups: Groups,
    x: &Tensor,
    gamma: &Tensor,
    beta: Option<&Tensor>,
    eps: f64,
    activation: Activation,
) -> Result<(Tensor, Arc<BatchStats>)> {
    if x.elem_count() == 0 {
        return Err(Error::shape(
            "input of a norm",
            "at least one value per channel in training mode",
            x.dims(),
        ));
    }
    let beta = match beta {
        Some(beta) => beta.clone(),
        None => gamma.zeros_like()?.detach(),
    };
    let (fused, rest) = activation.split();
    let op = train::Train::new(groups, eps, fused);
    let stats = op.stats();
    let y = ternary(x, gamma, &beta, op)?;
    let stats = stats.get().cloned().ok_or_else(|| {
        Error::Unsupported(
            "normalising by statistics of the batch runs on the CPU only; move the tensors there".to_owned(),
        )
    })?;
    Ok((rest.apply(&y)?, stats))
}

/// Normalises by given statistics: `activation((x - mean) / sqrt(var + eps) * gamma + beta)`; differentiable to any order with
/// respect to `x`, `gamma` and `beta`.
///
/// # Shapes
/// - `x` `[B, C, ...]`; `gamma`, `beta`, `mean` and `var` `[C]`
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit, [`Error::Unsupported`] for types other than f32 and f64.
pub fn batch_norm_eval(
    x: &Tensor,
    gamma: &Tensor,
    beta: Option<&Tensor>,
    mean: &Tensor,
    var: &Tensor,
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    checked(x, gamma, beta)?;
    check(x, mean, "batch norm running mean")?;
    check(x, var, "batch norm running variance")?;
    let rstd = var.detach().affine(1.0, eps)?.sqrt()?.recip()?;
    let scale = (gamma * rstd)?;
    let shift = (mean.detach() * &scale)?.neg()?;
    let shift = match beta {
        Some(beta) => (shift + beta)?,
        None => shift,
    };
    activation.apply(&channel_affine(x, &scale, &shift)?)
}

fn checked(x: &Tensor, gamma: &Tensor, beta: Option<&Tensor>) -> Result<()> {
    channels(x)?;
    if !matches!(x.dtype(), DType::F32 | DType::F64) {
        let problem = format!("batch norm: the input must be f32 or f64, not {:?}", x.dtype());
        return Err(Error::Unsupported(problem));
    }
    check(x, gamma, "batch norm gamma")?;
    beta.map_or(Ok(()), |b| check(x, b, "batch norm beta"))
}
