//! Mean and covariance of feature vectors that arrive in batches.

mod stored;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, expect_finite};
use crate::features::{Features, append_rows};
use crate::linalg::add_gram;

/// What the sum of squares is divided by to give a covariance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Divisor {
    /// N - 1: tfgan (the original FVD), pytorch-fid, numpy's `cov`.
    #[serde(rename = "n-1")]
    NMinusOne,
    /// N: the StyleGAN family, StyleGAN-V among them.
    #[serde(rename = "n")]
    N,
}

impl Divisor {
    /// The divisor for `n` samples.
    pub fn of(self, n: usize) -> f64 {
        match self {
            Self::NMinusOne => n as f64 - 1.0,
            Self::N => n as f64,
        }
    }
}

/// A Gaussian fitted to feature vectors, in f64 and in memory that does not grow with their number: about 2 d² numbers.
///
/// Vectors are folded in blocks of fixed size with Chan's merge (Chan, Golub and LeVeque 1979), so the result does not depend, to the last
/// bit, on how they were split into batches. Up to `d` vectors are kept as they are: covariances of so few are singular, and the
/// [Fréchet distance](crate::frechet) is then exact only through the vectors themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaussian {
    what: String,
    dim: usize,
    folded: Moments,
    /// The last vectors, fewer than a block.
    pending: Vec<f64>,
}

/// Count, mean and scatter (the sum of outer products of the deviations).
#[derive(Clone, Debug, PartialEq)]
struct Moments {
    count: usize,
    mean: Vec<f64>,
    scatter: Vec<f64>,
}

/// Most vectors of a set: up to here every count is exact in f64.
const MOST: usize = 1 << 53;

impl Gaussian {
    /// An empty one for vectors of `dim` numbers; `what` names the set in errors.
    ///
    /// # Errors
    /// [`Error::Setting`] when `dim` is 0.
    pub fn new(what: impl Into<String>, dim: usize) -> Result<Self> {
        if dim == 0 {
            return Err(Error::setting("dimension of the features", dim, "1 or more"));
        }
        Ok(Self { what: what.into(), dim, folded: Moments::empty(), pending: Vec::new() })
    }

    /// One fitted to a set.
    pub fn of(features: &Features) -> Self {
        let mut gaussian = Self {
            what: features.what().to_owned(),
            dim: features.dim(),
            folded: Moments::empty(),
            pending: Vec::new(),
        };
        gaussian.push_checked(features.values());
        gaussian
    }

    /// One with a given mean `[d]` and covariance `[d, d]`, such as statistics that another program stored.
    ///
    /// # Errors
    /// [`Error::Shape`] when sizes do not fit, [`Error::TooFew`] when `count` is under 2, [`Error::Setting`] when it is over
    /// 2^53, [`Error::Value`] for values that are not finite
    /// or a covariance that is not symmetric.
    pub fn from_moments(
        what: impl Into<String>,
        count: usize,
        mean: &[f64],
        covariance: &[f64],
        divisor: Divisor,
    ) -> Result<Self> {
        let mut gaussian = Self::new(what, mean.len())?;
        let d = gaussian.dim;
        if covariance.len() != d * d {
            let what = format!("covariance of {}", gaussian.what);
            return Err(Error::shape(what, format!("{d} x {d} numbers"), &[covariance.len()]));
        }
        Error::at_least(format!("samples of {}", gaussian.what), count, 2)?;
        if count > MOST {
            return Err(Error::setting("number of samples", count, "at most 2^53"));
        }
        expect_finite(&format!("mean of {}", gaussian.what), 0, mean)?;
        for (i, row) in covariance.chunks_exact(d).enumerate() {
            let what = format!("covariance of {}, row", gaussian.what);
            expect_finite(&what, i, row)?;
            let scale = 1e-6 * covariance[i * d + i].abs().max(1e-12);
            if let Some(j) =
                (0..i).find(|&j| (row[j] - covariance[j * d + i]).abs() > scale.max(1e-6 * row[j].abs()))
            {
                let expected = "a symmetric matrix";
                return Err(Error::Value { what, index: i, position: j, value: row[j], expected });
            }
        }
        let scale = divisor.of(count);
        let scatter = covariance.iter().map(|v| v * scale).collect();
        gaussian.folded = Moments { count, mean: mean.to_vec(), scatter };
        Ok(gaussian)
    }

    /// Adds vectors, `[n, d]` in C order. Nothing is kept of a batch with an error.
    ///
    /// # Errors
    /// [`Error::Shape`] when the length is no multiple of `d`, [`Error::Value`] with the number of the vector that is not finite.
    pub fn push<T: Copy + Into<f64>>(&mut self, rows: &[T]) -> Result<()> {
        let mut checked = Vec::new();
        append_rows(&self.what, self.dim, self.count(), &mut checked, rows)?;
        self.push_checked(&checked);
        Ok(())
    }

