//! Laplacian pyramids with the binomial kernel (1, 4, 6, 4, 1) / 16 on both axes and borders mirrored without repeating the edge.

use crate::error::{Error, Result};
use crate::pixels::Image;

const TAPS: [f64; 5] = [1.0 / 16.0, 4.0 / 16.0, 6.0 / 16.0, 4.0 / 16.0, 1.0 / 16.0];

/// Shorter side of the coarsest level.
const SMALLEST: usize = 16;

/// Number of levels down to a shorter side of 16.
pub(super) fn levels(dims: [usize; 3]) -> Result<usize> {
    let [_, height, width] = dims;
    let shorter = height.min(width);
    let halvings = (shorter / SMALLEST).checked_ilog2().unwrap_or(0);
    let step = 1usize << halvings;
    if shorter != SMALLEST * step || !height.is_multiple_of(step) || !width.is_multiple_of(step) {
        let expected = "a shorter side of 16 times a power of two that divides the longer side";
        return Err(Error::shape("image for a Laplacian pyramid", expected, &dims));
    }
    Ok(halvings as usize + 1)
}

/// Levels from the full size to a shorter side of 16: differences to the next level brought up, and at last the low-pass image.
///
/// # Errors
/// [`Error::Shape`] when the shorter side is not 16 times a power of two.
pub fn laplacian_pyramid(image: &Image) -> Result<Vec<Image>> {
    let mut result = vec![image.clone()];
    for _ in 1..levels(image.dims())? {
        let fine = result.last().expect("starts with the image");
        let coarse = pyramid_down(fine)?;
        let up = pyramid_up(&coarse)?;
        let detail = fine.values().iter().zip(up.values()).map(|(a, b)| a - b).collect();
        let detail = Image::new(fine.dims(), detail)?;
        *result.last_mut().expect("starts with the image") = detail;
        result.push(coarse);
    }
    Ok(result)
}

/// Blurs and keeps even rows and columns.
///
/// # Errors
/// [`Error::Shape`] when a side is odd or under 4.
pub fn pyramid_down(image: &Image) -> Result<Image> {
    let [channels, height, width] = image.dims();
    if height % 2 + width % 2 > 0 || height.min(width) < 4 {
        return Err(Error::shape("image to be halved", "even sides of 4 or more", &image.dims()));
    }
    let mut values = Vec::with_capacity(image.values().len() / 4);
    for plane in image.planes() {
        let rows = blur_rows(plane, width, 2, 1.0);
        let columns = blur_rows(&transposed(&rows, width / 2), height, 2, 1.0);
        values.extend(transposed(&columns, height / 2));
    }
    Image::new([channels, height / 2, width / 2], values)
}

/// Doubles the sides: zeros between the pixels, then the blur times 4.
///
/// # Errors
/// [`Error::Shape`] when a side is under 2.
pub fn pyramid_up(image: &Image) -> Result<Image> {
    let [channels, height, width] = image.dims();
    if height.min(width) < 2 {
        return Err(Error::shape("image to be doubled", "sides of 2 or more", &image.dims()));
    }
    let mut values = Vec::with_capacity(4 * image.values().len());
    for plane in image.planes() {
        let rows = blur_rows(&spread(plane), 2 * width, 1, 2.0);
        let columns = blur_rows(&spread(&transposed(&rows, 2 * width)), 2 * height, 1, 2.0);
        values.extend(transposed(&columns, 2 * height));
    }
    Image::new([channels, 2 * height, 2 * width], values)
}

/// A zero behind every value.
fn spread(values: &[f64]) -> Vec<f64> {
    values.iter().flat_map(|v| [*v, 0.0]).collect()
}

/// Every `step`-th value of the blurred rows, times `gain`.
fn blur_rows(plane: &[f64], width: usize, step: usize, gain: f64) -> Vec<f64> {
    let mirrored = |x: usize, tap: usize| {
        let at = (x + tap).abs_diff(2);
        if at < width { at } else { 2 * (width - 1) - at }
    };
    let blur = |row: &[f64], x: usize| {
        gain * TAPS.iter().enumerate().map(|(i, t)| t * row[mirrored(x, i)]).sum::<f64>()
    };
    plane.chunks_exact(width).flat_map(|row| (0..width).step_by(step).map(move |x| blur(row, x))).collect()
}

fn transposed(plane: &[f64], width: usize) -> Vec<f64> {
    (0..width).flat_map(|x| plane.iter().skip(x).step_by(width)).copied().collect()
}
