//! Simple scores that show what large metrics hide: clips that stand still, and samples that are all alike.

use vg_core::rng::Rng;

use crate::error::{Error, Result};
use crate::pixels::{Frames, expect_one_size};
use crate::similarity::ms_ssim;

/// Mean absolute difference, in levels of 255, up to which a frame counts as a repetition of the one before.
pub const FROZEN_LEVELS: f64 = 0.1;

/// Share of a clip's frames, from the second on, that repeat the one before: mean absolute difference of at most [`FROZEN_LEVELS`]. In [0, 1].
///
/// # Errors
/// [`Error::TooFew`] for fewer than two frames.
pub fn frozen_ratio(clip: &Frames<'_>) -> Result<f64> {
    let differences = steps(clip, |d| f64::from(d.unsigned_abs()))?;
    Ok(differences.iter().filter(|d| **d <= FROZEN_LEVELS).count() as f64 / differences.len() as f64)
}

/// Mean squared difference of consecutive frames with pixels in [0, 1].
///
/// # Errors
/// [`Error::TooFew`] for fewer than two frames.
pub fn motion_energy(clip: &Frames<'_>) -> Result<f64> {
    let squares = steps(clip, |d| f64::from(d) * f64::from(d))?;
    Ok(squares.iter().sum::<f64>() / squares.len() as f64 / (255.0 * 255.0))
}

/// Mean over pixels of `f(difference)` for every pair of consecutive frames.
fn steps(clip: &Frames<'_>, f: impl Fn(i32) -> f64) -> Result<Vec<f64>> {
    Error::at_least(format!("frames of clip {}", clip.name()), clip.len(), 2)?;
    let step = |t: usize| {
        let (before, after) = (clip.frame(t - 1), clip.frame(t));
        let differences = before.iter().zip(after).map(|(a, b)| f(i32::from(*b) - i32::from(*a)));
        differences.sum::<f64>() / before.len() as f64
    };
    Ok((1..clip.len()).map(step).collect())
}

/// Mean over pairs of clips of the root of the mean squared pixel difference, pixels in [0, 1]: 0 when all clips are the same.
///
/// All pairs when there are at most `most_pairs`, else so many random ones.
///
/// # Errors
/// [`Error::TooFew`] for fewer than two clips, [`Error::Shape`] when sizes differ, [`Error::Setting`] when `most_pairs` is 0.
pub fn diversity(clips: &[Frames<'_>], most_pairs: usize, seed: u64) -> Result<f64> {
    over_pairs(clips, most_pairs, seed, |a, b| {
        let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
        let sum: f64 = a.pixels().iter().zip(b.pixels()).map(square).sum();
        Ok((sum / a.pixels().len() as f64).sqrt() / 255.0)
    })
}

/// Mean MS-SSIM between frames of different clips (one random frame of a pair, the same in both): high when samples are alike.
///
/// # Errors
/// As [`diversity`]; [`Error::Shape`] when sides are not divisible by 16.
pub fn pairwise_ms_ssim(clips: &[Frames<'_>], most_pairs: usize, seed: u64) -> Result<f64> {
    let frames = Rng::new(seed).child("frames", 0);
    let pick = |a: &Frames<'_>, b: &Frames<'_>, pair: u64| {
        let t = frames.child("pair", pair).stream("frame").below(a.len());
        ms_ssim(&a.image(t, 255.0), &b.image(t, 255.0))
    };
    let mut pair = 0;
    over_pairs(clips, most_pairs, seed, |a, b| {
        pair += 1;
        pick(a, b, pair)
    })
}

fn over_pairs(
    clips: &[Frames<'_>],
    most_pairs: usize,
    seed: u64,
    mut f: impl FnMut(&Frames<'_>, &Frames<'_>) -> Result<f64>,
) -> Result<f64> {
    if most_pairs == 0 {
        return Err(Error::setting("number of pairs of clips", most_pairs, "1 or more"));
    }
    expect_one_size("clips for a comparison of pairs", clips, 2)?;
    let n = clips.len();
    let pairs: Vec<(usize, usize)> = if n * (n - 1) / 2 <= most_pairs {
        (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j))).collect()
    } else {
        let mut stream = Rng::new(seed).stream("pairs");
        let mut pair = || {
            let (i, j) = (stream.below(n), stream.below(n - 1));
            (i, if j < i { j } else { j + 1 })
        };
        (0..most_pairs).map(|_| pair()).collect()
    };
    let mut sum = 0.0;
    for &(i, j) in &pairs {
        sum += f(&clips[i], &clips[j])?;
    }
    Ok(sum / pairs.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn still_and_moving_frames() {
        let pixels = [0, 0, 0, 0, 51, 0, 51, 0];
        let clip = Frames::new("a", &pixels, [4, 1, 2, 1]).unwrap();
        assert_eq!(frozen_ratio(&clip).unwrap(), 2.0 / 3.0);
        assert!((motion_energy(&clip).unwrap() - 0.5 * 0.04 / 3.0).abs() < 1e-15);
        let one = Frames::new("a", &pixels, [1, 1, 8, 1]).unwrap();
        assert!(matches!(motion_energy(&one), Err(Error::TooFew { .. })));
    }

    #[test]
    fn equal_clips_have_no_diversity() {
        let (a, b) = ([0; 512], [51; 512]);
        let frames = |p| Frames::new("a", p, [2, 16, 16, 1]).unwrap();
        assert_eq!(diversity(&[frames(&a), frames(&a)], 10, 0).unwrap(), 0.0);
        let mixed = [frames(&a), frames(&a), frames(&b)];
        assert!((diversity(&mixed, 10, 0).unwrap() - 0.2 * 2.0 / 3.0).abs() < 1e-15);
        let some = diversity(&mixed, 2, 1).unwrap();
        assert!([0.0, 0.1, 0.2].iter().any(|v| (some - v).abs() < 1e-15), "{some}");
        assert!((pairwise_ms_ssim(&[frames(&a), frames(&a)], 10, 0).unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn mistakes_name_the_clip() {
        let pixels = [0; 8];
        let short = Frames::new("fake 3", &pixels[..4], [2, 1, 2, 1]).unwrap();
        let long = Frames::new("fake 0", &pixels, [4, 1, 2, 1]).unwrap();
        let error = diversity(&[long, short], 9, 0).unwrap_err().to_string();
        assert_eq!(
            error,
            "clip fake 3: expected 4 x 1 x 2 x 1 [T, H, W, C] as clip fake 0, got [2, 1, 2, 1]"
        );
        assert!(diversity(&[long], 9, 0).is_err());
        assert!(diversity(&[long, long], 0, 0).is_err());
    }
}
