//! Similarities of clips, frame by frame.

use rayon::prelude::*;

use super::{Psnr, Ssim};
use crate::error::Result;
use crate::pixels::{Frames, Image};

impl Psnr {
    /// The value in dB of every frame, pixels in [0, 1].
    ///
    /// # Errors
    /// [`crate::Error::Shape`] with the clips' names when sizes or lengths differ.
    pub fn of_clips(self, truth: &Frames<'_>, predicted: &Frames<'_>) -> Result<Vec<f64>> {
        per_frame(truth, predicted, |a, b| self.value(a, b, 1.0))
    }
}

impl Ssim {
    /// The value of every frame, pixels in [0, 1].
    ///
    /// # Errors
    /// [`crate::Error::Shape`] with the clips' names when sizes or lengths differ, or when frames are smaller than the window.
    pub fn of_clips(&self, truth: &Frames<'_>, predicted: &Frames<'_>) -> Result<Vec<f64>> {
        per_frame(truth, predicted, |a, b| self.value(a, b))
    }
}

fn per_frame(
    truth: &Frames<'_>,
    predicted: &Frames<'_>,
    value: impl Fn(&Image, &Image) -> Result<f64> + Sync,
) -> Result<Vec<f64>> {
    truth.expect_same(predicted)?;
    let frames = (0..truth.len()).into_par_iter();
    frames.map(|t| value(&truth.image(t, 1.0), &predicted.image(t, 1.0))).collect()
}
