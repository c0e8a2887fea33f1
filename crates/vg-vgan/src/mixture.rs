//! A mixture of Gaussians with diagonal covariances.

mod fit;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::rng::Stream;
use vg_core::{Error, Result};

use crate::config;

/// Names of the mixture's tensors among a model's weights start with this.
pub(crate) const PREFIX: &str = "mixture.";

/// The density `sum_k weight_k N(mean_k, diag(var_k))`.
///
/// Source: the paper's baseline, section 4.2 ("a 256 component Gaussian Mixture Model over the 100 dimensional hidden space"); the kind of
/// covariance is ours.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixture {
    dim: usize,
    /// `[K]`, sum 1.
    weights: Vec<f64>,
    /// `[K, dim]`.
    means: Vec<f64>,
    /// `[K, dim]`.
    vars: Vec<f64>,
}

impl Mixture {
    /// A standard normal density, with components of weight 0 beside it.
    pub fn standard(components: usize, dim: usize) -> Self {
        let mut weights = vec![0.0; components];
        weights[0] = 1.0;
        Self { dim, weights, means: vec![0.0; components * dim], vars: vec![1.0; components * dim] }
    }

    /// A draw, `[dim]`.
    pub fn draw(&self, stream: &mut Stream) -> Vec<f64> {
        let mut left = stream.unit();
        let heavy = |k: &usize| self.weights[*k] > 0.0;
        let passed = (0..self.weights.len()).filter(heavy).find(|k| {
            left -= self.weights[*k];
            left < 0.0
        });
        // Rounding can leave a little behind the last component.
        let k = passed.or_else(|| (0..self.weights.len()).rev().find(heavy)).unwrap_or(0);
        let (means, vars) = (self.row(&self.means, k), self.row(&self.vars, k));
        means.iter().zip(vars).map(|(m, v)| m + v.sqrt() * stream.normal()).collect()
    }

    /// Mean log-density of `codes` `[N, dim]`, row by row.
    pub fn log_likelihood(&self, codes: &[f64]) -> f64 {
        let rows = codes.chunks_exact(self.dim);
        let n = rows.len().max(1) as f64;
        rows.map(|x| self.shares(x).1).sum::<f64>() / n
    }

    fn row<'a>(&self, values: &'a [f64], k: usize) -> &'a [f64] {
        &values[k * self.dim..(k + 1) * self.dim]
    }

    /// Shares of the components in a code, and its log-density. Both are computed from logarithms, of which the largest is taken off
    /// first: in many dimensions densities themselves are below the smallest number.
    fn shares(&self, x: &[f64]) -> (Vec<f64>, f64) {
        let log_density = |k: usize| {
            let (means, vars) = (self.row(&self.means, k), self.row(&self.vars, k));
            let terms = x.iter().zip(means).zip(vars);
            let sum: f64 =
                terms.map(|((x, m), v)| (std::f64::consts::TAU * v).ln() + (x - m) * (x - m) / v).sum();
            self.weights[k].ln() - 0.5 * sum
        };
        let mut logs: Vec<f64> = (0..self.weights.len())
            .map(|k| if self.weights[k] > 0.0 { log_density(k) } else { f64::NEG_INFINITY })
            .collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            // Further away than logarithms reach; the heaviest component takes the code whole.
            let heaviest = (0..logs.len()).max_by(|a, b| self.weights[*a].total_cmp(&self.weights[*b]));
            return (one_hot(heaviest.unwrap_or(0), logs.len()), largest);
        }
        logs.iter_mut().for_each(|l| *l = (*l - largest).exp());
        let sum: f64 = logs.iter().sum();
        logs.iter_mut().for_each(|l| *l /= sum);
        (logs, largest + sum.ln())
    }

    /// The tensors of a checkpoint: `mixture.weights` `[K]`, `mixture.means` and `mixture.vars` `[K, dim]`, f64.
    pub(crate) fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        let (k, d) = (self.weights.len(), self.dim);
        let matrix = |v: &Vec<f64>| Tensor::from_slice(v, (k, d), &Device::Cpu);
        let named = [
            ("weights", Tensor::from_slice(&self.weights, k, &Device::Cpu)?),
            ("means", matrix(&self.means)?),
            ("vars", matrix(&self.vars)?),
        ];
        Ok(named.into_iter().map(|(name, t)| (format!("{PREFIX}{name}"), t)).collect())
    }

    /// Takes the mixture's tensors out of a model's.
    ///
    /// # Errors
    /// [`Error::Weights`] that lists those that are missing, misshapen or not a density; `what` names the set.
    pub(crate) fn take(
        tensors: &mut BTreeMap<String, Tensor>,
        settings: &config::Mixture,
        dim: usize,
        what: &str,
    ) -> Result<Self> {
        let (k, mut problems) = (settings.components, Vec::new());
        let mut take = |name: &str, shape: &[usize]| -> Result<Vec<f64>> {
            let name = format!("{PREFIX}{name}");
            match tensors.remove(&name) {
                Some(t) if t.dims() == shape => Ok(t.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?),
                Some(t) => {
                    problems.push(format!("{name} is {:?}, expected {shape:?}", t.dims()));
                    Ok(Vec::new())
                }
                None => {
                    problems.push(format!("{name} is missing"));
                    Ok(Vec::new())
                }
            }
        };
        let found = Self {
            dim,
            weights: take("weights", &[k])?,
            means: take("means", &[k, dim])?,
            vars: take("vars", &[k, dim])?,
        };
        let sum: f64 = found.weights.iter().sum();
        let is_density = found.weights.iter().all(|w| *w >= 0.0) && (sum - 1.0).abs() < 1e-3;
        if problems.is_empty() && !(is_density && found.vars.iter().all(|v| *v > 0.0)) {
            problems.push(format!(
                "{PREFIX}weights and {PREFIX}vars are no density (weights 0 or more with sum 1, vars above 0)"
            ));
        }
        if problems.is_empty() {
            return Ok(found);
        }
        Err(Error::Weights { what: format!("the tensors of {what}"), problems: problems.join("; ") })
    }
}

/// The whole share for component `k` of `n`.
fn one_hot(k: usize, n: usize) -> Vec<f64> {
    let mut shares = vec![0.0; n];
    shares[k] = 1.0;
    shares
}

#[cfg(test)]
mod tests;
