//! Where the windows of a pooling lie.

use std::ops::Range;

use super::super::axes::{NAMES, align, keep, rank};
use crate::{Error, Result};

/// Kernel, stride and padding per axis.
///
/// Axes are `[T, H, W]`, aligned to the right: 2-D pooling reads the last two entries, 1-D pooling the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolParams {
    /// Size of the windows, at least 1.
    pub kernel: [usize; 3],
    /// Distance between windows, at least 1.
    pub stride: [usize; 3],
    /// Positions added at both ends, at most half of the kernel.
    pub padding: [usize; 3],
    /// Whether the number of windows is rounded up, so that the last one may reach over the end. A window that would start behind the
    /// input and its first padding is left out.
    pub ceil_mode: bool,
    /// Whether averages count the padding, as zeros. What [`ceil_mode`](Self::ceil_mode) adds behind it never counts.
    pub count_include_pad: bool,
}

impl PoolParams {
    /// The same kernel and stride on every axis; no padding, which would count, and sizes rounded down.
    pub const fn uniform(kernel: usize, stride: usize) -> Self {
        Self {
            kernel: [kernel; 3],
            stride: [stride; 3],
            padding: [0; 3],
            ceil_mode: false,
            count_include_pad: true,
        }
    }

    /// Windows side by side on the last `D` (1 to 3) axes; axes before them are left as they are.
    pub fn per_axis<const D: usize>(kernel: [usize; D]) -> Self {
        Self { kernel: align(&kernel, 1), stride: align(&kernel, 1), ..Self::uniform(1, 1) }
    }

    /// With these distances between windows on the last `D` axes.
    pub fn stride<const D: usize>(mut self, stride: [usize; D]) -> Self {
        self.stride = align(&stride, 1);
        self
    }

    /// With this padding on the last `D` axes.
    pub fn padding<const D: usize>(mut self, padding: [usize; D]) -> Self {
        self.padding = align(&padding, 0);
        self
    }

    /// With sizes rounded up or down.
    pub const fn ceil_mode(mut self, ceil_mode: bool) -> Self {
        self.ceil_mode = ceil_mode;
        self
    }

    /// With averages that count the padding or not.
    pub const fn count_include_pad(mut self, count: bool) -> Self {
        self.count_include_pad = count;
        self
    }
}

/// The windows over an input; axes that it lacks have one position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    rank: usize,
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub padding: [usize; 3],
}

impl Windows {
    pub(super) fn new(what: &'static str, dims: &[usize], params: &PoolParams) -> Result<Self> {
        let rank = rank(what, dims)?;
        let mut windows = Self {
            rank,
            input: align(&dims[2..], 1),
            output: [1; 3],
            kernel: keep(params.kernel, rank, 1),
            stride: keep(params.stride, rank, 1),
            padding: keep(params.padding, rank, 0),
        };
        for axis in windows.axes() {
            windows.check(what, dims, axis, params.ceil_mode)?;
            windows.output[axis] = windows.count(axis, params.ceil_mode);
        }
        Ok(windows)
    }

    fn axes(&self) -> Range<usize> {
        3 - self.rank..3
    }

    /// Refuses an axis without windows.
    fn check(&self, what: &'static str, dims: &[usize], axis: usize, ceil_mode: bool) -> Result<()> {
        let (kernel, padding) = (self.kernel[axis], self.padding[axis]);
        // The upper end keeps the sums below far from overflow.
        if [kernel, self.stride[axis]].iter().any(|n| !(1..=u32::MAX as usize).contains(n)) {
            let name = NAMES[axis];
            let problem =
                format!("{what}: kernel and stride of axis {name} must be at least 1 and below 2^32");
            return Err(Error::Unsupported(problem));
        }
        if padding > kernel / 2 {
            let name = NAMES[axis];
            let problem =
                format!("{what}: padding {padding} of axis {name} is more than half of the kernel {kernel}");
            return Err(Error::Unsupported(problem));
        }
        let least = kernel.saturating_sub(2 * padding + self.excess(axis, ceil_mode)).max(1);
        if self.input[axis] < least {
            let expected = format!("at least {least} position(s) on axis {}", NAMES[axis]);
            return Err(Error::shape(what, expected, dims));
        }
        Ok(())
    }

