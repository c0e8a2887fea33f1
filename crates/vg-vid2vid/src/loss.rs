//! Losses, one function an equation.

use candle_core::{DType, Tensor};
use vg_core::Result;
use vg_core::ops::difference::absolute_differences;
use vg_core::ops::warp::warp;

use crate::discriminator::Features;

/// Squared error over three channels below which a flow is trusted, for images on [-1, 1] (official code).
pub const TRUSTED: f64 = 0.02;
/// Weights of the five levels of the perceptual distance (official code).
pub const LEVELS: [f64; 5] = [1.0 / 32.0, 1.0 / 16.0, 1.0 / 8.0, 1.0 / 4.0, 1.0];

/// `mean |a - b|`, a scalar.
///
/// # Errors
/// [`vg_core::Error::Shape`] when the shapes differ.
pub fn l1(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok((absolute_differences(a, b)? / a.elem_count().max(1) as f64)?)
}

/// `mean |a m - b m|` over all elements, masked ones included.
///
/// # Shapes
/// - `a` and `b` `[N, C, H, W]`; `mask` `[N, 1, H, W]`
///
/// # Errors
/// [`vg_core::Error::Shape`] when they do not fit.
pub fn masked_l1(a: &Tensor, b: &Tensor, mask: &Tensor) -> Result<Tensor> {
    l1(&a.broadcast_mul(mask)?, &b.broadcast_mul(mask)?)
}

/// Where the previous frame, moved by the flow, is the current one: 1, else 0; `[N, 1, H, W]`, a constant.
///
/// Source: paper, section 3.1; threshold of the official code.
///
/// # Errors
/// As [`warp`].
pub fn confidence(current: &Tensor, previous: &Tensor, flow: &Tensor) -> Result<Tensor> {
    let moved = warp(&previous.detach(), &flow.detach())?;
    let error = (current.detach() - moved)?.sqr()?.sum_keepdim(1)?;
    Ok(error.lt(TRUSTED)?.to_dtype(current.dtype())?)
}

/// LSGAN: `mean (score - target)^2` of each size, summed.
///
/// # Errors
/// [`vg_core::Error::Tensor`] for no scores.
pub fn least_squares(outputs: &Features, target: f64) -> Result<Tensor> {
    let of = |column: &Vec<Tensor>| -> Result<Tensor> {
        Ok((&column[column.len() - 1] - target)?.sqr()?.mean_all()?)
    };
    sum(outputs.iter().map(of))
}

/// Distances of a discriminator's features of generated and real images, all layers but the scores; `scales` is `discriminator.scales`,
/// whatever the discriminator. Real ones are constants.
///
/// Source: pix2pixHD (arXiv 1711.11585), eq. 4, with the official code's weights `4 / (layers + 1) / scales`.
///
/// # Errors
/// [`vg_core::Error::Shape`] when the sizes differ.
pub fn feature_matching(fake: &Features, real: &Features, layers: usize, scales: usize) -> Result<Tensor> {
    let pairs = fake.iter().zip(real).take(scales).flat_map(|(f, r)| {
        let kept = f.len() - 1;
        f.iter().zip(r).take(kept)
    });
    let total = sum(pairs.map(|(f, r)| l1(f, &r.detach())))?;
    Ok((total * (4.0 / (layers + 1) as f64 / scales as f64))?)
}

/// Weighted distances of features of five levels; those of the real image are constants.
///
/// # Errors
/// [`vg_core::Error::Shape`] when the sizes differ.
pub fn perceptual(image: &[Tensor], real: &[Tensor]) -> Result<Tensor> {
    let levels = image.iter().zip(real).zip(LEVELS);
    sum(levels.map(|((a, b), weight)| Ok((l1(a, &b.detach())? * weight)?)))
}

/// The sum of some scalars.
///
/// # Errors
/// [`vg_core::Error::Unsupported`] for none, and those of the scalars.
pub fn sum(terms: impl IntoIterator<Item = Result<Tensor>>) -> Result<Tensor> {
    let mut terms = terms.into_iter();
    let first = terms.next().ok_or_else(|| vg_core::Error::Unsupported("a loss of no terms".into()))??;
    terms.try_fold(first, |sum, term| Ok((sum + term?)?))
}

/// A constant zero.
pub(crate) fn zero(like: &Tensor) -> Result<Tensor> {
    Ok(Tensor::zeros((), if like.dtype() == DType::F64 { DType::F64 } else { DType::F32 }, like.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn full(value: f64, shape: &[usize]) -> Tensor {
        Tensor::full(value, shape, &Device::Cpu).unwrap()
    }

    fn number(t: &Tensor) -> f64 {
        t.to_scalar().unwrap()
    }

    /// Specification, section 11.
    #[test]
    fn values_of_the_specification() {
        let mut mask = vec![0.0; 4];
        mask[2] = 1.0;
        let mask = Tensor::from_vec(mask, (1, 1, 2, 2), &Device::Cpu).unwrap();
        let (ones, zeros) = (full(1.0, &[1, 2, 2, 2]), full(0.0, &[1, 2, 2, 2]));
        assert_eq!(number(&masked_l1(&ones, &zeros, &mask).unwrap()), 0.25);

        for (error, trusted) in [(0.0816, 1.0), (0.082, 0.0)] {
            let (a, b, flow) =
                (full(error, &[1, 3, 2, 2]), full(0.0, &[1, 3, 2, 2]), full(0.0, &[1, 2, 2, 2]));
            let found = confidence(&a, &b, &flow).unwrap().mean_all().unwrap();
            assert_eq!(number(&found), trusted, "{error}");
        }

        let quarter = vec![vec![full(0.25, &[1, 1, 3, 3])], vec![full(0.25, &[1, 1, 2, 2])]];
        assert_eq!(number(&least_squares(&quarter, 1.0).unwrap()), 1.125);
        assert_eq!(number(&least_squares(&quarter, 0.0).unwrap()), 0.125);

        for scales in 1..=3 {
            let of = |value| vec![vec![full(value, &[1, 4, 3, 3]); 5]; scales];
            let found = feature_matching(&of(2.0), &of(1.0), 3, scales).unwrap();
            assert!((10.0 * number(&found) - 40.0).abs() < 1e-12);
        }

        let of = |value| vec![full(value, &[1, 4, 3, 3]); 5];
        assert_eq!(number(&perceptual(&of(1.0), &of(0.0)).unwrap()), 1.46875);
    }
}
