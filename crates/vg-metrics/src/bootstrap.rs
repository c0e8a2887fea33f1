//! Confidence intervals by resampling.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vg_core::rng::Rng;

use crate::error::{Error, Result};

/// An interval of confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Share of the resampled values inside, such as 0.95.
    pub level: f64,
}

/// A plan of resampling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// Number of resamples.
    pub resamples: usize,
    /// Confidence level in (0, 1).
    pub level: f64,
    /// Seed of the draws.
    pub seed: u64,
}

impl Bootstrap {
    /// 1000 resamples, 95 %.
    pub const fn new(seed: u64) -> Self {
        Self { resamples: 1000, level: 0.95, seed }
    }

    /// The percentile interval (Efron 1979) of a statistic of `n` samples: it is given the indices of a resample, drawn with replacement.
    ///
    /// A statistic that is biased for small sets, as FVD is, is biased more on resamples, which repeat samples; use it for means.
    ///
    /// # Errors
    /// [`Error::TooFew`] for fewer than two samples, [`Error::Setting`] for fewer than 10 resamples or a level outside (0, 1); those of the
    /// statistic.
    pub fn interval(&self, n: usize, statistic: impl Fn(&[usize]) -> Result<f64> + Sync) -> Result<Interval> {
        if self.resamples < 10 || !(self.level > 0.0 && self.level < 1.0) {
            let got = format!("{} resamples, level {}", self.resamples, self.level);
            return Err(Error::setting("bootstrap", got, "10 or more resamples and a level between 0 and 1"));
        }
        Error::at_least("samples for a confidence interval", n, 2)?;
        let rng = Rng::new(self.seed);
        let value = |i: usize| {
            let mut stream = rng.child("resample", i as u64).stream("indices");
            let indices: Vec<usize> = (0..n).map(|_| stream.below(n)).collect();
            statistic(&indices)
        };
        let mut values = (0..self.resamples).into_par_iter().map(value).collect::<Result<Vec<f64>>>()?;
        values.sort_unstable_by(f64::total_cmp);
        let tail = (1.0 - self.level) / 2.0;
        let (low, high) = (quantile(&values, tail), quantile(&values, 1.0 - tail));
        Ok(Interval { low, high, level: self.level })
    }

    /// The interval of the mean of some values.
    ///
    /// # Errors
    /// As [`Bootstrap::interval`].
    pub fn of_mean(&self, values: &[f64]) -> Result<Interval> {
        self.interval(values.len(), |indices| {
            Ok(indices.iter().map(|&i| values[i]).sum::<f64>() / indices.len() as f64)
        })
    }
}

/// Quantile of sorted values, linear between neighbours.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    if low == high { low } else { low + (at - at.floor()) * (high - low) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_of_a_mean_has_the_width_of_theory() {
        let mut stream = Rng::new(3).stream("values");
        let values: Vec<f64> = (0..400).map(|_| stream.normal()).collect();
        let got = Bootstrap::new(1).of_mean(&values).unwrap();
        let want = 2.0 * 1.96 / 400f64.sqrt();
        assert!((got.high - got.low - want).abs() < 0.15 * want, "{got:?}");
        assert_eq!(got, Bootstrap::new(1).of_mean(&values).unwrap());
        assert_ne!(got, Bootstrap::new(2).of_mean(&values).unwrap());
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.75), 3.0);
        assert_eq!(quantile(&[1.0, f64::INFINITY, f64::INFINITY], 0.75), f64::INFINITY);
    }

    #[test]
    fn plans_that_cannot_be_are_refused() {
        assert!(matches!(Bootstrap::new(0).of_mean(&[1.0]), Err(Error::TooFew { .. })));
        let few = Bootstrap { resamples: 1, ..Bootstrap::new(0) };
        assert!(matches!(few.of_mean(&[1.0, 2.0]), Err(Error::Setting { .. })));
    }
}
