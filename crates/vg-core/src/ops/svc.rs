//! Singular value clipping, exactly, without a full decomposition.
//!
//! Source: Saito, Matsumoto and Saito, "Temporal Generative Adversarial Nets with Singular Value Clipping", 2017, section 3.4.
//!
//! For `A` with at most as many rows as columns, `A A^T = U diag(lambda) U^T`, and with K the columns where `lambda > ceiling^2`
//! the clipped matrix is `A - U_K diag(1 - ceiling / sqrt(lambda_K)) U_K^T A`. Only large eigenvalues are inverted, so the
//! squaring costs no accuracy where it matters. Tall matrices are clipped from the other side.

use candle_core::{D, DType, Device, Tensor};
use faer::linalg::solvers::SelfAdjointEigen;
use faer::{Mat, Side};

use super::conv::{ConvParams, conv, conv_weight_grad};
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
    if matrix.squared_norm <= ceiling * ceiling {
        return Ok(weight.detach());
    }
    let eigen = matrix.eigen()?;
    let m = matrix.rows();
    let exceeding: Vec<usize> = (0..m).filter(|i| eigen.S()[*i] > ceiling * ceiling).collect();
    if exceeding.is_empty() {
        return Ok(weight.detach());
    }
    let k = exceeding.len();
    let u: Vec<f64> = exceeding.iter().flat_map(|i| (0..m).map(|row| eigen.U()[(row, *i)])).collect();
    let factors: Vec<f64> = exceeding.iter().map(|i| 1.0 - ceiling / eigen.S()[*i].sqrt()).collect();
    let u = Tensor::from_vec(u, (k, m), &Device::Cpu)?;
    let scaled = u.broadcast_mul(&Tensor::from_vec(factors, (k, 1), &Device::Cpu)?)?.t()?;
    // U_K^T A first: for few clipped values both products are thin.
    let correction = product(&scaled, &product(&u, &matrix.a)?)?;
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
    Ok((0..matrix.rows()).rev().map(|i| eigen.S()[i].max(0.0).sqrt()).collect())
}

/// `[k, m]` times `[1, m, n]`: a convolution with a kernel of one element, `[1, k, n]`.
fn product(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    conv(right, &left.unsqueeze(D::Minus1)?, &ConvParams::default())
}

/// A matrix in f64 with its smaller side as the rows.
struct Short {
    /// `[1, rows, columns]`.
    a: Tensor,
    squared_norm: f64,
    /// Whether the tensor's matrix is the transpose.
    flipped: bool,
}

impl Short {
    /// `None` for a tensor without elements.
    fn read(weight: &Tensor) -> Result<Option<Self>> {
        if weight.rank() < 2 {
            return Err(Error::shape("singular value clipping", "two axes or more", weight.dims()));
        }
        if weight.elem_count() == 0 {
            return Ok(None);
        }
        let matrix = weight.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_from(1)?;
        let values: Vec<f64> = matrix.flatten_all()?.to_vec1()?;
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            let problem = format!(
                "singular value clipping: element {i} of a weight of shape {:?} is {}; the run has diverged before this step",
                weight.dims(),
                values[i]
            );
            return Err(Error::Unsupported(problem));
        }
        let (out, rest) = matrix.dims2()?;
        let flipped = out > rest;
        let a = if flipped { matrix.t()?.contiguous()? } else { matrix }.unsqueeze(0)?;
        Ok(Some(Self { a, squared_norm: values.iter().map(|v| v * v).sum(), flipped }))
    }

    fn rows(&self) -> usize {
        self.a.dims()[1]
    }

    /// Eigenvalues of the Gram matrix in increasing order, with their vectors.
    fn eigen(&self) -> Result<SelfAdjointEigen<f64>> {
        let m = self.rows();
        // Sums of products over all columns: what the weight's gradient is for a kernel of one element.
        let gram = conv_weight_grad(&self.a, &self.a, &[1], &ConvParams::default())?;
        let gram: Vec<f64> = gram.flatten_all()?.to_vec1()?;
        let gram = Mat::from_fn(m, m, |i, j| gram[i * m + j]);
        gram.self_adjoint_eigen(Side::Lower).map_err(|e| {
            Error::Unsupported(format!(
                "singular value clipping: the eigendecomposition did not converge ({e:?})"
            ))
        })
    }

    /// The difference, in the layout, type and device of `like`.
    fn minus(&self, correction: &Tensor, like: &Tensor) -> Result<Tensor> {
        let clipped = (&self.a - correction)?.squeeze(0)?;
        let clipped = if self.flipped { clipped.t()?.contiguous()? } else { clipped };
        Ok(clipped.reshape(like.shape())?.to_dtype(like.dtype())?.to_device(like.device())?)
    }
}
