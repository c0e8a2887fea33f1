//! Dense f64 linear algebra, in row-major slices outside and faer inside.
//!
//! Products are split into blocks of fixed size and every block is computed by one thread, so results do not depend on their number.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::linalg::matmul::matmul;
use faer::linalg::svd::{ComputeSvdVectors, svd, svd_scratch};
use faer::prelude::default;
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::error::{Error, Result};

/// Rows of a product that one thread computes at a time.
const BLOCK: usize = 64;

/// `a bᵀ`, `[n, k] x [m, k] -> [n, m]`, all row-major.
pub(crate) fn product_transposed(a: &[f64], b: &[f64], k: usize) -> Vec<f64> {
    let (n, m) = (a.len() / k, b.len() / k);
    let mut out = vec![0.0; n * m];
    if m == 0 {
        return out;
    }
    let right = MatRef::from_row_major_slice(b, m, k);
    out.par_chunks_mut(BLOCK * m).zip(a.par_chunks(BLOCK * k)).for_each(|(out, a)| {
        let rows = a.len() / k;
        let left = MatRef::from_row_major_slice(a, rows, k);
        let out = MatMut::from_row_major_slice_mut(out, rows, m);
        matmul(out, Accum::Replace, left, right.transpose(), 1.0, Par::Seq);
    });
    out
}

/// `a b`, `[n, k] x [k, m] -> [n, m]`, all row-major.
pub(crate) fn product(a: &[f64], b: &[f64], k: usize) -> Vec<f64> {
    let (n, m) = (a.len() / k, b.len() / k);
    let mut out = vec![0.0; n * m];
    let right = MatRef::from_row_major_slice(b, k, m);
    out.par_chunks_mut(BLOCK * m).zip(a.par_chunks(BLOCK * k)).for_each(|(out, a)| {
        let rows = a.len() / k;
        let left = MatRef::from_row_major_slice(a, rows, k);
        let out = MatMut::from_row_major_slice_mut(out, rows, m);
        matmul(out, Accum::Replace, left, right, 1.0, Par::Seq);
    });
    out
}

/// Adds `xᵀ x` of rows `x` `[n, d]` to `gram` `[d, d]`.
pub(crate) fn add_gram(gram: &mut [f64], x: &[f64], d: usize) {
    let n = x.len() / d;
    let x = MatRef::from_row_major_slice(x, n, d);
    gram.par_chunks_mut(BLOCK * d).enumerate().for_each(|(i, out)| {
        let rows = out.len() / d;
        let left = x.subcols(i * BLOCK, rows).transpose();
        let out = MatMut::from_row_major_slice_mut(out, rows, d);
        matmul(out, Accum::Add, left, x, 1.0, Par::Seq);
    });
}

/// Rows `W` with `Wᵀ W = a` of a symmetric matrix `[d, d]` that is positive definite to rounding: the transposed Cholesky factor.
pub(crate) fn cholesky(a: &[f64], d: usize) -> Option<Vec<f64>> {
    let mut factor = a.to_vec();
    let mut buffer = MemBuffer::new(cholesky_in_place_scratch::<f64>(d, Par::Seq, default()));
    // The upper triangle of the row-major matrix is the lower one of its transpose.
    let lower = MatMut::from_column_major_slice_mut(&mut factor, d, d);
    cholesky_in_place(lower, default(), Par::Seq, MemStack::new(&mut buffer), default()).ok()?;
    for (i, row) in factor.chunks_exact_mut(d).enumerate() {
        row[..i].fill(0.0);
    }
    Some(factor)
}

/// Eigenvalues of a symmetric matrix `[d, d]`, ascending. The lower triangle is read.
pub(crate) fn eigenvalues(a: &[f64], d: usize) -> Result<Vec<f64>> {
    let mut values = Diag::<f64>::zeros(d);
    let scratch = self_adjoint_evd_scratch::<f64>(d, ComputeEigenvectors::No, Par::Seq, default());
    let mut buffer = MemBuffer::new(scratch);
    let a = MatRef::from_row_major_slice(a, d, d);
    self_adjoint_evd(a, values.as_mut(), None, Par::Seq, MemStack::new(&mut buffer), default())
        .map_err(|_| Error::NoConvergence("the eigenvalues of a covariance matrix"))?;
    Ok(values.column_vector().iter().copied().collect())
}

