//! Average and maximum pooling in one to three dimensions.
//!
//! | function | PyTorch |
//! |---|---|
//! | [`avg_pool`] | `avg_pool1d`, `avg_pool2d`, `avg_pool3d` |
//! | [`max_pool`] | `max_pool1d`, `max_pool2d`, `max_pool3d` without dilation |
//!
//! Averages are linear maps and maxima choose elements, so that derivatives of any order exist.

mod halving;
mod max;
mod windows;

use candle_core::Tensor;

pub use self::halving::halving_kernel;
pub use self::windows::PoolParams;
use self::windows::Windows;
use super::resample::{AxisMap, Resample, Tap};
use crate::Result;

/// Means of windows. Where the input is a constant, so is the result.
///
/// # Shapes
/// - `x` `[B, C, *S]` with one to three axes `S`
/// - returns `[B, C, *S']` with `S' = floor((S + 2 padding - kernel) / stride) + 1` on each axis; see [`PoolParams::ceil_mode`]
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) when the rank is not 3 to 5 or a window does not fit;
/// [`Error::Unsupported`](crate::Error::Unsupported) for empty kernels, zero strides, paddings above half of the kernel and element
/// types other than f32 and f64.
pub fn avg_pool(x: &Tensor, params: &PoolParams) -> Result<Tensor> {
    let windows = Windows::new("average pooling input", x.dims(), params)?;
    let map = |axis: usize| {
        let taps = |position| {
            let inside = windows.inside(axis, position);
            let count =
                if params.count_include_pad { windows.padded_len(axis, position) } else { inside.len() };
            inside.map(move |at| Tap { at, weight: 1.0 / count as f64 })
        };
        AxisMap::new(windows.input[axis], (0..windows.output[axis]).map(taps))
    };
    Resample::new([0, 1, 2].map(map)).apply(x)
}

/// Maxima of windows; padding never wins.
///
/// The gradient goes to the maximum, of equal ones to the first in the order of the tensor. A window with a NaN gives NaN.
///
/// # Shapes
/// As [`avg_pool`].
///
/// # Errors
/// As [`avg_pool`]; also [`Error::Unsupported`](crate::Error::Unsupported) for planes of 2^32 elements and more.
pub fn max_pool(x: &Tensor, params: &PoolParams) -> Result<Tensor> {
    max::apply(x, Windows::new("max pooling input", x.dims(), params)?)
}
