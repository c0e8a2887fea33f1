//! Improved precision and recall (Kynkäänniemi et al. 2019).

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::features::Features;
use crate::linalg::{dot, product_transposed, squared_distance};

/// How well one set lies inside the other's manifold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrecisionRecall {
    /// Share of generated vectors inside the real manifold: quality.
    pub precision: f64,
    /// Share of real vectors inside the generated manifold: diversity.
    pub recall: f64,
}

/// Neighbours that define a ball, as in the paper.
pub const NEIGHBOURS: usize = 3;

/// Precision and recall, with the manifold of a set being the balls around its vectors that reach to their `k`-th neighbour in the set,
/// themselves not counted. Use equally many vectors on both sides.
///
/// Distances are computed in blocks; memory beyond the features is 2 MB per thousand vectors.
///
/// # Errors
/// [`Error::Setting`] when `k` is 0, [`Error::TooFew`] when a set has no `k` neighbours, [`Error::Shape`] when dimensions differ.
pub fn precision_recall(real: &Features, fake: &Features, k: usize) -> Result<PrecisionRecall> {
    if k == 0 {
        return Err(Error::setting("number of neighbours", k, "1 or more"));
    }
    real.expect_pair(fake, k + 1)?;
    let inside = |from: &Features, of: &Features| {
        let radii = squared_radii(of, k);
        let hits = map_distances(from, of, |row| row.iter().zip(&radii).any(|(d, r)| d <= r));
        hits.iter().filter(|hit| **hit).count() as f64 / from.len() as f64
    };
    Ok(PrecisionRecall { precision: inside(fake, real), recall: inside(real, fake) })
}

/// Distance of every vector to its `k`-th neighbour.
///
/// # Errors
/// As [`precision_recall`].
pub fn radii(set: &Features, k: usize) -> Result<Vec<f64>> {
    if k == 0 {
        return Err(Error::setting("number of neighbours", k, "1 or more"));
    }
    set.expect_pair(set, k + 1)?;
    Ok(squared_radii(set, k).into_iter().map(f64::sqrt).collect())
}

fn squared_radii(set: &Features, k: usize) -> Vec<f64> {
    // Element k of the sorted distances, which start with the vector itself.
    map_distances(set, set, |row| *row.select_nth_unstable_by(k, f64::total_cmp).1)
}

/// Rows of the distance matrix in memory at a time.
const BLOCK: usize = 256;

/// Applies `f` to the squared distances of every vector of `x` to all of `y`.
fn map_distances<T: Send>(x: &Features, y: &Features, f: impl Fn(&mut [f64]) -> T + Sync) -> Vec<T> {
    let (d, m) = (x.dim(), y.len());
    let norms: Vec<f64> = y.rows().map(|v| dot(v, v)).collect();
    let mut out = Vec::with_capacity(x.len());
    for rows in x.values().chunks(BLOCK * d) {
        let mut block = product_transposed(rows, y.values(), d);
        let mapped = block.par_chunks_exact_mut(m).zip(rows.par_chunks_exact(d)).map(|(row, u)| {
            let norm = dot(u, u);
            for (j, value) in row.iter_mut().enumerate() {
                let sum = norm + norms[j];
                *value = sum - 2.0 * *value;
                // Where digits cancel, directly: equal vectors are at distance 0.
                if *value <= 1e-6 * sum {
                    *value = squared_distance(u, y.row(j));
                }
            }
            f(row)
        });
        out.extend(mapped.collect::<Vec<T>>());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line() {
        let real = Features::from_rows("real", 1, &[0.0, 1.0, 3.0]).unwrap();
        let fake = Features::from_rows("fake", 1, &[2.0, 10.0]).unwrap();
        // Radii at k = 1: 1, 1, 2 and 8, 8.
        let got = precision_recall(&real, &fake, 1).unwrap();
        assert_eq!(got, PrecisionRecall { precision: 0.5, recall: 1.0 });
        assert_eq!(radii(&real, 1).unwrap(), [1.0, 1.0, 2.0]);
        let error = precision_recall(&real, &fake, 2).unwrap_err().to_string();
        assert_eq!(error, "feature vectors of fake: 2 given, at least 3 needed");
        assert!(precision_recall(&real, &fake, 0).is_err());
    }

    #[test]
    fn equal_vectors_are_inside() {
        let rows: Vec<f64> = (0..40).map(|i| 1e4 + ((i % 20) as f64 * 0.37).sin()).collect();
        let set = Features::from_rows("x", 2, &rows).unwrap();
        let got = precision_recall(&set, &set, 1).unwrap();
        assert_eq!(got, PrecisionRecall { precision: 1.0, recall: 1.0 });
        // Every vector is there twice.
        assert!(radii(&set, 1).unwrap().iter().all(|r| *r == 0.0));
    }
}
