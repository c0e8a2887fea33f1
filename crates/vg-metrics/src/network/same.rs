//! TensorFlow's padding `SAME`: enough zeros that a stride of s leaves `ceil(n / s)` positions, the smaller half in front.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::ops::pool::{PoolParams, max_pool};

use super::conv::Conv;

/// Zeros in front of and behind an axis.
pub(crate) fn same(size: usize, kernel: usize, stride: usize) -> (usize, usize) {
    let step = if size.is_multiple_of(stride) { stride } else { size % stride };
    let total = kernel.saturating_sub(step);
    (total / 2, total - total / 2)
}

/// Maxima of windows under `SAME`, for values that are not negative and kernels of at most three.
///
/// What ceil mode adds behind an axis is the larger half; padding never wins.
pub(crate) fn max_pool_same(x: &Tensor, kernel: [usize; 3], stride: [usize; 3]) -> Result<Tensor> {
    let size = &x.dims()[2..];
    let front = std::array::from_fn(|a| same(size[a], kernel[a], stride[a]).0);
    max_pool(x, &PoolParams::per_axis(kernel).stride(stride).padding::<3>(front).ceil_mode(true))
}

/// A convolution under `SAME` whose kernel and stride are the same on all three axes.
pub(crate) fn conv_same(conv: &Conv, x: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let mut x = x.clone();
    let mut padding = [0; 3];
    for (axis, padding) in (2..).zip(&mut padding) {
        let (front, back) = same(x.dims()[axis], kernel, stride);
        *padding = front;
        // The convolution pads both ends alike.
        x = x.pad_with_zeros(axis, 0, back - front)?;
    }
    conv.clone().stride([stride; 3]).padding(padding).forward(&x)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_smaller_half_is_in_front() {
        let cases = [
            (224, 7, 2, (2, 3)),
            (112, 3, 2, (0, 1)),
            (9, 7, 2, (3, 3)),
            (5, 3, 2, (1, 1)),
            (14, 2, 2, (0, 0)),
        ];
        for (size, kernel, stride, expected) in cases {
            assert_eq!(same(size, kernel, stride), expected, "{size} {kernel} {stride}");
        }
        assert_eq!(same(8, 3, 1), (1, 1));
        assert_eq!(same(8, 1, 1), (0, 0));
    }

    #[test]
    fn pools_have_a_position_for_each_stride_begun() {
        for size in 1..9_usize {
            let x = Tensor::arange(0.0_f32, size as f32, &Device::Cpu).unwrap();
            let x = x.reshape((1, 1, size, 1, 1)).unwrap();
            for kernel in [2, 3] {
                let y = max_pool_same(&x, [kernel, 1, 1], [2, 1, 1]).unwrap();
                let y = y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let front = same(size, kernel, 2).0;
                let last = |o: usize| (2 * o + kernel - 1 - front).min(size - 1) as f32;
                let expected: Vec<f32> = (0..size.div_ceil(2)).map(last).collect();
                assert_eq!(y, expected, "size {size}, kernel {kernel}");
            }
        }
    }
}
