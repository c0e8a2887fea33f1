//! A mixture of Gaussians with diagonal covariances, fitted by expectation-maximisation from k-means.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::rng::Stream;
use vg_core::{Error, Result, Rng};

use crate::config;

/// Variances are kept above this share of the variance of all codes, so that no component collapses onto one code.
const FLOOR: f64 = 1e-3;
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

    /// The mixture for `codes` `[N, dim]`, row by row: k-means++ and Lloyd's iterations, then EM. Fewer codes than components leave
    /// components of weight 0; no codes give [`Mixture::standard`].
    pub fn fit(codes: &[f64], dim: usize, settings: &config::Mixture) -> Self {
        let mut stream = Rng::new(settings.seed).stream("mixture");
        let rows: Vec<&[f64]> = codes.chunks_exact(dim).collect();
        let mut mixture = Self::standard(settings.components, dim);
        if rows.is_empty() {
            return mixture;
        }
        let spread: Vec<f64> =
            variance(&rows).into_iter().map(|v| (FLOOR * v).max(f64::MIN_POSITIVE)).collect();
        let mut centres = seeds(&rows, settings.components.min(rows.len()), &mut stream);
        let mut owners = nearest(&rows, &centres);
        for _ in 0..settings.kmeans_iterations {
            move_to_means(&rows, &owners, &mut centres);
            owners = nearest(&rows, &centres);
        }
        let hard: Vec<Vec<f64>> = owners.iter().map(|o| one_hot(*o, settings.components)).collect();
        mixture.maximise(&rows, &hard, &spread);
        for _ in 0..settings.em_iterations {
            let shares: Vec<Vec<f64>> = rows.iter().map(|x| mixture.shares(x).0).collect();
            mixture.maximise(&rows, &shares, &spread);
        }
        mixture
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

    /// Shares of the components in a code, and its log-density.
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
        logs.iter_mut().for_each(|l| *l = (*l - largest).exp());
        let sum: f64 = logs.iter().sum();
        logs.iter_mut().for_each(|l| *l /= sum);
        (logs, largest + sum.ln())
    }

    /// Weights, means and variances from the components' shares in each code.
    fn maximise(&mut self, rows: &[&[f64]], shares: &[Vec<f64>], floor: &[f64]) {
        for k in 0..self.weights.len() {
            let mass: f64 = shares.iter().map(|s| s[k]).sum();
            self.weights[k] = mass / rows.len() as f64;
            if mass <= f64::EPSILON {
                self.weights[k] = 0.0;
                continue;
            }
            let mut mean = vec![0.0; self.dim];
            for (x, s) in rows.iter().zip(shares) {
                mean.iter_mut().zip(*x).for_each(|(m, x)| *m += s[k] * x);
            }
            mean.iter_mut().for_each(|m| *m /= mass);
            let mut var = vec![0.0; self.dim];
            for (x, s) in rows.iter().zip(shares) {
                let terms = var.iter_mut().zip(*x).zip(&mean);
                terms.for_each(|((v, x), m)| *v += s[k] * (x - m) * (x - m));
            }
            let var = var.iter().zip(floor).map(|(v, floor)| (v / mass).max(*floor));
            let at = k * self.dim;
            self.vars.splice(at..at + self.dim, var);
            self.means[at..at + self.dim].copy_from_slice(&mean);
        }
        // Components that were dropped leave their mass to the others.
        let total: f64 = self.weights.iter().sum();
        self.weights.iter_mut().for_each(|w| *w /= total);
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

fn distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum()
}

fn variance(rows: &[&[f64]]) -> Vec<f64> {
    let n = rows.len() as f64;
    let column = |d: usize| {
        let mean = rows.iter().map(|x| x[d]).sum::<f64>() / n;
        rows.iter().map(|x| (x[d] - mean) * (x[d] - mean)).sum::<f64>() / n
    };
    (0..rows[0].len()).map(column).collect()
}

/// k-means++: each next centre is a code drawn in proportion to its squared distance from the nearest centre.
fn seeds(rows: &[&[f64]], k: usize, stream: &mut Stream) -> Vec<Vec<f64>> {
    let mut centres = vec![rows[stream.below(rows.len())].to_vec()];
    let mut off: Vec<f64> = rows.iter().map(|x| distance(x, &centres[0])).collect();
    while centres.len() < k {
        let mut left = stream.unit() * off.iter().sum::<f64>();
        let chosen = off.iter().position(|d| {
            left -= d;
            left < 0.0
        });
        // All codes may lie on centres already.
        let centre = rows[chosen.unwrap_or_else(|| stream.below(rows.len()))].to_vec();
        off.iter_mut().zip(rows).for_each(|(d, x)| *d = d.min(distance(x, &centre)));
        centres.push(centre);
    }
    centres
}

