//! Steps that keep a matrix orthogonal: the tangent gradient, and the retraction by a QR decomposition.

use candle_core::{DType, Tensor};
use vg_core::ops::linear::linear;
use vg_core::{Error, Result};

/// `G - P sym(P^T G)`, the part of a gradient at an orthogonal `P` that keeps it orthogonal to first order; both `[n, n]`.
///
/// Source: specification, section 1.1.
///
/// # Errors
/// [`Error::Shape`] when the sizes differ.
pub fn tangent(p: &Tensor, gradient: &Tensor) -> Result<Tensor> {
    let (pt, gt) = (p.t()?.contiguous()?, gradient.t()?.contiguous()?);
    let inner = linear(&pt, &gt, None)?;
    let symmetric = ((&inner + inner.t()?)? * 0.5)?;
    // P S with a symmetric S: the second factor's transpose is itself.
    Ok((gradient - linear(p, &symmetric, None)?)?)
}

/// Q of the QR decomposition of `[n, n]` whose R has a positive diagonal, so that no column changes its sign: Gram-Schmidt, twice, in f64.
///
/// Source: specification, section 1.1.
///
/// # Errors
/// [`Error::Shape`] when the matrix is not square, [`Error::Unsupported`] when its columns are not independent or not finite.
pub fn retract(p: &Tensor) -> Result<Tensor> {
    let (rows, columns) = p.dims2()?;
    if rows != columns {
        return Err(Error::shape("orthogonal matrix", "[n, n]", p.dims()));
    }
    let mut basis: Vec<Vec<f64>> = p.t()?.contiguous()?.to_dtype(DType::F64)?.to_vec2()?;
    for k in 0..columns {
        let (done, rest) = basis.split_at_mut(k);
        let column = &mut rest[0];
        let length = norm(column);
        for _ in 0..2 {
            for q in done.iter() {
                let along = dot(q, column);
                column.iter_mut().zip(q).for_each(|(a, b)| *a -= along * b);
            }
        }
        let left = norm(column);
        // Not so for NaN either.
        if !(left > 1e-10 * length && left.is_finite()) {
            let problem =
                format!("column {k} of a matrix that is to be made orthogonal depends on those before it");
            return Err(Error::Unsupported(problem));
        }
        column.iter_mut().for_each(|x| *x /= left);
    }
    let transposed = Tensor::from_vec(basis.concat(), (columns, rows), p.device())?;
    Ok(transposed.t()?.contiguous()?.to_dtype(p.dtype())?)
}

fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// With eight partial sums, so that vectors can be used.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, b) = (x.chunks_exact(8), y.chunks_exact(8));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        for k in 0..8 {
            sums[k] += a[k] * b[k];
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use vg_core::Rng;

    fn normal(name: &str, n: usize, dtype: DType) -> Tensor {
        Rng::new(6).stream(name).normal_tensor((n, n), dtype, &Device::Cpu).unwrap()
    }

    fn largest(x: &Tensor) -> f64 {
        x.abs().unwrap().max_all().unwrap().to_dtype(DType::F64).unwrap().to_scalar::<f64>().unwrap()
    }

    fn gram_error(q: &Tensor) -> f64 {
        let n = q.dim(0).unwrap();
        let eye = Tensor::eye(n, q.dtype(), q.device()).unwrap();
        largest(&(q.t().unwrap().contiguous().unwrap().matmul(q).unwrap() - eye).unwrap())
    }

    /// Section 12.1, item 1.
    #[test]
    fn retraction_is_orthogonal_and_keeps_orthogonal_matrices() {
        let q = retract(&normal("p", 128, DType::F32)).unwrap();
        assert!(gram_error(&q) < 1e-5, "{}", gram_error(&q));
        assert!(largest(&(retract(&q).unwrap() - &q).unwrap()) < 1e-6);
        // R = Q^T P has a positive diagonal.
        let (p, n) = (normal("p", 20, DType::F64), 20);
        let r = retract(&p).unwrap().t().unwrap().contiguous().unwrap().matmul(&p).unwrap();
        let r = r.to_vec2::<f64>().unwrap();
        assert!((0..n).all(|i| r[i][i] > 0.0 && (0..i).all(|j| r[i][j].abs() < 1e-12)));
    }

    /// Section 12.1, item 2.
    #[test]
    fn tangent_gradients_are_skew() {
        let p = retract(&normal("p", 32, DType::F64)).unwrap();
        let pt = p.t().unwrap().contiguous().unwrap();
        let a = pt.matmul(&tangent(&p, &normal("g", 32, DType::F64)).unwrap()).unwrap();
        assert!(largest(&(&a + a.t().unwrap()).unwrap()) < 1e-12);
        let s = normal("s", 32, DType::F64);
        let s = (&s + s.t().unwrap()).unwrap();
        assert!(largest(&tangent(&p, &p.matmul(&s).unwrap()).unwrap()) < 1e-12);
    }

    /// Section 12.1, item 3.
    #[test]
    fn directions_share_a_vectors_length() {
        let p = retract(&normal("p", 16, DType::F64)).unwrap();
        let d = normal("d", 16, DType::F64).narrow(0, 0, 1).unwrap();
        let mean = d.matmul(&p).unwrap().sqr().unwrap().mean_all().unwrap().to_scalar::<f64>().unwrap();
        let length = d.sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
        assert!((mean - length / 16.0).abs() < 1e-12);
    }

    #[test]
    fn dependent_columns_are_refused() {
        let p = Tensor::ones((3, 3), DType::F64, &Device::Cpu).unwrap();
        assert!(retract(&p).unwrap_err().to_string().contains("column 1"));
        assert!(retract(&(p * f64::NAN).unwrap()).is_err());
    }
}
