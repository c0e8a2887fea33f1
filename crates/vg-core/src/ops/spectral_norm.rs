//! Spectral normalisation: a weight divided by an estimate of its largest singular value.

use std::sync::{Arc, OnceLock};

use candle_core::{DType, Shape, Tensor};
use rayon::prelude::*;

use super::op::{Gradients, Op, Operand, Output, binary, wanted};
use super::real::Real;
use super::reduce::segment_sums;
use super::threads::CHUNK;
use crate::{Error, Result};

/// What one power iteration makes of a weight.
#[derive(Clone, Debug)]
pub struct SpectralNorm {
    /// The weight divided by sigma.
    pub weight: Tensor,
    /// The new left vector, `[rows]`, a constant.
    pub u: Tensor,
    /// `u^T W v`, the estimate of the largest singular value.
    pub sigma: f64,
}

/// One power iteration from `u` on the matrix `[shape[0], rest]` of a weight, and the weight divided by the sigma that it gives:
/// `v = W^T u / |W^T u|`, `u' = W v / |W v|`, `sigma = u'^T W v`.
///
/// The vectors are constants for the gradient, sigma is not: `dW = G / sigma - <G, W> / sigma^2 u' v^T`. It is differentiable once. Sums are
/// made in f64.
///
/// Source: Miyato et al., "Spectral Normalization for Generative Adversarial Networks", 2018, algorithm 1; lengths are held above `eps`.
///
/// # Shapes
/// - `weight` `[rows, ...]` with one axis or more; `u` `[rows]`
///
/// # Errors
/// [`Error::Shape`] when they do not fit or the weight is empty, [`Error::Unsupported`] for types other than f32 and f64 or mixed ones.
pub fn spectral_norm(weight: &Tensor, u: &Tensor, eps: f64) -> Result<SpectralNorm> {
    let rows = weight.dims().first().copied().unwrap_or(0);
    if weight.elem_count() == 0 || rows == 0 {
        return Err(Error::shape("weight of a spectral norm", "[rows, ...], not empty", weight.dims()));
    }
    if u.dims() != [rows] {
        return Err(Error::shape("vector of a spectral norm", format!("[{rows}]"), u.dims()));
    }
    if weight.dtype() != u.dtype() || !matches!(weight.dtype(), DType::F32 | DType::F64) {
        let types = format!("{:?} and a vector of {:?}", weight.dtype(), u.dtype());
        return Err(Error::Unsupported(format!("spectral norm: expected f32 or f64 for both, not {types}")));
    }
    let found = Arc::default();
    let normalised = binary(weight, &u.detach(), Divide { eps, found: Arc::clone(&found) })?;
    let found: &Arc<Found> = found.get().ok_or_else(|| {
        Error::Unsupported("spectral norm runs on the CPU only; move the tensors there".to_owned())
    })?;
    let u = Tensor::new(found.u.as_slice(), weight.device())?.to_dtype(weight.dtype())?;
    Ok(SpectralNorm { weight: normalised, u, sigma: found.sigma })
}

/// Result of a power iteration.
#[derive(Debug)]
struct Found {
    u: Vec<f64>,
    v: Vec<f64>,
    sigma: f64,
}

impl Found {
    fn new<T: Real>(w: &[T], u: &[T], eps: f64) -> Self {
        let v = normalised(transposed_product(w, u), eps);
        let product = product(w, &v);
        let u = normalised(product.clone(), eps);
        let sigma = u.iter().zip(&product).map(|(u, p)| u * p).sum();
        Self { u, v, sigma }
    }
}

fn normalised(mut x: Vec<f64>, eps: f64) -> Vec<f64> {
    let length = x.iter().map(|x| x * x).sum::<f64>().sqrt().max(eps);
    x.iter_mut().for_each(|x| *x /= length);
    x
}

/// Columns of one task.
const COLUMNS: usize = 1024;

