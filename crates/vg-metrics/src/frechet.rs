//! Fréchet distance between Gaussians: FVD, FID and their kin.
//!
//! d² = |μ₁ - μ₂|² + tr C₁ + tr C₂ - 2 tr (C₁ C₂)^½ (Dowson and Landau 1982). The root of the product of two covariances is never formed: its trace
//! comes from the eigenvalues of a symmetric matrix or from singular values.

use crate::error::{Error, Result};
use crate::gaussian::{Divisor, Gaussian};
use crate::linalg::{cholesky, eigen, eigenvalues, nuclear_norm, product, product_transposed};

/// How the trace of the root is computed. All forms agree for covariances of full rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Eigenvalues of W C₂ Wᵀ with C₁ = Wᵀ W (Cholesky, or eigenvectors where C₁ is singular), negative ones taken as 0.
    Eigenvalues,
    /// Sum of the singular values of A Bᵀ with A, B the centred features: exact where there are fewer vectors than dimensions, and the
    /// only form in which such a set is at distance 0 from itself.
    NuclearNorm,
    /// Eigenvalues of A C Aᵀ, where only one set has fewer vectors than dimensions: A are its centred features, C the other's covariance.
    SmallSide,
    /// tfgan's arithmetic, used by the original FVD: singular values below 1e-10 are kept unrooted, in both roots.
    TfReference,
}

/// A distance and its parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frechet {
    /// |μ₁ - μ₂|².
    pub mean_term: f64,
    /// tr C₁ and tr C₂.
    pub traces: [f64; 2],
    /// tr (C₁ C₂)^½.
    pub root_trace: f64,
    /// How `root_trace` was computed.
    pub form: Form,
}

impl Frechet {
    /// The squared distance, as FVD and FID are reported; at least 0. NaN, which [`distance`] never gives, stays NaN.
    pub fn value(&self) -> f64 {
        let value = self.unclamped();
        if value < 0.0 { 0.0 } else { value }
    }

    /// The sum of the parts, which rounding can take below 0.
    pub fn unclamped(&self) -> f64 {
        self.mean_term + self.traces[0] + self.traces[1] - 2.0 * self.root_trace
    }
}

/// Distance in the form that is exact for the numbers of vectors at hand.
///
/// # Errors
/// [`Error::Shape`] when dimensions differ, [`Error::TooFew`] for fewer than two vectors on a side, [`Error::NotFinite`] for features so
/// large that their squares overflow, [`Error::NoConvergence`] when a decomposition fails.
pub fn distance(a: &Gaussian, b: &Gaussian, divisor: Divisor) -> Result<Frechet> {
    let few = |g: &Gaussian| g.count() <= g.dim() && g.centred().is_some();
    let form = match (few(a), few(b)) {
        (true, true) => Form::NuclearNorm,
        (false, false) => Form::Eigenvalues,
        _ => Form::SmallSide,
    };
    distance_by(form, a, b, divisor)
}

/// Distance in a given form.
///
/// # Errors
/// As [`distance`]; [`Error::Setting`] when the form needs vectors that are no longer kept.
pub fn distance_by(form: Form, a: &Gaussian, b: &Gaussian, divisor: Divisor) -> Result<Frechet> {
    expect_pair(a, b)?;
    let d = a.dim();
    let scales = [divisor.of(a.count()), divisor.of(b.count())];
    // Decompositions of what is not finite end in an error of their own, if they end.
    let check = |parts: [f64; 3]| Error::finite(parts.iter().sum(), || name_of_pair(a, b)).map(|_| parts);
    let ([mean_term, one, other], root_trace) = match form {
        Form::NuclearNorm => {
            let (x, y) = (kept(a)?, kept(b)?);
            let traces = [square_sum(&x) / scales[0], square_sum(&y) / scales[1]];
            let parts = check([squared_gap(&a.mean()?, &b.mean()?), traces[0], traces[1]])?;
            let norm = nuclear_norm(&product_transposed(&x, &y, d), a.count(), b.count())?;
            (parts, norm / (scales[0] * scales[1]).sqrt())
        }
        Form::SmallSide => {
            let swap = a.centred().is_none();
            let (small, large) = if swap { (b, a) } else { (a, b) };
            let x = kept(small)?;
            let (mean, covariance) = large.mean_and_covariance(divisor)?;
            let scale = divisor.of(small.count());
            let traces = [square_sum(&x) / scale, trace(&covariance, d)];
            let [of_a, of_b] = if swap { [traces[1], traces[0]] } else { traces };
            let parts = check([squared_gap(&small.mean()?, &mean), of_a, of_b])?;
            let inner = product_transposed(&product(&x, &covariance, d), &x, d);
            let root =
                root_sum(&eigenvalues(&symmetric(inner, small.count()), small.count())?) / scale.sqrt();
            (parts, root)
        }
        Form::Eigenvalues | Form::TfReference => {
            let ((m1, c1), (m2, c2)) = (a.mean_and_covariance(divisor)?, b.mean_and_covariance(divisor)?);
            let parts = check([squared_gap(&m1, &m2), trace(&c1, d), trace(&c2, d)])?;
            let root = if form == Form::Eigenvalues { eigen_root(&c1, &c2, d) } else { tf_root(&c1, &c2, d) };
            (parts, root?)
        }
    };
    let found = Frechet { mean_term, traces: [one, other], root_trace, form };
    Error::finite(found.unclamped(), || name_of_pair(a, b))?;
    Ok(found)
}

