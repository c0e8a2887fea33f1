//! Structural similarity (Wang et al. 2004).

use crate::error::{Error, Result};
use crate::pixels::Image;

/// Weights of the neighbourhood, the same on both axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Window {
    /// Gaussian of `size` taps, normalised; taps of an even size lie at half-integers.
    Gaussian {
        /// Number of taps.
        size: usize,
        /// Standard deviation in pixels.
        sigma: f64,
    },
    /// Equal weights.
    Uniform {
        /// Number of taps.
        size: usize,
    },
}

impl Window {
    /// Number of taps.
    pub fn size(self) -> usize {
        match self {
            Self::Gaussian { size, .. } | Self::Uniform { size } => size,
        }
    }

    fn taps(self) -> Vec<f64> {
        match self {
            Self::Uniform { size } => vec![1.0 / size as f64; size],
            Self::Gaussian { size, sigma } => {
                let centre = (size as f64 - 1.0) / 2.0;
                let weight = |i: usize| (-(i as f64 - centre).powi(2) / (2.0 * sigma * sigma)).exp();
                let sum: f64 = (0..size).map(weight).sum();
                (0..size).map(|i| weight(i) / sum).collect()
            }
        }
    }
}

/// A variant of SSIM. Positions whose window leaves the image are left out; the mean is over positions, then over channels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ssim {
    /// The neighbourhood.
    pub window: Window,
    /// L of the constants (0.01 L)² and (0.03 L)²: the images' range, or not, as the variant has it.
    pub range: f64,
    /// Whether variances are those of a sample (divided by n - 1 instead of n).
    pub sample_covariance: bool,
}

const GAUSSIAN: Window = Window::Gaussian { size: 11, sigma: 1.5 };

impl Ssim {
    /// `finn_ssim` of SVG's `finn_eval_seq`, on images in [0, 1]; so compared since Finn et al. 2016. Where it gives -1 for NaN, images with
    /// NaN are errors here.
    pub const FINN: Self = Self { window: GAUSSIAN, range: 1.0, sample_covariance: false };
    /// `tf.image.ssim`, used by SAVP, on images in [0, 1].
    pub const TF: Self = Self::FINN;
    /// The OpenCV versions (Gaussian window, 5 pixels of border cut) on images in [0, 1].
    pub const CV2: Self = Self::FINN;
    /// `compare_ssim` of scikit-image 0.14 on f32 images, whose range it takes to be -1 to 1: SVG's `eval_seq`, which its released scripts
    /// call. Images in [0, 1].
    pub const SVG: Self = Self { window: Window::Uniform { size: 7 }, range: 2.0, sample_covariance: true };
    /// `structural_similarity` of scikit-image with its default window and the right range for images in [0, 1].
    pub const SKIMAGE: Self = Self { range: 1.0, ..Self::SVG };

    /// Mean over positions and channels, in [-1, 1].
    ///
    /// # Errors
    /// [`Error::Shape`] when sizes differ or an image is smaller than the window.
    pub fn value(&self, a: &Image, b: &Image) -> Result<f64> {
        let channels = self.channels(a, b)?;
        Ok(channels.iter().sum::<f64>() / channels.len() as f64)
    }

    /// Mean over positions of every channel.
    ///
    /// # Errors
    /// As [`Ssim::value`].
    pub fn channels(&self, a: &Image, b: &Image) -> Result<Vec<f64>> {
        Ok(self.maps(a, b)?.iter().map(|m| mean(&m.ssim)).collect())
    }

    /// The values at all positions, for every channel.
    ///
    /// # Errors
    /// As [`Ssim::value`].
    pub fn maps(&self, a: &Image, b: &Image) -> Result<Vec<SsimMaps>> {
        a.expect_same(b)?;
        let [_, height, width] = a.dims();
        let size = self.window.size();
        if size == 0 || height.min(width) < size {
            let expected = format!("sides of {} or more", size.max(1));
            return Err(Error::shape("image for SSIM", expected, &a.dims()));
        }
        let taps = self.window.taps();
        Ok(a.planes().zip(b.planes()).map(|(a, b)| self.plane(a, b, width, &taps)).collect())
    }

