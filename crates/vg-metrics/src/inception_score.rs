//! Inception Score: exp of the mean divergence of the classes of a sample from those of the set.

use serde::{Deserialize, Serialize};
use vg_core::rng::Rng;

use crate::error::{Error, Result};
use crate::features::Features;

/// What keeps the logarithm of 0 away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// Nothing; 0 log 0 = 0.
    None,
    /// 1e-7 added inside both logarithms (TGAN).
    InsideLogarithms,
    /// 1e-20 added to the probabilities (TGANv2).
    OnProbabilities,
}

impl Guard {
    fn p_log_p(self, p: f64) -> f64 {
        let inside = if self == Self::InsideLogarithms { 1e-7 } else { 0.0 };
        if p == 0.0 { 0.0 } else { p * (p + inside).ln() }
    }
}

/// A variant of the score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InceptionScore {
    /// What keeps the logarithm of 0 away.
    pub guard: Guard,
    /// Parts that are scored apart; split i of n holds rows i N / n to (i + 1) N / n.
    pub splits: usize,
    /// Seed of a shuffle before splitting, if there is one.
    pub shuffle_seed: Option<u64>,
    /// Only whole batches of this many rows count; the rest is left out.
    pub batch: usize,
}

impl InceptionScore {
    /// All samples in one part.
    pub const PLAIN: Self = Self { guard: Guard::None, splits: 1, shuffle_seed: None, batch: 1 };
    /// TGAN: of 10 000 clips the 9 984 in whole batches of 48, in one part.
    pub const TGAN: Self = Self { guard: Guard::InsideLogarithms, batch: 48, ..Self::PLAIN };
    /// TGANv2: one of ten runs of 2048 clips; use [`MeanStd::of`] on the scores of the runs.
    pub const TGAN_V2: Self = Self { guard: Guard::OnProbabilities, ..Self::PLAIN };
    /// StyleGAN-V: 10 parts after a shuffle with seed 42 (of this project's generator; the order of samples is arbitrary anyway).
    pub const STYLEGAN_V: Self = Self { splits: 10, shuffle_seed: Some(42), ..Self::PLAIN };
    /// Images, as is usual: 10 parts in the order given.
    pub const IMAGES: Self = Self { splits: 10, ..Self::PLAIN };

    /// The score of every part; `probs` are rows of a softmax, `[N, classes]`.
    ///
    /// # Errors
    /// [`Error::Value`] for rows that are no probabilities, [`Error::TooFew`] when a part is empty, [`Error::Setting`] when `splits` or
    /// `batch` is 0.
    pub fn scores(&self, probs: &Features) -> Result<Vec<f64>> {
        if self.splits == 0 || self.batch == 0 {
            let got = format!("{} splits, batches of {}", self.splits, self.batch);
            return Err(Error::setting("plan of the Inception Score", got, "1 or more of both"));
        }
        let needed = self.splits.max(self.batch);
        Error::at_least(format!("samples of {}", probs.what()), probs.len(), needed)?;
        let n = probs.len() / self.batch * self.batch;
        let order = match self.shuffle_seed {
            Some(seed) => Rng::new(seed).stream("inception-score").permutation(n),
            None => (0..n).collect(),
        };
        let score = |i: usize| {
            let mut part = ScoreSums::new(probs.what(), probs.dim(), self.guard);
            let rows = &order[i * n / self.splits..(i + 1) * n / self.splits];
            rows.iter().try_for_each(|&i| part.add(i, probs.row(i)))?;
            part.score()
        };
        (0..self.splits).map(score).collect()
    }

    /// Mean over the parts, the reported value, and their standard deviation.
    ///
    /// # Errors
    /// As [`InceptionScore::scores`].
    pub fn value(&self, probs: &Features) -> Result<MeanStd> {
        Ok(MeanStd::of(&self.scores(probs)?))
    }

    /// An accumulator that keeps no rows, for variants in one part.
    ///
    /// # Errors
    /// [`Error::Setting`] when there are several splits, `classes` is 0, or rows must be left out at the end.
    pub fn streaming(&self, what: &str, classes: usize) -> Result<ScoreSums> {
        if self.splits != 1 || self.batch != 1 || classes == 0 {
            let got = format!("{} splits, batches of {}, {classes} classes", self.splits, self.batch);
            return Err(Error::setting(
                "streaming Inception Score",
                got,
                "1 split, batches of 1, 1 or more classes",
            ));
        }
        Ok(ScoreSums::new(what, classes, self.guard))
    }
}

/// Mean and population standard deviation of a few scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeanStd {
    /// The mean.
    pub mean: f64,
    /// The population standard deviation (divided by the number of scores).
    pub std: f64,
}

impl MeanStd {
    /// Of one score or more; NaN for none.
    pub fn of(scores: &[f64]) -> Self {
        let n = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / n;
        Self { mean, std: (scores.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>() / n).sqrt() }
    }
}

/// The score of one part from sums: Σ p log p and Σ p, in memory for one row.
#[derive(Clone, Debug)]
pub struct ScoreSums {
    what: String,
    guard: Guard,
    count: usize,
    /// Σ over rows and classes of p log p.
    negative_entropy: f64,
    /// Σ over rows of p.
    total: Vec<f64>,
}

impl ScoreSums {
    fn new(what: &str, classes: usize, guard: Guard) -> Self {
        Self { what: what.to_owned(), guard, count: 0, negative_entropy: 0.0, total: vec![0.0; classes] }
    }

    /// Adds rows of a softmax, `[n, classes]`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the length is no multiple of the classes, [`Error::Value`] for rows that are no probabilities.
    pub fn push<T: Copy + Into<f64>>(&mut self, rows: &[T]) -> Result<()> {
        let classes = self.total.len();
        if !rows.len().is_multiple_of(classes) {
            let what = format!("probabilities of {}", self.what);
            return Err(Error::shape(what, format!("rows of {classes} numbers"), &[rows.len()]));
        }
        for row in rows.chunks_exact(classes) {
            let row: Vec<f64> = row.iter().map(|&v| v.into()).collect();
            self.add(self.count, &row)?;
        }
        Ok(())
    }

    fn add(&mut self, index: usize, row: &[f64]) -> Result<()> {
        let bad = |position, value, expected| Error::Value {
            what: format!("probabilities of {}, sample", self.what),
            index,
            position,
            value,
            expected,
        };
        if let Some(i) = row.iter().position(|p| !(-1e-6..=1.0 + 1e-4).contains(p)) {
            return Err(bad(i, row[i], "a probability in [0, 1]"));
        }
        let sum: f64 = row.iter().sum();
        if (sum - 1.0).abs() > 1e-3 {
            return Err(bad(0, row[0], "probabilities with sum 1, the output of a softmax"));
        }
        let guard = self.guard;
        for (total, &p) in self.total.iter_mut().zip(row) {
            let p = if guard == Guard::OnProbabilities { p.max(0.0) + 1e-20 } else { p.max(0.0) };
            self.negative_entropy += guard.p_log_p(p);
            *total += p;
        }
        self.count += 1;
        Ok(())
    }

    /// The score of the rows so far.
    ///
    /// # Errors
    /// [`Error::TooFew`] when there are none.
    pub fn score(&self) -> Result<f64> {
        Error::at_least(format!("samples of {}", self.what), self.count, 1)?;
        let n = self.count as f64;
        let marginal: f64 = self.total.iter().map(|t| self.guard.p_log_p(t / n)).sum();
        Ok((self.negative_entropy / n - marginal).exp())
    }
}
