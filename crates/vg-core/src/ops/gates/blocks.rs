//! Pieces of tensors `[B, k H, ...]`, whose rows hold the pre-activations of `k` gates one after the other.

use std::mem::MaybeUninit;

use candle_core::Tensor;

use super::super::op::Gradients;
use super::super::real::Real;
use super::super::threads::{Shared, for_each};

/// States per task: a gate costs some ten times as much as an addition.
const CHUNK: usize = 1 << 12;

/// The blocks of one gate: `rows` of them, `width` elements each.
#[derive(Clone, Copy)]
pub(super) struct Blocks {
    rows: usize,
    width: usize,
}

impl Blocks {
    /// The blocks of a state `[B, H, ...]`.
    pub(super) fn of(dims: &[usize]) -> Self {
        Self { rows: dims[0], width: dims[1..].iter().product() }
    }

    /// Elements of the state.
    pub(super) fn len(self) -> usize {
        self.rows * self.width
    }

    /// Runs `f` on pieces that cover every row once, compiled for the vectors of this CPU.
    pub(super) fn for_each<T: Real>(self, f: impl Fn(Piece) + Sync + Send) {
        let Self { rows, width } = self;
        let rows_each = (CHUNK / width.max(1)).max(1);
        let across = width.div_ceil(CHUNK);
        for_each(rows.div_ceil(rows_each) * across, |task| {
            let (first, start) = (task / across * rows_each, task % across * CHUNK);
            let len = CHUNK.min(width - start);
            T::simd().run(
                #[inline(always)]
                || {
                    for row in first..rows.min(first + rows_each) {
                        f(Piece { row, start, len, width });
                    }
                },
            );
        });
    }
}

/// A stretch of one row, at the same place in every block.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    row: usize,
    start: usize,
    pub len: usize,
    width: usize,
}

impl Piece {
    #[inline(always)]
    fn offset(self, block: usize, blocks: usize) -> usize {
        (self.row * blocks + block) * self.width + self.start
    }

    /// This piece of each of the `K` blocks of a tensor.
    #[inline(always)]
    pub(super) fn of<T, const K: usize>(self, data: &[T]) -> [&[T]; K] {
        std::array::from_fn(
            #[inline(always)]
            |k| &data[self.offset(k, K)..][..self.len],
        )
    }

    /// This piece of each of the `K` blocks of a tensor that starts at `base`, to be written.
    ///
    /// # Safety
    /// The buffer of `out` is alive, and no one else uses this piece of it.
    ///
    /// # Panics
    /// When the tensor does not lie in the buffer.
    #[inline(always)]
    pub(super) unsafe fn write<'a, T: Real, const K: usize>(
        self,
        out: Shared<T>,
        base: usize,
    ) -> [&'a mut [MaybeUninit<T>]; K] {
        std::array::from_fn(
            #[inline(always)]
            |k| {
                // SAFETY: `at` checks the bounds; that no one else uses the piece is the caller's promise, and the pieces of two
                // blocks do not overlap, because a piece ends before `width`.
                unsafe {
                    let first = out.at(base + self.offset(k, K), self.len).cast::<MaybeUninit<T>>();
                    std::slice::from_raw_parts_mut(first, self.len)
                }
            },
        )
    }
}

/// Cuts the gradients of several operands out of the flat tensor that holds them one after the other; constants get none.
pub(super) fn unpack<const N: usize>(flat: &Tensor, operands: [&Tensor; N]) -> Gradients<N> {
    let mut grads = [const { None }; N];
    let mut start = 0;
    for (grad, operand) in grads.iter_mut().zip(operands) {
        let len = operand.elem_count();
        if operand.track_op() {
            *grad = Some(flat.narrow(0, start, len)?.reshape(operand.shape())?);
        }
        start += len;
    }
    Ok(grads)
}
