//! Sizes of a convolution, checked once.

use serde::{Deserialize, Serialize};

use super::super::axes::{NAMES, align, keep, rank};
use crate::{Error, Result};

/// What the products of a convolution are formed in. Sums are f32 at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// The type of the operands.
    #[default]
    Full,
    /// bf16, where that is faster on this CPU and for these sizes; else the type of the operands. The operands of f32 convolutions and
    /// of their gradients are then rounded to 8 significant bits: results differ by up to about 1 % of their size. Where
    /// an input is infinite, more elements of the weight's gradient may be NaN than in f32.
    Bf16,
}

impl Precision {
    /// The lower of two: what a layer asks for, and what all layers of a model are made with.
    pub const fn or(self, other: Self) -> Self {
        match self {
            Self::Full => other,
            Self::Bf16 => Self::Bf16,
        }
    }
}

/// Stride, padding and dilation per axis, and the number of channel groups.
///
/// Axes are `[T, H, W]`, aligned to the right: 2-D convolutions read the last two entries, 1-D ones the last. Padding is with
/// zeros, the same at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvParams {
    /// Distance between the positions of the kernel, at least 1.
    pub stride: [usize; 3],
    /// Zeros added at both ends.
    pub padding: [usize; 3],
    /// Distance between the elements of the kernel, at least 1.
    pub dilation: [usize; 3],
    /// Channel groups, at least 1; both channel counts are multiples of it.
    pub groups: usize,
    /// Of the products; tensors of bf16 have their own.
    pub precision: Precision,
}

impl Default for ConvParams {
    fn default() -> Self {
        Self::uniform(1, 0)
    }
}

impl ConvParams {
    /// The same stride and padding on every axis; no dilation, one group.
    pub const fn uniform(stride: usize, padding: usize) -> Self {
        Self {
            stride: [stride; 3],
            padding: [padding; 3],
            dilation: [1; 3],
            groups: 1,
            precision: Precision::Full,
        }
    }

    /// Stride and padding per axis, for a convolution in `D` (1 to 3) dimensions.
    pub fn per_axis<const D: usize>(stride: [usize; D], padding: [usize; D]) -> Self {
        Self { stride: align(&stride, 1), padding: align(&padding, 0), ..Self::uniform(1, 0) }
    }

    /// With this dilation per axis.
    pub fn dilation<const D: usize>(mut self, dilation: [usize; D]) -> Self {
        self.dilation = align(&dilation, 1);
        self
    }

    /// With this number of groups.
    pub const fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// With products of this precision.
    pub const fn precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }
}

/// All sizes of a convolution that maps `input` to `output`; the transposed one goes the other way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Spatial dimensions of the tensors, 1 to 3; the arrays below always have three.
    pub rank: usize,
    pub batch: usize,
    /// Channels of `input`.
    pub c_in: usize,
    /// Channels of `output`.
    pub c_out: usize,
    pub groups: usize,
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub padding: [usize; 3],
    pub dilation: [usize; 3],
    pub precision: Precision,
}

impl Geometry {
    /// From the shapes of input and weight `[C_out, C_in / groups, *kernel]`.
    pub(crate) fn forward(input: &[usize], weight: &[usize], params: &ConvParams) -> Result<Self> {
        let mut g = Self::start("convolution input", input, params)?;
        (g.c_in, g.input) = (input[1], align(&input[2..], 1));
        g.set_weight("convolution weight", weight, g.c_in, |dims| (dims[0], dims[1] * params.groups))?;
        g.c_out = weight[0];
        for axis in g.axes() {
            let (padded, reach) = (g.input[axis] + 2 * g.padding[axis], g.reach(axis));
            if reach > padded {
                let expected = format!(
                    "at least {reach} positions with padding on axis {} for kernel {} and dilation {}, not {padded}",
                    NAMES[axis], g.kernel[axis], g.dilation[axis]
                );
                return Err(Error::shape("convolution input", expected, input));
            }
            g.output[axis] = (padded - reach) / g.stride[axis] + 1;
        }
        Ok(g)
    }

