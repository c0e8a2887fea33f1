//! Kernels that resample as they convolve: three taps an axis become four or five, so that a convolution behind nearest enlarging, or
//! before averaging, is one of stride 2 with under a third of the products.
//!
//! Enlarging by 2 and then correlating with `w` adds input i to output o through the taps `k` with `floor((o + k - 1) / 2) = i`: a transposed
//! convolution with the taps `w2, w1 + w2, w0 + w1, w0`. Correlating and then averaging pairs has the taps `w0, w0 + w1, w1 + w2, w2`, halved.

use candle_core::{Device, Tensor};
use vg_core::Result;
use vg_core::ops::conv::ConvParams;

/// What happens to the size on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resampling {
    /// Nothing.
    None,
    /// Nearest enlarging before the convolution, in time too where `time`.
    Up {
        /// Whether the number of frames doubles.
        time: bool,
    },
    /// Averaging after the convolution, in time too where `time`.
    Down {
        /// Whether the number of frames halves.
        time: bool,
    },
}

/// An axis of a kernel: its taps as weighted sums of the three trained ones, its stride and padding.
pub(crate) struct Axis {
    taps: &'static [[f64; 3]],
    stride: usize,
    padding: usize,
}

const PLAIN: Axis =
    Axis { taps: &[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], stride: 1, padding: 1 };
/// The same in a transposed convolution.
const PLAIN_TRANSPOSED: Axis =
    Axis { taps: &[[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], stride: 1, padding: 1 };
const DOUBLE: Axis = Axis {
    taps: &[[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]],
    stride: 2,
    padding: 1,
};
const HALVE: Axis = Axis {
    taps: &[[0.5, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 0.5]],
    stride: 2,
    padding: 1,
};
/// The official code's time axis where time does not change: output frame t is the sum of frames t and t + 1 of a convolution that is
/// padded by 2 before and 1 behind.
const STRICT_UP_TIME: Axis = Axis {
    taps: &[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]],
    stride: 1,
    padding: 2,
};
/// Its columns there: zeros behind every value, padded by 2 before.
const STRICT_UP_COLUMNS: Axis = Axis {
    taps: &[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]],
    stride: 2,
    padding: 1,
};
/// The mean of frames t and t + 1 of a convolution that is padded by 1 before and 2 behind.
const STRICT_DOWN_TIME: Axis = Axis {
    taps: &[[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 0.5]],
    stride: 1,
    padding: 2,
};
/// Every second column of a convolution that is padded by 1 behind.
const STRICT_DOWN_COLUMNS: Axis = Axis {
    taps: &[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    stride: 2,
    padding: 1,
};

impl Resampling {
    /// Whether the layer is a transposed convolution.
    pub fn transposed(self) -> bool {
        matches!(self, Self::Up { .. })
    }

    /// The axes `[T, H, W]` of its kernels; `strict` as the official code has them.
    pub(crate) fn axes(self, strict: bool) -> [Axis; 3] {
        match self {
            Self::None => [PLAIN, PLAIN, PLAIN],
            Self::Up { time: true } => [DOUBLE, DOUBLE, DOUBLE],
            Self::Up { time: false } if strict => [STRICT_UP_TIME, DOUBLE, STRICT_UP_COLUMNS],
            Self::Up { time: false } => [PLAIN_TRANSPOSED, DOUBLE, DOUBLE],
            Self::Down { time: true } => [HALVE, HALVE, HALVE],
            Self::Down { time: false } if strict => [STRICT_DOWN_TIME, HALVE, STRICT_DOWN_COLUMNS],
            Self::Down { time: false } => [PLAIN, HALVE, HALVE],
        }
    }
}

/// Stride and padding of a layer.
pub(crate) fn params(axes: &[Axis]) -> ConvParams {
    let mut params = ConvParams::uniform(1, 0);
    for (k, axis) in (3 - axes.len()..3).zip(axes) {
        (params.stride[k], params.padding[k]) = (axis.stride, axis.padding);
    }
    params
}

/// Taps on each axis.
pub(crate) fn taps(axes: &[Axis]) -> Vec<usize> {
    axes.iter().map(|axis| axis.taps.len()).collect()
}

/// The map from all trained taps to the layer's, times `factor`: `[taps, 3^axes]`, f64.
pub(crate) fn taps_matrix(axes: &[Axis], factor: f64) -> Result<Tensor> {
    let mut rows = vec![vec![factor]];
    for axis in axes {
        let grown = rows.iter().flat_map(|row| {
            let with =
                move |tap: &[f64; 3]| -> Vec<f64> { row.iter().flat_map(|a| tap.map(|b| a * b)).collect() };
            axis.taps.iter().map(with)
        });
        rows = grown.collect();
    }
    let shape = (rows.len(), 3usize.pow(axes.len() as u32));
    Ok(Tensor::from_vec(rows.concat(), shape, &Device::Cpu)?)
}
