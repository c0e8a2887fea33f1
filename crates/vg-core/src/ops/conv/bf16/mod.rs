//! Convolutions whose products are formed in bf16 and whose sums in f32.
//!
//! The plan of a convolution is the same as in f32. What differs is how the operands lie: the matrix kernels ([`pairs`]) take two
//! neighbouring numbers of the inner dimension at a time, and vectors run along positions. So the residues of the input's coordinates by
//! the stride are stored apart ([`lattice`]), which makes neighbours of the elements that neighbouring positions read, and the sums come
//! out in the layout of tensors.
//!
//! [`pairs`]: super::super::kernel::pairs

mod apply;
mod element;
mod lattice;
mod weight_grad;
mod weights;

pub(super) use self::element::Element;
use super::super::kernel::pairs::{PairKernel, pair_kernel};
use super::apply::Finish;
use super::geometry::Geometry;
use super::plan::Plan;

/// The three operations, for a CPU that has a kernel for them.
#[derive(Clone, Copy)]
pub(super) struct Bf16(&'static PairKernel);

/// Summed channels of a group from which on the tiles are full enough to beat f32.
const CHANNELS: usize = 16;

impl Bf16 {
    /// For [`Bf16::forward`] and [`Bf16::weight_grad`]; `None` where f32 is as fast.
    pub(super) fn for_input(g: &Geometry) -> Option<Self> {
        Self::detect(g.c_in / g.groups, g.flattened().input)
    }

    /// For [`Bf16::backward`]; `None` where f32 is as fast.
    pub(super) fn for_output(g: &Geometry) -> Option<Self> {
        Self::detect(g.c_out / g.groups, g.flattened().output)
    }

    /// Tensors without positions would have to be transposed on the way in.
    fn detect(channels: usize, size: [usize; 3]) -> Option<Self> {
        if channels < CHANNELS || size == [1; 3] { None } else { pair_kernel().map(Self) }
    }

    /// Convolution: `[B, C_in, *input]` to `[B, C_out, *output]`.
    pub(super) fn forward<S: Element>(
        self,
        g: &Geometry,
        input: &[S],
        weight: &[S],
        finish: Finish<'_, f32>,
    ) -> Vec<S> {
        apply::run(self.0, &Plan::forward(&g.flattened()), input, weight, finish)
    }

    /// Transposed convolution: `[B, C_out, *output]` to `[B, C_in, *input]`.
    pub(super) fn backward<S: Element>(
        self,
        g: &Geometry,
        grad: &[S],
        weight: &[S],
        finish: Finish<'_, f32>,
    ) -> Vec<S> {
        let flat = g.flattened();
        let bias = finish.bias.map(|bias| flat.joined_bias(g, bias));
        let finish = Finish { bias: bias.as_deref(), activation: finish.activation };
        apply::run(self.0, &Plan::backward(&flat), grad, weight, finish)
    }

    /// `[C_out, C_in / groups, *kernel]` from `[B, C_in, *input]` and `[B, C_out, *output]`.
    pub(super) fn weight_grad<S: Element>(self, g: &Geometry, input: &[S], grad: &[S]) -> Vec<S> {
        weight_grad::weight_grad(self.0, &Plan::forward(&g.flattened()), input, grad)
    }
}
