//! Average content distance (MoCoGAN): how much what should stay the same changes within a clip.

use crate::error::{Error, Result};
use crate::features::Features;
use crate::linalg::squared_distance;
use crate::pixels::Frames;

/// Average distance over all pairs of frames of one clip, given one feature vector per frame: face embeddings for ACD-I, colours for ACD-C.
///
/// The average is over the T (T - 1) / 2 pairs i < j, not over consecutive frames and not over T² pairs. The score of a set is the mean over its clips.
///
/// # Errors
/// [`Error::TooFew`] for fewer than two frames.
pub fn average_content_distance(frames: &Features) -> Result<f64> {
    let n = frames.len();
    Error::at_least(format!("frames of {}", frames.what()), n, 2)?;
    let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
    let sum: f64 = pairs.map(|(i, j)| squared_distance(frames.row(i), frames.row(j)).sqrt()).sum();
    Ok(sum / (n * (n - 1) / 2) as f64)
}

/// Whose colour is averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// All pixels of a frame.
    Frame,
    /// The pixels of the shape in clips of shapes on black: those whose largest channel exceeds 25 of 255. A frame without any has
    /// colour 0, so that a shape that disappears counts as a change.
    Shape,
}

/// Largest channel of a pixel that is still background.
const BACKGROUND: u8 = 25;

impl Colour {
    /// The mean colour of every frame, `C` numbers in 0 to 255 each.
    ///
    /// # Errors
    /// None for a valid clip.
    pub fn features(self, clip: &Frames<'_>) -> Result<Features> {
        let channels = clip.dims()[3];
        let mut features = Features::new(format!("clip {}", clip.name()), channels)?;
        for t in 0..clip.len() {
            let mut sums = vec![0u64; channels];
            let mut count = 0;
            for pixel in clip.frame(t).chunks_exact(channels) {
                if self == Self::Frame || pixel.iter().any(|v| *v > BACKGROUND) {
                    sums.iter_mut().zip(pixel).for_each(|(s, v)| *s += u64::from(*v));
                    count += 1;
                }
            }
            let colour: Vec<f64> = sums.iter().map(|s| *s as f64 / f64::from(count.max(1))).collect();
            features.push(&colour)?;
        }
        Ok(features)
    }

    /// ACD-C of one clip, in levels of 255.
    ///
    /// # Errors
    /// [`Error::TooFew`] for fewer than two frames.
    pub fn distance(self, clip: &Frames<'_>) -> Result<f64> {
        average_content_distance(&self.features(clip)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_pairs_count() {
        let colours = [0.1, 0.2, 0.3, 0.2, 0.2, 0.3, 0.1, 0.4, 0.3, 0.5, 0.1, 0.0];
        let features = Features::from_rows("clip", 3, &colours).unwrap();
        let got = average_content_distance(&features).unwrap();
        assert!((got - 0.342082305491).abs() < 1e-12, "{got}");
    }

    #[test]
    fn a_moving_shape_keeps_its_colour() {
        // A pixel of colour (200, 100, 0) that moves, on a background up to level 25; then it is gone.
        let mut pixels = vec![20; 3 * 4 * 3];
        pixels[0..3].copy_from_slice(&[200, 100, 0]);
        pixels[12 + 3..12 + 6].copy_from_slice(&[200, 100, 0]);
        let still = Frames::new("a", &pixels[..24], [2, 2, 2, 3]).unwrap();
        assert_eq!(Colour::Shape.distance(&still).unwrap(), 0.0);
        let gone = Frames::new("a", &pixels, [3, 2, 2, 3]).unwrap();
        let want = 2.0 / 3.0 * (200.0f64 * 200.0 + 100.0 * 100.0).sqrt();
        assert!((Colour::Shape.distance(&gone).unwrap() - want).abs() < 1e-12);
        assert_eq!(Colour::Frame.features(&still).unwrap().row(0), &[65.0, 40.0, 15.0]);
        let one = Frames::new("a", &pixels[..12], [1, 2, 2, 3]).unwrap();
        let error = Colour::Frame.distance(&one).unwrap_err().to_string();
        assert_eq!(error, "frames of clip a: 1 given, at least 2 needed");
    }
}