    fn plane(&self, a: &[f64], b: &[f64], width: usize, taps: &[f64]) -> SsimMaps {
        let blurred = |f: &dyn Fn(f64, f64) -> f64| {
            let plane: Vec<f64> = a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect();
            filter_valid(&plane, width, taps)
        };
        let (mean_a, mean_b) = (blurred(&|a, _| a), blurred(&|_, b| b));
        let (aa, bb, ab) = (blurred(&|a, _| a * a), blurred(&|_, b| b * b), blurred(&|a, b| a * b));
        let n = (taps.len() * taps.len()) as f64;
        let scale = if self.sample_covariance { n / (n - 1.0) } else { 1.0 };
        let (c1, c2) = ((0.01 * self.range).powi(2), (0.03 * self.range).powi(2));
        let mut maps = SsimMaps::default();
        for i in 0..mean_a.len() {
            let (ma, mb) = (mean_a[i], mean_b[i]);
            let (va, vb, cov) =
                (scale * (aa[i] - ma * ma), scale * (bb[i] - mb * mb), scale * (ab[i] - ma * mb));
            let structure = (2.0 * cov + c2) / (va + vb + c2);
            maps.ssim.push((2.0 * ma * mb + c1) / (ma * ma + mb * mb + c1) * structure);
            maps.structure.push(structure);
        }
        maps
    }
}

/// Values of one channel at all positions, `[H - size + 1, W - size + 1]` in C order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SsimMaps {
    /// The similarity.
    pub ssim: Vec<f64>,
    /// Its contrast-structure factor.
    pub structure: Vec<f64>,
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Correlation with `taps` along both axes of a plane `[H, width]`, only where the window lies inside.
fn filter_valid(plane: &[f64], width: usize, taps: &[f64]) -> Vec<f64> {
    let out_width = width + 1 - taps.len();
    let along_rows: Vec<f64> = plane
        .chunks_exact(width)
        .flat_map(|row| row.windows(taps.len()).map(|w| w.iter().zip(taps).map(|(v, t)| v * t).sum::<f64>()))
        .collect();
    let height = plane.len() / width;
    let mut out = vec![0.0; (height + 1 - taps.len()) * out_width];
    for (y, row) in out.chunks_exact_mut(out_width).enumerate() {
        for (tap, from) in taps.iter().zip(along_rows[y * out_width..].chunks_exact(out_width)) {
            row.iter_mut().zip(from).for_each(|(sum, v)| *sum += tap * v);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_of_the_paper() {
        let want =
            [0.001028380084, 0.007598758135, 0.036000772128, 0.109360689510, 0.213005537711, 0.266011724862];
        let taps = GAUSSIAN.taps();
        want.iter().zip(&taps).for_each(|(w, t)| assert!((w - t).abs() < 1e-12));
        assert!((taps[10] - taps[0]).abs() < 1e-16);
    }

    #[test]
    fn constant_images() {
        let plain = |v| Image::new([1, 16, 16], vec![v; 256]).unwrap();
        let far = Ssim::FINN.value(&plain(0.0), &plain(1.0)).unwrap();
        assert!((far - 9.999000099990e-5).abs() < 1e-15, "{far}");
        let near = Ssim::FINN.value(&plain(0.4), &plain(0.6)).unwrap();
        assert!((near - 0.923091713132).abs() < 1e-12, "{near}");
        let small = Image::new([1, 10, 16], vec![0.0; 160]).unwrap();
        let error = Ssim::FINN.value(&small, &small).unwrap_err().to_string();
        assert_eq!(error, "image for SSIM: expected sides of 11 or more, got [1, 10, 16]");
    }
}