    /// From the shapes of the transposed convolution's input and its weight `[C_in, C_out / groups, *kernel]`; `self.output`
    /// then describes that input, and `self.input` the result.
    pub(crate) fn transposed(
        input: &[usize],
        weight: &[usize],
        params: &ConvParams,
        output_padding: [usize; 3],
    ) -> Result<Self> {
        let mut g = Self::start("transposed convolution input", input, params)?;
        (g.c_out, g.output) = (input[1], align(&input[2..], 1));
        g.set_weight("transposed convolution weight", weight, g.c_out, |dims| {
            (dims[1] * params.groups, dims[0])
        })?;
        g.c_in = weight[1] * params.groups;
        for axis in g.axes() {
            let (extra, limit) = (output_padding[axis], g.stride[axis].max(g.dilation[axis]));
            if extra >= limit {
                return Err(Error::Unsupported(format!(
                    "transposed convolution: output padding {extra} on axis {} must be smaller than the larger of stride \
                     and dilation, {limit}",
                    NAMES[axis]
                )));
            }
            let full = g.output[axis].saturating_sub(1) * g.stride[axis] + g.reach(axis) + extra;
            let cut = 2 * g.padding[axis];
            if g.output[axis] == 0 || full <= cut {
                let expected =
                    format!("axis {} long enough to leave something after padding {cut}", NAMES[axis]);
                return Err(Error::shape("transposed convolution input", expected, input));
            }
            g.input[axis] = full - cut;
        }
        Ok(g)
    }

    /// From the shapes of input, output gradient and kernel.
    pub(crate) fn weight_grad(
        input: &[usize],
        grad: &[usize],
        kernel: &[usize],
        params: &ConvParams,
    ) -> Result<Self> {
        let what = "convolution output gradient";
        if grad.len() != input.len() || kernel.len() + 2 != input.len() {
            let expected =
                format!("rank {} and a kernel of rank {}", input.len(), input.len().saturating_sub(2));
            return Err(Error::shape(what, expected, grad));
        }
        let c_in = input[1];
        let weight: Vec<usize> =
            [grad[1], c_in / params.groups.max(1)].into_iter().chain(kernel.iter().copied()).collect();
        let g = Self::forward(input, &weight, params)?;
        if grad != g.output_shape() {
            return Err(Error::shape(what, format!("{:?}", g.output_shape()), grad));
        }
        Ok(g)
    }

    fn start(what: &'static str, input: &[usize], params: &ConvParams) -> Result<Self> {
        let rank = rank(what, input)?;
        let g = Self {
            rank,
            batch: input[0],
            c_in: 0,
            c_out: 0,
            groups: params.groups,
            input: [1; 3],
            output: [1; 3],
            kernel: [1; 3],
            stride: keep(params.stride, rank, 1),
            padding: keep(params.padding, rank, 0),
            dilation: keep(params.dilation, rank, 1),
            precision: params.precision,
        };
        for axis in g.axes() {
            if g.stride[axis] == 0 || g.dilation[axis] == 0 {
                let problem =
                    format!("{what}: stride and dilation of axis {} must be at least 1", NAMES[axis]);
                return Err(Error::Unsupported(problem));
            }
        }
        if g.groups == 0 {
            return Err(Error::Unsupported(format!("{what}: groups must be at least 1")));
        }
        Ok(g)
    }

    /// Checks the weight against `channels`, the channels of the tensor that it is applied to; `split` gives (out, in) in full.
    fn set_weight(
        &mut self,
        what: &'static str,
        weight: &[usize],
        channels: usize,
        split: impl Fn(&[usize]) -> (usize, usize),
    ) -> Result<()> {
        let groups = self.groups;
        if weight.len() != self.rank + 2 || weight[2..].contains(&0) {
            return Err(Error::shape(
                what,
                format!("rank {} with a non-empty kernel", self.rank + 2),
                weight,
            ));
        }
        let (out, applied) = split(weight);
        if applied != channels || !out.is_multiple_of(groups) || !applied.is_multiple_of(groups) {
            let expected = format!(
                "channels that fit an input of {channels} channels in {groups} group(s), both counts multiples of it"
            );
            return Err(Error::shape(what, expected, weight));
        }
        self.kernel = align(&weight[2..], 1);
        Ok(())
    }

    fn axes(&self) -> std::ops::Range<usize> {
        3 - self.rank..3
    }

