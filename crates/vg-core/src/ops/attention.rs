//! Softmax of the last axis and scaled dot-product attention.

use candle_core::{DType, Tensor};

use super::matmul::Product;
use super::softmax::Softmax;
use crate::{Error, Result};

/// `exp(x) / sum of exp(x)` over the last axis, as `torch.nn.functional.softmax`; twice differentiable. Large values do not overflow, and
/// minus infinity gives 0 (a mask).
///
/// # Errors
/// [`Error::Shape`] for a single number, [`Error::Unsupported`] for types other than f32 and f64.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    if x.rank() == 0 {
        return Err(Error::shape("softmax input", "at least one axis", x.dims()));
    }
    check_type("softmax", x)?;
    Ok(Softmax::of(x)?)
}

/// `softmax(q k^T scale) v`: each query's mean of the values, weighted by how well the keys fit; twice differentiable.
///
/// Source: Vaswani et al., "Attention Is All You Need", 2017, eq. (1), where `scale` is `1 / sqrt(d)`; self-attention GANs (Zhang et al.,
/// 2019, eq. (1) and (2)) use 1.
///
/// The weights are held in memory as `[..., N, M]` for the gradient.
///
/// # Shapes
/// - `q` `[..., N, d]`, `k` `[..., M, d]`, `v` `[..., M, e]`, with the same axes before the last two, such as `[B, heads]`
/// - returns `[..., N, e]`
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit or there are no keys, [`Error::Unsupported`] for types other than f32 and f64 or mixed
/// ones.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    check_shapes(q, k, v)?;
    check_types(q, k, v)?;
    let scores = Product { transpose_a: false, transpose_b: true, factor: scale }.of(q, k)?;
    let weights = Softmax::of(&scores)?;
    Ok(Product { transpose_a: false, transpose_b: false, factor: 1.0 }.of(&weights, v)?)
}

fn check_types(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<()> {
    for (tensor, what) in [(q, "attention queries"), (k, "attention keys"), (v, "attention values")] {
        check_type(what, tensor)?;
        if tensor.dtype() != q.dtype() {
            let (is, queries) = (tensor.dtype(), q.dtype());
            let problem = format!("{what}: {is:?} beside queries of {queries:?}; convert with `to_dtype`");
            return Err(Error::Unsupported(problem));
        }
    }
    Ok(())
}

/// [`attention`] of feature maps, whose channels lie before their positions: no map is transposed.
///
/// # Shapes
/// - `q` `[..., d, N]`, `k` `[..., d, M]`, `v` `[..., e, M]`, with the same axes before the last two
/// - returns `[..., e, N]`
///
/// # Errors
/// As [`attention`].
pub fn map_attention(q: &Tensor, k: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    let same = |a: &Tensor, b: &Tensor| {
        let (a, b) = (a.dims().split_last_chunk::<2>(), b.dims().split_last_chunk::<2>());
        a.zip(b).is_some_and(|((a, _), (b, _))| a == b)
    };
    let ends = |t: &Tensor| t.dims().split_last_chunk::<2>().map_or([0, 0], |(_, ends)| *ends);
    let ([d, _], [width, keys], [_, values]) = (ends(q), ends(k), ends(v));
    if !same(q, k) || width != d || keys == 0 {
        return Err(Error::shape(
            "attention keys of maps",
            format!("[..., {d}, M] beside {:?}", q.dims()),
            k.dims(),
        ));
    }
    if !same(q, v) || values != keys {
        return Err(Error::shape("attention values of maps", format!("[..., e, {keys}]"), v.dims()));
    }
    check_types(q, k, v)?;
    let scores = Product { transpose_a: true, transpose_b: false, factor: scale }.of(q, k)?;
    let weights = Softmax::of(&scores)?;
    Ok(Product { transpose_a: false, transpose_b: true, factor: 1.0 }.of(v, &weights)?)
}

fn check_shapes(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<()> {
    let Some((outer, [_, d])) = q.dims().split_last_chunk::<2>() else {
        return Err(Error::shape("attention queries", "[..., N, d]", q.dims()));
    };
    let keys = match k.dims().split_last_chunk::<2>() {
        Some((o, [keys, width])) if o == outer && width == d && *keys > 0 => *keys,
        _ => return Err(Error::shape("attention keys", format!("{outer:?} and then [M, {d}]"), k.dims())),
    };
    match v.dims().split_last_chunk::<2>() {
        Some((o, [n, _])) if o == outer && *n == keys => Ok(()),
        _ => Err(Error::shape("attention values", format!("{outer:?} and then [{keys}, e]"), v.dims())),
    }
}

fn check_type(what: &'static str, x: &Tensor) -> Result<()> {
    match x.dtype() {
        DType::F32 | DType::F64 => Ok(()),
        other => Err(Error::Unsupported(format!("{what}: expected f32 or f64 tensors, not {other:?}"))),
    }
}