    /// Positions by which the last window may reach over the padding.
    fn excess(&self, axis: usize, ceil_mode: bool) -> usize {
        if ceil_mode { self.stride[axis] - 1 } else { 0 }
    }

    /// Number of windows along an axis that has some.
    fn count(&self, axis: usize, ceil_mode: bool) -> usize {
        let (size, stride, padding) = (self.input[axis], self.stride[axis], self.padding[axis]);
        let count = (size + 2 * padding + self.excess(axis, ceil_mode) - self.kernel[axis]) / stride + 1;
        let starts_behind = ceil_mode && (count - 1) * stride >= size + padding;
        if starts_behind { count - 1 } else { count }
    }

    /// The input positions of a window, padding left out; never empty.
    #[inline(always)]
    pub(super) fn inside(&self, axis: usize, position: usize) -> Range<usize> {
        let start = position * self.stride[axis];
        let (from, to) = (start.saturating_sub(self.padding[axis]), start + self.kernel[axis]);
        from..(to - self.padding[axis]).min(self.input[axis])
    }

    /// Positions of a window, padding included, but not what lies behind it.
    pub(super) fn padded_len(&self, axis: usize, position: usize) -> usize {
        let start = position * self.stride[axis];
        (start + self.kernel[axis]).min(self.input[axis] + 2 * self.padding[axis]) - start
    }

    /// `[B, C, *S']` for an input `[B, C, *S]`.
    pub(super) fn output_shape(&self, input: &[usize]) -> Vec<usize> {
        input[..2].iter().chain(&self.output[3 - self.rank..]).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(size: usize, params: PoolParams) -> usize {
        Windows::new("input", &[1, 1, size], &params).unwrap().output[2]
    }

    #[test]
    fn sizes_follow_pytorch() {
        let p = PoolParams::uniform(3, 2);
        assert_eq!((output(7, p), output(8, p), output(8, p.ceil_mode(true))), (3, 3, 4));
        // The third window would start in the padding behind the input.
        let p = PoolParams::uniform(2, 2).padding([1]).ceil_mode(true);
        assert_eq!((output(3, p), output(4, p)), (2, 3));
        // A window longer than the input.
        assert_eq!(output(2, PoolParams::uniform(3, 2).ceil_mode(true)), 1);
    }

    #[test]
    fn windows_are_cut_at_the_ends() {
        let p = PoolParams::uniform(3, 2).padding([1]).ceil_mode(true);
        let w = Windows::new("input", &[1, 1, 6], &p).unwrap();
        assert_eq!(w.output, [1, 1, 4]);
        let cut: Vec<_> = (0..4).map(|o| (w.inside(2, o), w.padded_len(2, o))).collect();
        assert_eq!(cut, [(0..2, 3), (1..4, 3), (3..6, 3), (5..6, 2)]);
    }

    #[test]
    fn impossible_windows_name_the_axis() {
        let message =
            |dims: &[usize], p: PoolParams| Windows::new("input", dims, &p).unwrap_err().to_string();
        assert!(
            message(&[1, 1, 8, 2], PoolParams::uniform(3, 1)).contains("at least 3 position(s) on axis W")
        );
        assert!(message(&[1, 1, 0, 2], PoolParams::uniform(1, 1)).contains("axis H"));
        assert!(message(&[1, 1, 8], PoolParams::uniform(3, 1).padding([2])).contains("more than half"));
        assert!(message(&[1, 1, 8], PoolParams::uniform(3, 0)).contains("at least 1"));
        assert!(message(&[1, 1, 8], PoolParams::uniform(1, usize::MAX)).contains("below 2^32"));
        assert!(message(&[8, 8], PoolParams::uniform(2, 2)).contains("[B, C, W]"));
    }
}