fn name_of_pair(a: &Gaussian, b: &Gaussian) -> String {
    format!("the Fréchet distance of {} and {}", a.what(), b.what())
}

/// The distance that ignores covariances between features: |μ₁ - μ₂|² + |σ₁ - σ₂|².
///
/// # Errors
/// As [`distance`].
pub fn diagonal(a: &Gaussian, b: &Gaussian, divisor: Divisor) -> Result<f64> {
    expect_pair(a, b)?;
    let d = a.dim();
    let ((m1, c1), (m2, c2)) = (a.mean_and_covariance(divisor)?, b.mean_and_covariance(divisor)?);
    let gap = |i: usize| c1[i * d + i].max(0.0).sqrt() - c2[i * d + i].max(0.0).sqrt();
    let value = squared_gap(&m1, &m2) + (0..d).map(|i| gap(i) * gap(i)).sum::<f64>();
    Error::finite(value, || name_of_pair(a, b))
}

fn expect_pair(a: &Gaussian, b: &Gaussian) -> Result<()> {
    if a.dim() != b.dim() {
        let what = format!("features of {}", b.what());
        return Err(Error::shape(what, format!("dimension {} as {}", a.dim(), a.what()), &[b.dim()]));
    }
    for g in [a, b] {
        Error::at_least(format!("feature vectors of {}", g.what()), g.count(), 2)?;
    }
    Ok(())
}

fn kept(g: &Gaussian) -> Result<Vec<f64>> {
    let expected = format!("at most {} feature vectors of {}", g.dim(), g.what());
    g.centred()
        .ok_or_else(|| Error::setting("form of the Fréchet distance", "one from the features", expected))
}

/// With C₁ = Wᵀ W, C₁ C₂ has the eigenvalues of W C₂ Wᵀ.
fn eigen_root(c1: &[f64], c2: &[f64], d: usize) -> Result<f64> {
    let w = match cholesky(c1, d) {
        Some(w) => w,
        None => scaled_eigenvectors(c1, d)?,
    };
    let inner = product_transposed(&product(&w, c2, d), &w, d);
    Ok(root_sum(&eigenvalues(&symmetric(inner, d), d)?))
}

/// Rows √λ_i q_i of a singular covariance.
fn scaled_eigenvectors(c: &[f64], d: usize) -> Result<Vec<f64>> {
    let (values, mut w) = eigen(c, d)?;
    for (row, value) in w.chunks_exact_mut(d).zip(&values) {
        let root = value.max(0.0).sqrt();
        row.iter_mut().for_each(|v| *v *= root);
    }
    Ok(w)
}

/// `trace_sqrt_product` of tfgan. The singular values of a symmetric matrix are the absolute eigenvalues, and a negative eigenvalue's
/// singular vectors differ in sign.
fn tf_root(c1: &[f64], c2: &[f64], d: usize) -> Result<f64> {
    let root = |v: f64| v.signum() * if v.abs() < 1e-10 { v.abs() } else { v.abs().sqrt() };
    let (values, q) = eigen(c1, d)?;
    let mut scaled = q.clone();
    for (row, &value) in scaled.chunks_exact_mut(d).zip(&values) {
        row.iter_mut().for_each(|v| *v *= root(value));
    }
    let mut transposed = vec![0.0; d * d];
    for (i, row) in q.chunks_exact(d).enumerate() {
        row.iter().enumerate().for_each(|(j, v)| transposed[j * d + i] = *v);
    }
    let half = product(&transposed, &scaled, d);
    let inner = product(&product(&half, c2, d), &half, d);
    Ok(eigenvalues(&symmetric(inner, d), d)?.into_iter().map(root).sum())
}

