//! Resizing in one to three dimensions to a given size, as `torch.nn.functional.interpolate`.

use candle_core::Tensor;

use super::axes::{NAMES, align, rank};
use super::resample::{AxisMap, Resample, Tap};
use crate::{Error, Result};

/// How values between those of the input are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// The value at `floor(o * in / out)` for output position `o`, in exact arithmetic (PyTorch's `nearest`).
    Nearest,
    /// The line between the two values around it, on every axis (PyTorch's `linear`, `bilinear` and `trilinear`).
    Linear {
        /// Whether the first and last positions of input and output coincide (`o * (in - 1) / (out - 1)`); otherwise the outer edges
        /// of the positions, seen as intervals, do (`(o + 1/2) * in / out - 1/2`, at least 0).
        align_corners: bool,
    },
}

/// Resizes the spatial axes; differentiable to any order.
///
/// A smaller size is allowed; nothing is averaged then.
///
/// # Shapes
/// - `x` `[B, C, *S]` with one to three axes `S`; `size` one number for each of them
/// - returns `[B, C, *size]`
///
/// # Errors
/// [`Error::Shape`] when the rank is not 3 to 5, `size` has another number of axes, or an axis is empty before or after;
/// [`Error::Unsupported`] for element types other than f32 and f64.
pub fn upsample(x: &Tensor, size: &[usize], interpolation: Interpolation) -> Result<Tensor> {
    let what = "input of upsampling";
    let rank = rank(what, x.dims())?;
    if size.len() != rank {
        return Err(Error::shape(what, format!("rank {} for a size of {size:?}", size.len() + 2), x.dims()));
    }
    let (input, output) = (align(&x.dims()[2..], 1), align(size, 1));
    if let Some(axis) = (0..3).find(|axis| input[*axis] == 0 || output[*axis] == 0) {
        let expected = format!("axis {} not empty, before and after ({size:?})", NAMES[axis]);
        return Err(Error::shape(what, expected, x.dims()));
    }
    let maps = [0, 1, 2].map(|axis| interpolation.map(input[axis], output[axis]));
    Resample::new(maps).apply(x)
}

/// [`upsample`] by whole factors.
///
/// # Errors
/// As [`upsample`].
pub fn upsample_by(x: &Tensor, factors: &[usize], interpolation: Interpolation) -> Result<Tensor> {
    let spatial = x.dims().get(2..).unwrap_or_default();
    if spatial.len() != factors.len() {
        let expected = format!("rank {} for factors {factors:?}", factors.len() + 2);
        return Err(Error::shape("input of upsampling", expected, x.dims()));
    }
    let size: Vec<usize> = spatial.iter().zip(factors).map(|(s, f)| s.saturating_mul(*f)).collect();
    upsample(x, &size, interpolation)
}

impl Interpolation {
    fn map(self, input: usize, output: usize) -> AxisMap {
        match self {
            _ if input == output => AxisMap::identity(input),
            Self::Nearest => {
                AxisMap::new(input, (0..output).map(|o| [Tap { at: o * input / output, weight: 1.0 }]))
            }
            Self::Linear { align_corners } => {
                let source = |o| source(o, input, output, align_corners);
                AxisMap::new(input, (0..output).map(|o| between(source(o), input)))
            }
        }
    }
}

/// The place in the input of an output position.
fn source(o: usize, input: usize, output: usize, align_corners: bool) -> f64 {
    match (align_corners, output) {
        (true, 1) => 0.0,
        (true, _) => (o * (input - 1)) as f64 / (output - 1) as f64,
        (false, _) => (((2 * o + 1) * input) as f64 / (2 * output) as f64 - 0.5).max(0.0),
    }
}

/// The two positions around a place, the nearer with the larger weight; behind the last one it counts alone.
fn between(place: f64, input: usize) -> [Tap; 2] {
    let before = (place as usize).min(input - 1);
    let after = (before + 1).min(input - 1);
    let weight = place - before as f64;
    [Tap { at: before, weight: 1.0 - weight }, Tap { at: after, weight }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_both_conventions() {
        let all = |input, output, corners| -> Vec<f64> {
            (0..output).map(|o| source(o, input, output, corners)).collect()
        };
        assert_eq!(all(2, 4, false), [0.0, 0.25, 0.75, 1.25]);
        assert_eq!(all(3, 5, true), [0.0, 0.5, 1.0, 1.5, 2.0]);
        assert_eq!(all(3, 1, true), [0.0]);
    }

    #[test]
    fn the_last_value_counts_alone_behind_it() {
        let taps = between(1.25, 2);
        assert!(taps.iter().all(|tap| tap.at == 1));
        assert_eq!(taps[0].weight + taps[1].weight, 1.0);
    }
}
