//! The protocol of stochastic prediction: of N sampled futures of a test clip, the best one counts (SVG, SAVP).

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::protocol::Better;
use crate::similarity::FiniteMean;

/// Values of a metric between true and predicted frames, for every clip, sample and predicted frame.
#[derive(Clone, Debug, PartialEq)]
pub struct BestOf {
    better: Better,
    samples: usize,
    frames: usize,
    /// `[clips, samples, frames]`.
    values: Vec<f64>,
}

/// The scores of the best samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BestScores {
    /// The chosen sample of every clip.
    pub chosen: Vec<usize>,
    /// Mean over clips and predicted frames.
    pub mean: FiniteMean,
    /// One point per predicted frame.
    pub curve: Vec<CurvePoint>,
}

/// Mean over clips at one predicted frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Mean over clips with a finite value; absent when there are none.
    pub mean: Option<f64>,
    /// Half width of the 95 % band of the mean, 1.96 s / √n; absent for fewer than two clips with finite values.
    pub half_band: Option<f64>,
    /// Clips with an infinite value (PSNR of equal frames), which are in neither.
    pub infinite: usize,
}

impl BestOf {
    /// No clips yet. The usual number of samples is 100.
    ///
    /// # Errors
    /// [`Error::Setting`] when `samples` or `frames` is 0, or their product overflows.
    pub fn new(better: Better, samples: usize, frames: usize) -> Result<Self> {
        if samples == 0 || frames == 0 || samples.checked_mul(frames).is_none() {
            let got = format!("{samples} samples of {frames} frames");
            return Err(Error::setting("best-of-N", got, "1 or more of both"));
        }
        if better == Better::AsReal {
            return Err(Error::setting("direction of best-of-N", "as real", "higher or lower"));
        }
        Ok(Self { better, samples, frames, values: Vec::new() })
    }

    /// Adds a clip's values, `[samples, frames]` in C order; predicted frames only.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of values, [`Error::Value`] for NaN and minus infinity, which no similarity has.
    pub fn push(&mut self, values: &[f64]) -> Result<()> {
        let clip = self.clips();
        if values.len() != self.samples * self.frames {
            let expected = format!("{} samples of {} frames", self.samples, self.frames);
            return Err(Error::shape(format!("scores of clip {clip}"), expected, &[values.len()]));
        }
        if let Some(position) = values.iter().position(|v| v.is_nan() || *v == f64::NEG_INFINITY) {
            let (what, expected) = ("scores of clip".to_owned(), "a number, or infinity");
            return Err(Error::Value { what, index: clip, position, value: values[position], expected });
        }
        self.values.extend_from_slice(values);
        Ok(())
    }

    /// Number of clips.
    pub fn clips(&self) -> usize {
        self.values.len() / (self.samples * self.frames)
    }

    /// The best sample of every clip, by its mean over predicted frames; among samples with infinite values the one with most of them.
    ///
    /// # Errors
    /// [`Error::TooFew`] when there are no clips.
    pub fn scores(&self) -> Result<BestScores> {
        Error::at_least("clips with predictions", self.clips(), 1)?;
        let (chosen, best): (Vec<usize>, Vec<&[f64]>) = self.best_samples().unzip();
        let curve = (0..self.frames).map(|t| CurvePoint::of(best.iter().map(|frames| frames[t]))).collect();
        let mean = FiniteMean::of(best.iter().copied().flatten().copied());
        Ok(BestScores { chosen, mean, curve })
    }

    /// Of every clip the number of the sample that [`BestOf::scores`] chooses, and its values, one a predicted frame.
    pub fn best_samples(&self) -> impl Iterator<Item = (usize, &[f64])> {
        self.values.chunks_exact(self.samples * self.frames).map(|clip| {
            let best = self.best(clip);
            (best, &clip[best * self.frames..][..self.frames])
        })
    }