fn symmetric(mut m: Vec<f64>, d: usize) -> Vec<f64> {
    for i in 0..d {
        for j in 0..i {
            let mean = 0.5 * (m[i * d + j] + m[j * d + i]);
            (m[i * d + j], m[j * d + i]) = (mean, mean);
        }
    }
    m
}

fn root_sum(values: &[f64]) -> f64 {
    values.iter().map(|v| v.max(0.0).sqrt()).sum()
}

fn trace(m: &[f64], d: usize) -> f64 {
    (0..d).map(|i| m[i * d + i]).sum()
}

fn square_sum(m: &[f64]) -> f64 {
    m.iter().map(|v| v * v).sum()
}

fn squared_gap(a: &[f64], b: &[f64]) -> f64 {
    crate::linalg::squared_distance(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Gaussian with given moments.
    fn given(mean: &[f64], covariance: &[f64]) -> Gaussian {
        Gaussian::from_moments("given", 1000, mean, covariance, Divisor::NMinusOne).unwrap()
    }

    fn check(a: &Gaussian, b: &Gaussian, want: f64) {
        for form in [Form::Eigenvalues, Form::TfReference] {
            let got = distance_by(form, a, b, Divisor::NMinusOne).unwrap().unclamped();
            assert!((got - want).abs() < 1e-11 * want.max(1.0), "{form:?}: {got}, want {want}");
        }
    }

    #[test]
    fn closed_cases() {
        check(&given(&[0.0], &[1.0]), &given(&[3.0], &[4.0]), 10.0);
        let identity = [1.0, 0.0, 0.0, 1.0];
        check(&given(&[0.0, 0.0], &identity), &given(&[1.0, 2.0], &[4.0, 0.0, 0.0, 9.0]), 10.0);
        let (one, other) =
            (given(&[0.0, 0.0], &[2.0, 1.0, 1.0, 3.0]), given(&[1.0, 2.0], &[1.0, -0.5, -0.5, 2.0]));
        check(&one, &other, 5.812210414015);
        let root = distance(&one, &other, Divisor::NMinusOne).unwrap().root_trace;
        assert!((root - 3.593894792993).abs() < 1e-12);
        let singular = (given(&[0.0; 2], &[1.0; 4]), given(&[0.0; 2], &[1.0, -1.0, -1.0, 1.0]));
        let got = distance(&singular.0, &singular.1, Divisor::NMinusOne).unwrap().value();
        assert!((got - 4.0).abs() < 1e-7, "{got}");
        let a = given(&[0.5, -1.0, 2.0], &[4.0, 2.0, 0.6, 2.0, 3.0, 0.4, 0.6, 0.4, 1.0]);
        let b = given(&[0.0, 0.25, 1.5], &[2.0, -0.3, 0.5, -0.3, 1.5, 0.2, 0.5, 0.2, 2.5]);
        check(&a, &b, 3.748008865182);
    }

    #[test]
    fn errors_name_the_set() {
        let (a, mut b) = (given(&[0.0], &[1.0]), Gaussian::new("fake clips", 1).unwrap());
        b.push(&[1.0_f32]).unwrap();
        let error = distance(&a, &b, Divisor::NMinusOne).unwrap_err().to_string();
        assert_eq!(error, "feature vectors of fake clips: 1 given, at least 2 needed");
        let error = distance(&a, &given(&[0.0; 2], &[1.0, 0.0, 0.0, 1.0]), Divisor::N).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
        let error = distance_by(Form::NuclearNorm, &a, &a, Divisor::N).unwrap_err();
        assert!(error.to_string().contains("at most 1 feature vectors"), "{error}");
        let error = Gaussian::from_moments("x", 9, &[0.0; 2], &[1.0, 2.0, 0.0, 1.0], Divisor::N);
        assert!(error.unwrap_err().to_string().contains("symmetric"));
    }
}
