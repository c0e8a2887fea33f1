//! A convolution and the means of two neighbours behind it as one convolution.

use candle_core::Tensor;

use super::{PoolParams, avg_pool};
use crate::{Error, Result};

/// The kernel that does the work of a convolution with stride 1 and of means of windows of two behind it, on every axis: with stride 2 and
/// the same padding, `avg_pool(conv(x, w), 2) = conv(x, halving_kernel(w))`, sizes rounded down.
///
/// Kernels are one longer on every axis, but there are `2^D` times fewer positions: with 3x3 kernels 16 products take the place of 36, with
/// 3x3x3 ones 64 of 216.
///
/// # Shapes
/// - `weight` `[C_out, C_in, *K]` with one to three axes `K`
/// - returns `[C_out, C_in, *(K + 1)]`
///
/// # Errors
/// [`Error::Shape`] when the rank is not 3 to 5, [`Error::Unsupported`] for types other than f32 and f64.
pub fn halving_kernel(weight: &Tensor) -> Result<Tensor> {
    if !(3..=5).contains(&weight.rank()) {
        return Err(Error::shape(
            "kernel to be halved",
            "[C_out, C_in, *K] with one to three K",
            weight.dims(),
        ));
    }
    // Position k of the kernel meets an element once as k, and once as k - 1 of the neighbour.
    avg_pool(weight, &PoolParams { padding: [1; 3], ..PoolParams::uniform(2, 1) })
}