    /// Earlier samples win ties.
    fn best(&self, clip: &[f64]) -> usize {
        let key = |sample: &[f64]| {
            let score = FiniteMean::of(sample.iter().copied());
            let sign = if self.better == Better::Higher { 1.0 } else { -1.0 };
            (score.infinite as f64 * sign, sign * score.mean.unwrap_or(0.0))
        };
        let keys: Vec<(f64, f64)> = clip.chunks_exact(self.frames).map(key).collect();
        let mut best = 0;
        for (i, key) in keys.iter().enumerate() {
            if *key > keys[best] {
                best = i;
            }
        }
        best
    }
}

impl CurvePoint {
    /// Of the values at one frame, one a clip.
    pub fn of(values: impl Iterator<Item = f64> + Clone) -> Self {
        let FiniteMean { mean, finite, infinite } = FiniteMean::of(values.clone());
        let half_band = mean.filter(|_| finite > 1).map(|mean| {
            let squares: f64 = values.filter(|v| v.is_finite()).map(|v| (v - mean) * (v - mean)).sum();
            1.96 * (squares / (finite - 1) as f64).sqrt() / (finite as f64).sqrt()
        });
        Self { mean, half_band, infinite }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_by_the_mean_over_frames_counts() {
        let mut psnr = BestOf::new(Better::Higher, 2, 2).unwrap();
        psnr.push(&[30.0, 10.0, 21.0, 20.0]).unwrap();
        psnr.push(&[12.0, 14.0, 11.0, 14.0]).unwrap();
        let scores = psnr.scores().unwrap();
        assert_eq!(scores.chosen, [1, 0]);
        assert_eq!(scores.mean.mean, Some((21.0 + 20.0 + 12.0 + 14.0) / 4.0));
        assert_eq!(scores.curve[0].mean, Some(16.5));
        let want = 1.96 * (2.0 * 4.5f64 * 4.5).sqrt() / 2f64.sqrt();
        assert!((scores.curve[0].half_band.unwrap() - want).abs() < 1e-12);
        let mut lpips = BestOf::new(Better::Lower, 2, 2).unwrap();
        lpips.push(&[0.3, 0.1, 0.25, 0.1]).unwrap();
        assert_eq!(lpips.scores().unwrap().chosen, [1]);
        assert_eq!(lpips.scores().unwrap().curve[0].half_band, None);
    }

    #[test]
    fn infinite_values_are_counted_apart() {
        let mut psnr = BestOf::new(Better::Higher, 2, 2).unwrap();
        psnr.push(&[50.0, 50.0, f64::INFINITY, 10.0]).unwrap();
        let scores = psnr.scores().unwrap();
        assert_eq!(scores.chosen, [1]);
        assert_eq!(scores.mean, FiniteMean { mean: Some(10.0), finite: 1, infinite: 1 });
        assert_eq!(scores.curve[0], CurvePoint { mean: None, half_band: None, infinite: 1 });
    }

    #[test]
    fn mistakes_name_the_clip() {
        let mut scores = BestOf::new(Better::Higher, 1, 2).unwrap();
        assert!(scores.scores().unwrap_err().to_string().contains("clips with predictions: 0 given"));
        scores.push(&[1.0, 2.0]).unwrap();
        let error = scores.push(&[1.0, f64::NAN]).unwrap_err().to_string();
        assert_eq!(error, "scores of clip 1: value 1 is NaN; expected a number, or infinity");
        let error = scores.push(&[f64::NEG_INFINITY, 1.0]).unwrap_err().to_string();
        assert_eq!(error, "scores of clip 1: value 0 is -inf; expected a number, or infinity");
        assert_eq!(scores.clips(), 1);
        assert!(scores.push(&[1.0]).is_err());
        assert!(BestOf::new(Better::AsReal, 1, 2).is_err());
        assert!(BestOf::new(Better::Higher, 0, 2).is_err());
        assert!(BestOf::new(Better::Higher, usize::MAX, 2).is_err());
    }
}