    fn push_checked(&mut self, mut rows: &[f64]) {
        let block = self.block().saturating_mul(self.dim);
        while self.pending.len() + rows.len() >= block {
            let (head, tail) = rows.split_at(block - self.pending.len());
            self.pending.extend_from_slice(head);
            self.folded.merge(&Moments::of(&self.pending, self.dim));
            self.pending.clear();
            rows = tail;
        }
        self.pending.extend_from_slice(rows);
    }

    /// Vectors that are folded together: more than `d`, so that a set which is folded has a chance of full rank.
    fn block(&self) -> usize {
        self.dim.saturating_add(1).max(64)
    }

    /// Adds the vectors of another one: the same set as if they had been pushed here, and the same statistics up to rounding, as what
    /// is folded there stays in its blocks.
    ///
    /// # Errors
    /// [`Error::Shape`] when dimensions differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.dim != other.dim {
            let what = format!("features of {}", other.what);
            return Err(Error::shape(what, format!("dimension {} as {}", self.dim, self.what), &[other.dim]));
        }
        self.folded.merge(&other.folded);
        self.push_checked(&other.pending);
        Ok(())
    }

    /// Number of vectors.
    pub fn count(&self) -> usize {
        self.folded.count.saturating_add(self.pending.len() / self.dim)
    }

    /// Numbers per vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Name of the set in errors.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Mean `[d]`.
    ///
    /// # Errors
    /// [`Error::TooFew`] for an empty set.
    pub fn mean(&self) -> Result<Vec<f64>> {
        Error::at_least(format!("feature vectors of {}", self.what), self.count(), 1)?;
        Ok(self.moments().mean)
    }

    /// Mean `[d]` and covariance `[d, d]`.
    ///
    /// # Errors
    /// [`Error::TooFew`] for fewer than two vectors.
    pub fn mean_and_covariance(&self, divisor: Divisor) -> Result<(Vec<f64>, Vec<f64>)> {
        Error::at_least(format!("feature vectors of {}", self.what), self.count(), 2)?;
        let Moments { count, mean, mut scatter } = self.moments();
        let scale = divisor.of(count);
        scatter.iter_mut().for_each(|v| *v /= scale);
        Ok((mean, scatter))
    }

    /// The vectors minus their mean, `[N, d]`, while all of them are kept: at least while N <= d.
    pub(crate) fn centred(&self) -> Option<Vec<f64>> {
        if self.folded.count > 0 || self.pending.is_empty() {
            return None;
        }
        Some(centred(&self.pending, self.dim).1)
    }

    fn moments(&self) -> Moments {
        let mut moments = self.folded.clone();
        if !self.pending.is_empty() {
            moments.merge(&Moments::of(&self.pending, self.dim));
        }
        moments
    }
}

/// Mean, and rows minus the mean. Each column is summed in the order of the rows.
fn centred(rows: &[f64], dim: usize) -> (Vec<f64>, Vec<f64>) {
    let n = (rows.len() / dim) as f64;
    let mut mean = vec![0.0; dim];
    for row in rows.chunks_exact(dim) {
        mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
    }
    mean.iter_mut().for_each(|m| *m /= n);
    let mut rows = rows.to_vec();
    rows.par_chunks_exact_mut(dim).for_each(|row| row.iter_mut().zip(&mean).for_each(|(v, m)| *v -= m));
    (mean, rows)
}

impl Moments {
    fn empty() -> Self {
        Self { count: 0, mean: Vec::new(), scatter: Vec::new() }
    }

    fn of(rows: &[f64], dim: usize) -> Self {
        let (mean, deviations) = centred(rows, dim);
        let mut scatter = vec![0.0; dim * dim];
        add_gram(&mut scatter, &deviations, dim);
        Self { count: rows.len() / dim, mean, scatter }
    }

    /// Chan's merge: with delta = m_b - m, S += S_b + delta deltaᵀ n n_b / (n + n_b) and m += delta n_b / (n + n_b).
    fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            self.clone_from(other);
            return;
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let delta: Vec<f64> = other.mean.iter().zip(&self.mean).map(|(b, a)| b - a).collect();
        let (share, weight) = (m / (n + m), n * m / (n + m));
        self.mean.iter_mut().zip(&delta).for_each(|(a, d)| *a += d * share);
        let dim = delta.len();
        let rows = self.scatter.par_chunks_exact_mut(dim).zip(other.scatter.par_chunks_exact(dim));
        rows.zip(&delta).for_each(|((row, other), d)| {
            for ((s, o), e) in row.iter_mut().zip(other).zip(&delta) {
                *s += o + d * e * weight;
            }
        });
        self.count = self.count.saturating_add(other.count);
    }
}
