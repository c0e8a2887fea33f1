//! Convolution and its input gradient as the same task: sums over channels and taps at dense positions.
//!
//! A convolution with stride s reads every s-th patch. Its input gradient splits into s^d dense convolutions, one for each
//! remainder of the result's position by s (a phase), each with the taps of the kernel that fall on that phase. All phases read the
//! same piece of the input and are computed together.

use super::geometry::Geometry;
use super::region::Window;

/// One tap: its offset in the input and its index in the kernel, per axis.
pub(super) type Taps = [Vec<(isize, usize)>; 3];

/// One dense convolution whose results lie [`Plan::spread`] apart.
pub(super) struct Phase {
    /// Where its first result lies.
    pub origin: [usize; 3],
    pub taps: Taps,
}

impl Phase {
    pub(super) fn volume(&self) -> usize {
        self.taps.iter().map(Vec::len).product()
    }
}

/// Element strides of the weight as seen from `(group, result channel, summed channel)`.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct WeightLayout {
    pub group: usize,
    pub row: usize,
    pub channel: usize,
}

/// What is computed: `[B, groups * channels, *from]` to `[B, groups * rows, *to]`.
pub(super) struct Plan {
    pub batch: usize,
    pub groups: usize,
    /// Channels summed over, per group.
    pub channels: usize,
    /// Channels of the result, per group.
    pub rows: usize,
    pub from: [usize; 3],
    pub to: [usize; 3],
    pub kernel: [usize; 3],
    /// Positions per axis; those of a phase that lie beyond the result are dropped.
    pub counts: [usize; 3],
    /// Input distance between positions.
    pub step: [usize; 3],
    /// Result distance between positions.
    pub spread: [usize; 3],
    /// The phases; those of the last axis next to each other, as many for all others.
    pub phases: Vec<Phase>,
    pub weight: WeightLayout,
}

impl Plan {
    /// Convolution: `[B, C_in, *input]` to `[B, C_out, *output]`.
    pub(super) fn forward(g: &Geometry) -> Self {
        let (c_in, c_out) = (g.c_in / g.groups, g.c_out / g.groups);
        let taps = std::array::from_fn(|a| {
            (0..g.kernel[a]).map(|k| ((k * g.dilation[a]) as isize - g.padding[a] as isize, k)).collect()
        });
        Self {
            batch: g.batch,
            groups: g.groups,
            channels: c_in,
            rows: c_out,
            from: g.input,
            to: g.output,
            kernel: g.kernel,
            counts: g.output,
            step: g.stride,
            spread: [1; 3],
            phases: vec![Phase { origin: [0; 3], taps }],
            weight: WeightLayout {
                group: c_out * c_in * g.volume(),
                row: c_in * g.volume(),
                channel: g.volume(),
            },
        }
    }

    /// Transposed convolution: `[B, C_out, *output]` to `[B, C_in, *input]`.
    pub(super) fn backward(g: &Geometry) -> Self {
        let (rows, channels) = (g.c_in / g.groups, g.c_out / g.groups);
        let axis = |a: usize, r: usize| -> Vec<(isize, usize)> {
            // Input position s*j + r gets the output positions i with s*i + k*dilation - padding = s*j + r.
            let (s, f) = (g.stride[a], r + g.padding[a]);
            let meets = |k: &usize| (k * g.dilation[a]) % s == f % s;
            let shift = |k: usize| (f as isize - (k * g.dilation[a]) as isize) / s as isize;
            (0..g.kernel[a]).filter(meets).map(|k| (shift(k), k)).collect()
        };
        let remainders = |a: usize| 0..g.stride[a].min(g.input[a]);
        let mut phases = Vec::new();
        for z in remainders(0) {
            for y in remainders(1) {
                phases.extend(
                    remainders(2)
                        .map(|x| Phase { origin: [z, y, x], taps: [axis(0, z), axis(1, y), axis(2, x)] }),
                );
            }
        }
        Self {
            batch: g.batch,
            groups: g.groups,
            channels,
            rows,
            from: g.output,
            to: g.input,
            kernel: g.kernel,
            counts: std::array::from_fn(|a| g.input[a].div_ceil(g.stride[a])),
            step: [1; 3],
            spread: g.stride,
            phases,
            weight: WeightLayout {
                group: channels * rows * g.volume(),
                row: g.volume(),
                channel: rows * g.volume(),
            },
        }
    }

    /// The input positions that the taps of all phases touch.
    pub(super) fn window(&self) -> Window {
        let offsets = |axis: usize| self.phases.iter().flat_map(move |p| p.taps[axis].iter().map(|t| t.0));
        Window {
            input: self.from,
            step: self.step,
            low: std::array::from_fn(|a| offsets(a).min().unwrap_or(0)),
            high: std::array::from_fn(|a| offsets(a).max().unwrap_or(0)),
        }
    }

    /// Phases of the last axis; their results interleave in a row of the result.
    pub(super) fn interleaved(&self) -> usize {
        self.spread[2].min(self.to[2])
    }

    /// The axis that is outermost in the order of the inner dimension: the first one along which the kernel extends.
    pub(super) fn outer_axis(&self) -> usize {
        outer_axis(self.kernel)
    }

    /// Elements of the result.
    pub(super) fn len(&self) -> usize {
        self.batch * self.groups * self.rows * self.to.iter().product::<usize>()
    }
}

/// See [`Plan::outer_axis`]. Taps of that axis that fall into the padding are left out of a block's sums.
pub(super) fn outer_axis(kernel: [usize; 3]) -> usize {
    kernel.iter().position(|k| *k > 1).unwrap_or(2)
}

/// The combinations of `taps` on all axes but `outer`, the last axis fastest; `combine` turns three taps, of which that of the outer
/// axis is `fixed`, into a value.
pub(super) fn inner_taps<R>(
    taps: &Taps,
    outer: usize,
    fixed: (isize, usize),
    mut combine: impl FnMut([(isize, usize); 3]) -> R,
) -> Vec<R> {
    let one = [fixed];
    let axis = |a: usize| if a == outer { &one[..] } else { &taps[a][..] };
    let mut out = Vec::with_capacity(axis(0).len() * axis(1).len() * axis(2).len());
    for z in axis(0) {
        for y in axis(1) {
            out.extend(axis(2).iter().map(|x| combine([*z, *y, *x])));
        }
    }
    out
}

/// Index in the kernel of three taps.
pub(super) fn element(kernel: [usize; 3], taps: [(isize, usize); 3]) -> usize {
    (taps[0].1 * kernel[1] + taps[1].1) * kernel[2] + taps[2].1
}

/// Offsets of three taps.
pub(super) fn offset(taps: [(isize, usize); 3]) -> [isize; 3] {
    taps.map(|t| t.0)
}