/// Eigenvalues, ascending, and eigenvectors of a symmetric matrix `[d, d]`; vector `i` is row `i` of the second `[d, d]`.
pub(crate) fn eigen(a: &[f64], d: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut values, mut vectors) = (Diag::<f64>::zeros(d), Mat::<f64>::zeros(d, d));
    let scratch = self_adjoint_evd_scratch::<f64>(d, ComputeEigenvectors::Yes, Par::Seq, default());
    let mut buffer = MemBuffer::new(scratch);
    let a = MatRef::from_row_major_slice(a, d, d);
    let vectors_out = Some(vectors.as_mut());
    self_adjoint_evd(a, values.as_mut(), vectors_out, Par::Seq, MemStack::new(&mut buffer), default())
        .map_err(|_| Error::NoConvergence("the eigenvectors of a covariance matrix"))?;
    let rows = (0..d).flat_map(|j| vectors.col(j).iter().copied()).collect();
    Ok((values.column_vector().iter().copied().collect(), rows))
}

/// Sum of the singular values of a matrix `[n, m]`.
pub(crate) fn nuclear_norm(a: &[f64], n: usize, m: usize) -> Result<f64> {
    let mut values = Diag::<f64>::zeros(n.min(m));
    let none = ComputeSvdVectors::No;
    let mut buffer = MemBuffer::new(svd_scratch::<f64>(n, m, none, none, Par::Seq, default()));
    let a = MatRef::from_row_major_slice(a, n, m);
    svd(a, values.as_mut(), None, None, Par::Seq, MemStack::new(&mut buffer), default())
        .map_err(|_| Error::NoConvergence("the singular values of the features' product"))?;
    Ok(values.column_vector().iter().sum())
}

/// `xᵀ y`.
pub(crate) fn dot(x: &[f64], y: &[f64]) -> f64 {
    // Eight running sums in a fixed order: quick, and the same on every machine.
    let mut sums = [0.0; 8];
    let (xs, ys) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f64 = xs.remainder().iter().zip(ys.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in xs.zip(ys) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// `|x - y|²`.
pub(crate) fn squared_distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_sums_by_hand() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 0.0, 2.0, 0.0, 1.0, 1.0]);
        assert_eq!(product_transposed(&a, &b, 3), [7.0, 5.0, 16.0, 11.0]);
        assert_eq!(product(&a, &b, 3), [8.0, 3.0, 20.0, 6.0]);
        let mut gram = vec![1.0; 9];
        add_gram(&mut gram, &a, 3);
        assert_eq!(gram, [18.0, 23.0, 28.0, 23.0, 30.0, 37.0, 28.0, 37.0, 46.0]);
        assert_eq!(dot(&a, &b), 1.0 + 6.0 + 5.0 + 6.0);
    }

    #[test]
    fn decompositions_of_small_matrices() {
        let a = [2.0, 1.0, 1.0, 2.0];
        let (values, vectors) = eigen(&a, 2).unwrap();
        assert!((values[0] - 1.0).abs() < 1e-14 && (values[1] - 3.0).abs() < 1e-14);
        assert!((vectors[2] - vectors[3]).abs() < 1e-14, "{vectors:?}");
        assert_eq!(eigenvalues(&a, 2).unwrap().len(), 2);
        let w = cholesky(&a, 2).unwrap();
        let back = [0, 1, 2, 3].map(|i| w[i / 2] * w[i % 2] + w[2 + i / 2] * w[2 + i % 2]);
        assert!(back.iter().zip(&a).all(|(x, y)| (x - y).abs() < 1e-15) && w[2] == 0.0, "{w:?}");
        assert!(cholesky(&[1.0, 2.0, 2.0, 1.0], 2).is_none());
        assert!((nuclear_norm(&[3.0, 0.0, 0.0, -4.0], 2, 2).unwrap() - 7.0).abs() < 1e-14);
    }
}
