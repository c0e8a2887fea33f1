//! Tiles of products by the kernels of the convolutions, for CPUs whose widest vectors the `gemm` crate does not use.

use std::ops::Range;

use super::super::kernel::transpose::transpose;
use super::super::kernel::{Kernel, Product, Simd};
use super::super::real::Real;
use super::super::threads::{Shared, with_scratch};
use super::Matrix;

/// Where the elements of A lie, for all products of one call.
pub(super) struct Blocked<T: 'static> {
    kernel: &'static Kernel<T>,
    rows: Vec<u32>,
    steps: Vec<u32>,
}

impl<T: Real> Blocked<T> {
    /// For products of matrices that lie like these; `None` where `gemm` does as well.
    pub(super) fn new(a: Matrix<'_, T>, b: Matrix<'_, T>) -> Option<Self> {
        let kernel = T::kernel();
        let packs = b.column_stride == 1 || b.row_stride == 1;
        if !kernel.simd.beats_gemm() || !packs || u32::try_from(a.data.len()).is_err() {
            return None;
        }
        let offsets = |n: usize, stride: usize| (0..n).map(|i| (i * stride) as u32).collect();
        Some(Self { kernel, rows: offsets(a.rows, a.row_stride), steps: offsets(a.columns, a.column_stride) })
    }

    /// Writes `factor A B` at some rows and columns; the whole product starts at element `first` of `out`.
    ///
    /// # Safety
    /// No other task uses these elements of `out`.
    pub(super) unsafe fn tile(
        &self,
        (a, b): (Matrix<'_, T>, Matrix<'_, T>),
        (rows, columns): (Range<usize>, Range<usize>),
        factor: T,
        out: Shared<T>,
        first: usize,
    ) {
        let (vectors, _) = self.kernel.panels(columns.len());
        let (width, depth) = (vectors * self.kernel.lanes, self.steps.len());
        with_scratch::<T, _>((depth + rows.len()) * width, |scratch| {
            let (panel, sums) = scratch.split_at_mut(depth * width);
            for start in columns.clone().step_by(width) {
                let columns = start..(start + width).min(columns.end);
                pack(self.kernel.simd, b, columns.clone(), width, panel);
                let product = Product {
                    a: a.data,
                    rows: &self.rows[rows.clone()],
                    steps: &self.steps,
                    b: panel,
                    vectors,
                    c_stride: width,
                    accumulate: false,
                };
                self.kernel.multiply(&product, sums);
                for (row, sums) in rows.clone().zip(sums.chunks_exact(width)) {
                    let at = first + row * b.columns;
                    // SAFETY: the elements of this tile, which the caller vouches for.
                    let to = unsafe { out.slice(at + columns.start..at + columns.end) };
                    to.iter_mut().zip(sums).for_each(|(to, sum)| *to = factor * *sum);
                }
            }
        });
    }
}

/// Some columns of a matrix, row by row, `width` apart; zeros behind them.
fn pack<T: Real>(simd: Simd, b: Matrix<'_, T>, columns: Range<usize>, width: usize, to: &mut [T]) {
    let wanted = columns.len();
    if b.column_stride == 1 {
        for (row, to) in to.chunks_exact_mut(width).enumerate() {
            to[..wanted].copy_from_slice(&b.data[row * b.row_stride..][columns.clone()]);
            to[wanted..].fill(T::nil());
        }
        return;
    }
    if wanted < width {
        to.fill(T::nil());
    }
    let first = columns.start * b.column_stride;
    let last = (columns.end - 1) * b.column_stride + b.rows;
    assert!(b.row_stride == 1 && last <= b.data.len() && to.len() >= b.rows * width);
    // SAFETY: as just checked, column after column has all its rows side by side in the matrix, and the panel has a line of `width`
    // elements, no less than there are columns, for each row. They are different buffers.
    unsafe {
        let from = b.data.as_ptr().add(first);
        transpose(simd, from, b.column_stride, to.as_mut_ptr(), width, wanted, b.rows);
    }
}
