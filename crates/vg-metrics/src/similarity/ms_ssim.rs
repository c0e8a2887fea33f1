//! Multi-scale SSIM with ProGAN's conventions; a measure of diversity when taken between generated images.

use super::ssim::mean;
use super::{Ssim, Window};
use crate::error::{Error, Result};
use crate::pixels::Image;

/// Exponents from the finest scale to the coarsest (Wang et al. 2003); their sum is 1.0001.
const WEIGHTS: [f64; 5] = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];

/// Multi-scale SSIM of images in 0 to 255, in [0, 1].
///
/// Five scales, each half the size of the one before (2x2 box); the contrast-structure factors of the first four and the SSIM of the last,
/// averaged over positions and channels, negative ones taken as 0, are raised to their weights and multiplied. The 11x11 Gaussian window shrinks with the image.
///
/// # Errors
/// [`Error::Shape`] when sizes differ or sides are not divisible by 16.
pub fn ms_ssim(a: &Image, b: &Image) -> Result<f64> {
    a.expect_same(b)?;
    let [_, height, width] = a.dims();
    if !height.is_multiple_of(16) || !width.is_multiple_of(16) {
        return Err(Error::shape("image for MS-SSIM", "sides divisible by 16", &a.dims()));
    }
    let (mut a, mut b, mut product) = (a.clone(), b.clone(), 1.0);
    for (scale, weight) in WEIGHTS.into_iter().enumerate() {
        let [channels, height, width] = a.dims();
        let size = height.min(width).min(11);
        let window = Window::Gaussian { size, sigma: 1.5 * size as f64 / 11.0 };
        let maps = Ssim { window, range: 255.0, sample_covariance: false }.maps(&a, &b)?;
        let last = scale + 1 == WEIGHTS.len();
        let sum: f64 = maps.iter().map(|m| mean(if last { &m.ssim } else { &m.structure })).sum();
        product *= (sum / channels as f64).max(0.0).powf(weight);
        if !last {
            (a, b) = (halved(&a)?, halved(&b)?);
        }
    }
    Ok(product)
}

/// Means of 2x2 boxes.
fn halved(image: &Image) -> Result<Image> {
    let [channels, height, width] = image.dims();
    let mut values = Vec::with_capacity(image.values().len() / 4);
    for rows in image.values().chunks_exact(2 * width) {
        let (upper, lower) = rows.split_at(width);
        let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2));
        values.extend(pairs.map(|(u, l)| 0.25 * (u[0] + u[1] + l[0] + l[1])));
    }
    Image::new([channels, height / 2, width / 2], values)
}
