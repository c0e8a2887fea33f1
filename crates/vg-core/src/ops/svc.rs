//! Singular value clipping, exactly, without a full decomposition.
//!
//! Source: Saito, Matsumoto and Saito, "Temporal Generative Adversarial Nets with Singular Value Clipping", 2017, section 3.4.
//!
//! For `A` with at most as many rows as columns, `A A^T = U diag(lambda) U^T`, and with K the columns where `lambda > ceiling^2`
//! the clipped matrix is `A - U_K diag(1 - ceiling / sqrt(lambda_K)) U_K^T A`. Only large eigenvalues are inverted, so the
//! squaring costs no accuracy where it matters. Tall matrices are clipped from the other side.

use candle_core::{DType, Device, Tensor};
use faer::linalg::solvers::SelfAdjointEigen;
use faer::{Mat, Side};

use super::matmul::{Matrix, matmul};
use crate::{Error, Result};

/// The tensor with every singular value of its matrix `[shape[0], rest]` limited to `ceiling`.
///
/// All arithmetic is in f64; the result has the type, shape and device of the input. It is a constant: the operation acts on
/// parameters between updates and has no gradient. If no singular value exceeds the ceiling, the values come back unchanged,
/// bit for bit.
///
/// # Errors
/// [`Error::Shape`] for fewer than two axes, [`Error::Unsupported`] for a negative ceiling or values that are not finite.
pub fn clip_singular_values(weight: &Tensor, ceiling: f64) -> Result<Tensor> {
    if ceiling.is_nan() || ceiling < 0.0 {
        return Err(Error::Unsupported(format!(
            "singular value clipping: the ceiling is {ceiling}, not 0 or more"
        )));
    }
    let Some(matrix) = Short::read(weight)? else { return Ok(weight.detach()) };
    // The Gram matrix's trace bounds its largest eigenvalue.
    if matrix.squared_norm() <= ceiling * ceiling {
        return Ok(weight.detach());
    }
    let eigen = matrix.eigen()?;
    let exceeding: Vec<usize> = (0..matrix.rows).filter(|i| eigen.S()[*i] > ceiling * ceiling).collect();
    if exceeding.is_empty() {
        return Ok(weight.detach());
    }
    let (m, k) = (matrix.rows, exceeding.len());
    let mut columns = Vec::with_capacity(m * k);
    let mut scaled = Vec::with_capacity(m * k);
    for row in 0..m {
        for &i in &exceeding {
            let u = eigen.U()[(row, i)];
            columns.push(u);
            scaled.push(u * (1.0 - ceiling / eigen.S()[i].sqrt()));
        }
    }
    // U_K^T A first: for few clipped values both products are thin.
    let projected = matmul(Matrix::new(&columns, m, k).t(), matrix.view());
    let correction = matmul(Matrix::new(&scaled, m, k), Matrix::new(&projected, k, matrix.columns));
    matrix.minus(&correction, weight)
}

/// Singular values of the matrix `[shape[0], rest]` of a tensor, largest first: as many as its smaller side.
///
/// They are roots of eigenvalues of the Gram matrix in f64: the large ones are exact to rounding, those below about 1e-8 of the
/// largest are not resolved.
///
/// # Errors
/// [`Error::Shape`] for fewer than two axes, [`Error::Unsupported`] for values that are not finite.
pub fn singular_values(weight: &Tensor) -> Result<Vec<f64>> {
    let Some(matrix) = Short::read(weight)? else { return Ok(Vec::new()) };
    let eigen = matrix.eigen()?;
    Ok((0..matrix.rows).rev().map(|i| eigen.S()[i].max(0.0).sqrt()).collect())
}

/// A matrix in f64 with its smaller side as the rows.
struct Short {
    data: Vec<f64>,
    rows: usize,
    columns: usize,
    /// Whether `data` is the row-major tensor as it is, or is to be read as the transpose of it.
    flipped: bool,
}

impl Short {
    /// `None` for a tensor without elements.
    fn read(weight: &Tensor) -> Result<Option<Self>> {
        let [out, rest @ ..] = weight.dims() else {
            return Err(Error::shape("singular value clipping", "[out, ...]", weight.dims()));
        };
        if rest.is_empty() {
            return Err(Error::shape("singular value clipping", "two axes or more", weight.dims()));
        }
        let (out, rest) = (*out, rest.iter().product::<usize>());
        if out * rest == 0 {
            return Ok(None);
        }
        let data: Vec<f64> =
            weight.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        if let Some(i) = data.iter().position(|v| !v.is_finite()) {
            let problem = format!(
                "singular value clipping: element {i} of a weight of shape {:?} is {}; the run has diverged before this step",
                weight.dims(),
                data[i]
            );
            return Err(Error::Unsupported(problem));
        }
        let flipped = out > rest;
        Ok(Some(Self { data, rows: out.min(rest), columns: out.max(rest), flipped }))
    }

    fn view(&self) -> Matrix<'_, f64> {
        if self.flipped {
            Matrix::new(&self.data, self.columns, self.rows).t()
        } else {
            Matrix::new(&self.data, self.rows, self.columns)
        }
    }

    fn squared_norm(&self) -> f64 {
        self.data.iter().map(|v| v * v).sum()
    }

    /// Eigenvalues of the Gram matrix in increasing order, with their vectors.
    fn eigen(&self) -> Result<SelfAdjointEigen<f64>> {
        let gram = matmul(self.view(), self.view().t());
        let gram = Mat::from_fn(self.rows, self.rows, |i, j| gram[i * self.rows + j]);
        gram.self_adjoint_eigen(Side::Lower).map_err(|e| {
            Error::Unsupported(format!(
                "singular value clipping: the eigendecomposition did not converge ({e:?})"
            ))
        })
    }

    /// The difference, in the layout, type and device of `like`.
    fn minus(&self, correction: &[f64], like: &Tensor) -> Result<Tensor> {
        let at = |i: usize| if self.flipped { i % self.rows * self.columns + i / self.rows } else { i };
        let values: Vec<f64> = self.data.iter().enumerate().map(|(i, v)| v - correction[at(i)]).collect();
        Ok(Tensor::from_vec(values, like.shape(), &Device::Cpu)?
            .to_dtype(like.dtype())?
            .to_device(like.device())?)
    }
}