    /// Input positions that the kernel spans.
    fn reach(&self, axis: usize) -> usize {
        (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }

    fn shape(&self, first: usize, second: usize, axes: [usize; 3]) -> Vec<usize> {
        [first, second].into_iter().chain(axes[self.axes()].iter().copied()).collect()
    }

    /// `[B, C_in, *input]`.
    pub(crate) fn input_shape(&self) -> Vec<usize> {
        self.shape(self.batch, self.c_in, self.input)
    }

    /// `[B, C_out, *output]`.
    pub(crate) fn output_shape(&self) -> Vec<usize> {
        self.shape(self.batch, self.c_out, self.output)
    }

    /// `[C_out, C_in / groups, *kernel]`.
    pub(crate) fn weight_shape(&self) -> Vec<usize> {
        self.shape(self.c_out, self.c_in / self.groups, self.kernel)
    }

    /// The same map with as few axes as it needs, over the same memory: a kernel of one element sees an image as one long row, and a
    /// kernel that covers the whole input meets it in one position, so that channels and elements form one axis.
    pub(crate) fn flattened(mut self) -> Self {
        let plain = self.padding == [0; 3] && self.dilation == [1; 3];
        if plain && self.kernel == [1; 3] && self.stride == [1; 3] {
            self.input = [1, 1, self.input.iter().product()];
            self.output = self.input;
        } else if plain && self.kernel == self.input {
            self.c_in *= self.volume();
            (self.kernel, self.input, self.output, self.stride) = ([1; 3], [1; 3], [1; 3], [1; 3]);
        }
        self
    }

    /// The bias of `self.c_in` channels, from that of the geometry that was flattened: channels that were joined with the kernel's
    /// elements share the bias of their channel.
    pub(crate) fn joined_bias<T: Copy>(&self, before: &Self, bias: &[T]) -> Vec<T> {
        let repeat = self.c_in / before.c_in.max(1);
        bias.iter().flat_map(|v| std::iter::repeat_n(*v, repeat)).collect()
    }

    /// Elements of the kernel.
    pub(crate) fn volume(&self) -> usize {
        self.kernel.iter().product()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(result: Result<Geometry>) -> String {
        result.map(|g| format!("{g:?}")).unwrap_err().to_string()
    }

    #[test]
    fn sizes_follow_the_usual_formula() {
        let g = Geometry::forward(&[2, 3, 16, 64, 65], &[8, 3, 4, 4, 4], &ConvParams::uniform(2, 1)).unwrap();
        assert_eq!(g.output_shape(), [2, 8, 8, 32, 32]);
        let p = ConvParams::per_axis([3], [0]).dilation([2]);
        let g = Geometry::transposed(&[1, 4, 5], &[4, 6, 3], &p, [0, 0, 2]).unwrap();
        assert_eq!(g.input_shape(), [1, 6, 4 * 3 + 5 + 2]);
    }

    #[test]
    fn impossible_sizes_name_the_axis() {
        let p = ConvParams::default();
        let long = message(Geometry::forward(&[1, 1, 8, 3], &[1, 1, 3, 4], &p));
        assert!(long.contains("axis W") && long.contains("kernel 4"), "{long}");
        let channels = message(Geometry::forward(&[1, 3, 8], &[4, 2, 3], &p));
        assert!(channels.contains("3 channels"), "{channels}");
        let groups = message(Geometry::forward(&[1, 4, 8], &[3, 2, 3], &p.groups(2)));
        assert!(groups.contains("2 group"), "{groups}");
        let extra = message(Geometry::transposed(&[1, 1, 4, 4], &[1, 1, 2, 2], &p, [0, 1, 0]));
        assert!(extra.contains("axis H"), "{extra}");
        let stride = message(Geometry::forward(&[1, 1, 8], &[1, 1, 3], &ConvParams::uniform(0, 0)));
        assert!(stride.contains("at least 1"), "{stride}");
        let rank = message(Geometry::forward(&[8, 8], &[1, 1], &p));
        assert!(rank.contains("[B, C, W]"), "{rank}");
        assert!(Geometry::forward(&[1, 1, 8, 8], &[1, 1, 3], &p).is_err());
    }
}