/// `W^T u`, rows in order.
fn transposed_product<T: Real>(w: &[T], u: &[T]) -> Vec<f64> {
    let width = w.len() / u.len();
    let mut sums = vec![0.0; width];
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(i, sums)| {
        T::simd().run(
            #[inline(always)]
            || {
                for (row, u) in w.chunks_exact(width).zip(u) {
                    let u = u.to_f64();
                    for (sum, w) in sums.iter_mut().zip(&row[i * COLUMNS..]) {
                        *sum += w.to_f64() * u;
                    }
                }
            },
        );
    });
    sums
}

/// `W v`.
fn product<T: Real>(w: &[T], v: &[f64]) -> Vec<f64> {
    let v: Vec<T> = v.iter().map(|v| T::of(*v)).collect();
    let rows: Vec<&[T]> = w.chunks_exact(v.len()).collect();
    let group = (CHUNK / v.len()).max(1);
    let dots = |rows: &&[&[T]]| -> Vec<f64> { rows.iter().map(|row| dot(row, &v)).collect() };
    rows.chunks(group).collect::<Vec<_>>().par_iter().flat_map_iter(dots).collect()
}

fn dot<T: Real>(x: &[T], y: &[T]) -> f64 {
    let [sum] = T::simd().run(
        #[inline(always)]
        || {
            segment_sums(
                x,
                y,
                #[inline(always)]
                |x, y| [x * y],
            )
        },
    );
    sum
}

/// `W, u -> W / sigma`.
struct Divide {
    eps: f64,
    found: Arc<OnceLock<Arc<Found>>>,
}

impl Op<2> for Divide {
    const NAME: &'static str = "spectral norm";

    fn run<T: Real>(&self, [w, u]: [Operand<'_, T>; 2]) -> Output<T> {
        let found = Found::new(w.data, u.data, self.eps);
        let factor = T::of(1.0 / found.sigma);
        self.found.get_or_init(|| Arc::new(found));
        let y = super::threads::map(
            w.data,
            #[inline(always)]
            move |w| w * factor,
        );
        Ok((y, w.shape.clone()))
    }

    fn gradients(&self, [w, _u]: [&Tensor; 2], _y: &Tensor, grad: &Tensor) -> Gradients<2> {
        let found = self.found.get().cloned();
        let found = found.ok_or_else(|| candle_core::Error::msg("spectral norm ran backward first"))?;
        Ok([wanted(w, || Ok(binary(w, grad, DivideGrad(found))?))?, None])
    }
}

/// `W, G -> dW`.
struct DivideGrad(Arc<Found>);

impl Op<2> for DivideGrad {
    const NAME: &'static str = "spectral norm gradient";

    fn run<T: Real>(&self, [w, g]: [Operand<'_, T>; 2]) -> Output<T> {
        let Found { u, v, sigma } = &*self.0;
        let width = v.len();
        let along: f64 = w
            .data
            .par_chunks(CHUNK)
            .zip(g.data.par_chunks(CHUNK))
            .map(|(w, g)| dot(w, g))
            .collect::<Vec<_>>()
            .iter()
            .sum();
        let (scale, pull) = (T::of(1.0 / sigma), along / (sigma * sigma));
        let v: Vec<T> = v.iter().map(|v| T::of(*v)).collect();
        let mut out = vec![T::nil(); w.data.len()];
        let group = (CHUNK / width).max(1) * width;
        out.par_chunks_mut(group).zip(g.data.par_chunks(group)).enumerate().for_each(|(i, (out, g))| {
            let rows = out.chunks_exact_mut(width).zip(g.chunks_exact(width)).zip(&u[i * group / width..]);
            T::simd().run(
                #[inline(always)]
                || {
                    for ((out, g), u) in rows {
                        let pull = T::of(pull * u);
                        for ((o, g), v) in out.iter_mut().zip(g).zip(&v) {
                            *o = *g * scale - pull * *v;
                        }
                    }
                },
            );
        });
        Ok((out, Shape::from(w.dims())))
    }
}
