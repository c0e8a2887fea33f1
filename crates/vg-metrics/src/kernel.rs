//! Kernel distances: squared maximum mean discrepancy under k(x, y) = (xᵀy / d + 1)³ (Bińkowski et al. 2018), called KID on Inception
//! features and KVD on I3D logits.

use rayon::prelude::*;
use vg_core::rng::Rng;

use crate::error::{Error, Result};
use crate::features::Features;
use crate::linalg::product_transposed;

/// Estimators of the squared discrepancy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Estimator {
    /// Pairs of equal index left out within a set, kept between the sets. Can be negative; the one that is reported.
    Unbiased,
    /// Means of the three full matrices; never negative.
    Biased,
    /// Pairs of equal index left out everywhere; both sets must have one size.
    UStatistic,
}

/// Squared discrepancy of two whole sets.
///
/// # Errors
/// [`Error::Shape`] when dimensions, or sizes for [`Estimator::UStatistic`], differ; [`Error::TooFew`] for fewer than two vectors on a side;
/// [`Error::NotFinite`] for features so large that the kernel overflows.
pub fn discrepancy(x: &Features, y: &Features, estimator: Estimator) -> Result<f64> {
    x.expect_pair(y, 2)?;
    let (m, n) = (x.len() as f64, y.len() as f64);
    if estimator == Estimator::UStatistic && x.len() != y.len() {
        let what = format!("features of {}", y.what());
        return Err(Error::shape(what, format!("{} vectors as {}", x.len(), x.what()), &[y.len()]));
    }
    let (xx, yy, xy) = (kernel_sums(x, x), kernel_sums(y, y), kernel_sums(x, y));
    let value = match estimator {
        Estimator::Unbiased => {
            xx.off() / (m * (m - 1.0)) + yy.off() / (n * (n - 1.0)) - 2.0 * xy.all / (m * n)
        }
        Estimator::Biased => xx.all / (m * m) + yy.all / (n * n) - 2.0 * xy.all / (m * n),
        Estimator::UStatistic => (xx.off() + yy.off() - 2.0 * xy.off()) / (m * (m - 1.0)),
    };
    Error::finite(value, || format!("the kernel distance of {} and {}", x.what(), y.what()))
}

/// Values on subsets.
#[derive(Clone, Debug, PartialEq)]
pub struct SubsetValues {
    /// One unbiased value per subset.
    pub values: Vec<f64>,
}

impl SubsetValues {
    /// Mean over subsets: the reported value.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// Population standard deviation over subsets.
    pub fn std(&self) -> f64 {
        let mean = self.mean();
        (self.values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / self.values.len() as f64).sqrt()
    }
}

/// Unbiased discrepancies of random subsets of `size` vectors, drawn without replacement from each set; usual are 100 subsets of 1000.
///
/// # Errors
/// [`Error::Setting`] when `count` is 0 or `size` below 2, [`Error::TooFew`] when a set is smaller than a subset, [`Error::Shape`] when
/// dimensions differ.
pub fn over_subsets(
    x: &Features,
    y: &Features,
    count: usize,
    size: usize,
    seed: u64,
) -> Result<SubsetValues> {
    if count == 0 || size < 2 {
        let got = format!("{count} subsets of {size}");
        return Err(Error::setting("plan of the kernel distance", got, "1 or more subsets of 2 or more"));
    }
    x.expect_pair(y, size)?;
    let rng = Rng::new(seed);
    let draw = |set: &Features, name: &str, i: usize| {
        let mut order = rng.child("subset", i as u64).stream(name).permutation(set.len());
        order.truncate(size);
        set.select(&order)
    };
    let value = |i| discrepancy(&draw(x, "real", i), &draw(y, "fake", i), Estimator::Unbiased);
    Ok(SubsetValues { values: (0..count).map(value).collect::<Result<_>>()? })
}

/// Sums over a kernel matrix.
struct KernelSums {
    all: f64,
    diagonal: f64,
}

impl KernelSums {
    fn off(&self) -> f64 {
        self.all - self.diagonal
    }
}

/// Rows and columns of the kernel matrix in memory at a time.
const BLOCK: usize = 1024;

fn kernel_sums(x: &Features, y: &Features) -> KernelSums {
    let d = x.dim();
    let mut sums = KernelSums { all: 0.0, diagonal: 0.0 };
    for (i, a) in x.values().chunks(BLOCK * d).enumerate() {
        for (j, b) in y.values().chunks(BLOCK * d).enumerate() {
            let mut k = product_transposed(a, b, d);
            let columns = b.len() / d;
            k.par_iter_mut().for_each(|v| *v = (*v / d as f64 + 1.0).powi(3));
            // One sum per row, then the rows in order: the same with any number of threads.
            let rows: Vec<f64> = k.par_chunks_exact(columns).map(|row| row.iter().sum()).collect();
            sums.all += rows.iter().sum::<f64>();
            if i == j {
                sums.diagonal += (0..columns.min(a.len() / d)).map(|t| k[t * columns + t]).sum::<f64>();
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_vectors_by_hand() {
        let x = Features::from_rows("x", 2, &[1.0, 0.0, 0.0, 1.0]).unwrap();
        let y = Features::from_rows("y", 2, &[1.0, 1.0, 2.0, 0.0]).unwrap();
        for (estimator, want) in
            [(Estimator::Unbiased, 1.125), (Estimator::Biased, 7.0625), (Estimator::UStatistic, -2.375)]
        {
            assert_eq!(discrepancy(&x, &y, estimator).unwrap(), want, "{estimator:?}");
        }
    }

    #[test]
    fn plans_that_cannot_be_are_refused() {
        let x = Features::from_rows("real", 1, &[0.0, 1.0, 2.0]).unwrap();
        let y = Features::from_rows("fake", 1, &[0.0, 1.0]).unwrap();
        assert!(matches!(discrepancy(&x, &y, Estimator::UStatistic), Err(Error::Shape { .. })));
        let error = over_subsets(&x, &y, 5, 3, 0).unwrap_err().to_string();
        assert_eq!(error, "feature vectors of fake: 2 given, at least 3 needed");
        assert!(matches!(over_subsets(&x, &y, 0, 2, 0), Err(Error::Setting { .. })));
        // Both whole sets in every subset: the order of a set does not matter.
        let x = x.select(&[0, 2]);
        let values = over_subsets(&x, &y, 4, 2, 0).unwrap();
        assert!(values.std() < 1e-12 && values.values.len() == 4);
    }
}
