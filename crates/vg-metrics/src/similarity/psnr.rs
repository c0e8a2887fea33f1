//! Peak signal-to-noise ratio.

use crate::error::Result;
use crate::pixels::Image;

/// What the squared error is averaged over before the logarithm. Average the decibels over frames afterwards, never the errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Psnr {
    /// The whole frame: `tf.image.psnr`, SAVP.
    Frame,
    /// Each channel; the channels' decibels are averaged: both functions of SVG.
    Channel,
}

impl Psnr {
    /// 10 log₁₀(range² / MSE) in dB; infinite for equal images (for [`Psnr::Channel`]: when a channel is equal).
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when sizes differ.
    pub fn value(self, a: &Image, b: &Image, range: f64) -> Result<f64> {
        a.expect_same(b)?;
        match self {
            Self::Frame => Ok(decibels(a.values(), b.values(), range)),
            Self::Channel => {
                let channels = Self::channels(a, b, range)?;
                Ok(channels.iter().sum::<f64>() / channels.len() as f64)
            }
        }
    }

    /// The value of every channel in dB.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] when sizes differ.
    pub fn channels(a: &Image, b: &Image, range: f64) -> Result<Vec<f64>> {
        a.expect_same(b)?;
        Ok(a.planes().zip(b.planes()).map(|(a, b)| decibels(a, b, range)).collect())
    }
}

fn decibels(a: &[f64], b: &[f64], range: f64) -> f64 {
    let error = crate::linalg::squared_distance(a, b) / a.len() as f64;
    10.0 * (range * range / error).log10()
}