/// Index of the nearest centre of each code; the first of several.
fn nearest(rows: &[&[f64]], centres: &[Vec<f64>]) -> Vec<usize> {
    let owner = |x: &&[f64]| {
        let off = centres.iter().map(|c| distance(x, c)).enumerate();
        off.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(k, _)| k)
    };
    rows.iter().map(owner).collect()
}

/// Moves each centre to the mean of its codes; one without codes stays.
fn move_to_means(rows: &[&[f64]], owners: &[usize], centres: &mut [Vec<f64>]) {
    for (k, centre) in centres.iter_mut().enumerate() {
        let own = || rows.iter().zip(owners).filter(|(_, o)| **o == k).map(|(x, _)| *x);
        let n = own().count();
        if n > 0 {
            centre.fill(0.0);
            own().for_each(|x| centre.iter_mut().zip(x).for_each(|(c, x)| *c += x / n as f64));
        }
    }
}

fn one_hot(k: usize, n: usize) -> Vec<f64> {
    let mut shares = vec![0.0; n];
    shares[k] = 1.0;
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(components: usize) -> config::Mixture {
        config::Mixture { components, codes: 1000, kmeans_iterations: 5, em_iterations: 30, seed: 1 }
    }

    /// 1000 codes around (-3, 0) and (5, 1), three to one, standard deviations 0.5 and 2.
    fn codes() -> Vec<f64> {
        let mut stream = Rng::new(3).stream("codes");
        let one = |i: usize, stream: &mut Stream| {
            let (m, s) = if i.is_multiple_of(4) { ([5.0, 1.0], 2.0) } else { ([-3.0, 0.0], 0.5) };
            m.map(|m| m + s * stream.normal())
        };
        (0..1000).flat_map(|i| one(i, &mut stream)).collect()
    }

    fn fitted(components: usize) -> Mixture {
        Mixture::fit(&codes(), 2, &settings(components))
    }

    #[test]
    fn two_gaussians_are_found_again() {
        let m = fitted(2);
        let (small, large) = if m.weights[0] < m.weights[1] { (0, 1) } else { (1, 0) };
        assert!((m.weights[small] - 0.25).abs() < 0.01, "{m:?}");
        for (k, mean, std) in [(small, [5.0, 1.0], 2.0), (large, [-3.0, 0.0], 0.5)] {
            let (means, vars) = (m.row(&m.means, k), m.row(&m.vars, k));
            for ((got, var), want) in means.iter().zip(vars).zip(mean) {
                // Three standard errors of a mean over 250 codes.
                assert!((got - want).abs() < 0.4, "{m:?}");
                assert!((var.sqrt() / std - 1.0).abs() < 0.15, "{m:?}");
            }
        }
    }

    #[test]
    fn em_never_lowers_the_likelihood_and_seeds_decide() {
        let codes = codes();
        let after = |n: usize| {
            let settings = config::Mixture { em_iterations: n, ..settings(5) };
            Mixture::fit(&codes, 2, &settings).log_likelihood(&codes)
        };
        let values: Vec<f64> = [0, 1, 3, 10].map(after).into();
        assert!(values.windows(2).all(|w| w[1] >= w[0] - 1e-9), "{values:?}");
        assert_eq!(fitted(5), fitted(5));
        let other = Mixture::fit(&codes, 2, &config::Mixture { seed: 2, ..settings(5) });
        assert_ne!(fitted(5), other);
    }

    #[test]
    fn draws_have_the_moments_of_the_codes() {
        let (m, codes) = (fitted(3), codes());
        let mut stream = Rng::new(8).stream("draw");
        let draws: Vec<f64> = (0..4000).flat_map(|_| m.draw(&mut stream)).collect();
        for d in 0..2 {
            let mean = |v: &[f64]| v.iter().skip(d).step_by(2).sum::<f64>() / (v.len() / 2) as f64;
            assert!((mean(&draws) - mean(&codes)).abs() < 0.2);
        }
    }

    #[test]
    fn few_codes_leave_components_without_weight() {
        let mut stream = Rng::new(1).stream("fit");
        let m = Mixture::fit(&[1.0, 2.0, 1.0, 2.0], 2, &settings(4));
        assert!((m.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(m.draw(&mut stream).iter().all(|x| x.is_finite()));
        assert_eq!(Mixture::fit(&[], 2, &settings(4)), Mixture::standard(4, 2));
    }

    #[test]
    fn tensors_survive_and_their_problems_are_named() {
        let m = fitted(3);
        let mut tensors = m.tensors().unwrap();
        let mut again = tensors.clone();
        assert_eq!(Mixture::take(&mut again, &settings(3), 2, "w").unwrap(), m);
        assert!(again.is_empty());
        tensors.remove("mixture.means");
        tensors.insert("mixture.vars".into(), Tensor::zeros((3, 5), DType::F64, &Device::Cpu).unwrap());
        let text = Mixture::take(&mut tensors, &settings(3), 2, "w").unwrap_err().to_string();
        assert!(
            text.contains("mixture.means is missing") && text.contains("mixture.vars is [3, 5]"),
            "{text}"
        );
    }
}
