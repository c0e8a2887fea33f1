//! Matrix products on the CPU whose bits do not depend on the number of threads.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor, WithDType};

use super::real::{Real, by_dtype, slice};
use super::threads::{Shared, filled, for_each};
use crate::grad::apply2;

/// A row-major matrix in memory, read as it is or transposed.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    data: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `rows x columns`, row after row.
    pub(crate) fn new(data: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(data.len(), rows * columns);
        Self { data, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The transposed matrix, without a copy.
    pub(crate) fn t(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// Rows and columns of a tile: fixed, so that threads change nothing.
const TILE: [usize; 2] = [96, 256];

/// `A B`, row-major.
pub(crate) fn matmul<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>) -> Vec<T> {
    assert_eq!(a.columns, b.rows);
    let (m, n, k) = (a.rows, b.columns, a.columns);
    if m * n * k == 0 {
        return vec![T::nil(); m * n];
    }
    let (down, across) = (m.div_ceil(TILE[0]), n.div_ceil(TILE[1]));
    // SAFETY: the tiles partition the product.
    unsafe {
        filled(m * n, |out: Shared<T>| {
            for_each(down * across, |i| {
                let (r, c) = (i / across * TILE[0], i % across * TILE[1]);
                let (height, width) = (TILE[0].min(m - r), TILE[1].min(n - c));
                // SAFETY: the tile lies inside the product and its operands inside A and B; T is f32 or f64.
                gemm::gemm(
                    height,
                    width,
                    k,
                    out.ptr().add(r * n + c),
                    1,
                    n as isize,
                    false,
                    a.data.as_ptr().add(r * a.row_stride),
                    a.column_stride as isize,
                    a.row_stride as isize,
                    b.data.as_ptr().add(c * b.column_stride),
                    b.column_stride as isize,
                    b.row_stride as isize,
                    T::nil(),
                    T::of(1.0),
                    false,
                    false,
                    false,
                    gemm::Parallelism::None,
                );
            });
        })
    }
}

/// Product of two 2-D tensors, each optionally transposed first; differentiable to any order.
#[derive(Clone, Copy)]
pub(crate) struct Product {
    pub transpose_a: bool,
    pub transpose_b: bool,
}

impl Product {
    /// Applies the product; the inner sizes must agree.
    pub(crate) fn of(self, a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
        apply2(&a.contiguous()?, &b.contiguous()?, self)
    }
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "matrix product"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "matrix product", T => {
            let read = |transpose: bool, m| if transpose { Matrix::t(m) } else { m };
            let a = read(self.transpose_a, Matrix::new(slice::<T>(s1, l1)?, l1.dims()[0], l1.dims()[1]));
            let b = read(self.transpose_b, Matrix::new(slice::<T>(s2, l2)?, l2.dims()[0], l2.dims()[1]));
            Ok((T::to_cpu_storage_owned(matmul(a, b)), Shape::from((a.rows, b.columns))))
        })
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _product: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let product = |transpose_a, transpose_b, x, y| Self { transpose_a, transpose_b }.of(x, y);
        // With C = A B: dA = G B^T and dB = A^T G; a transposed operand gets the transposed of that.
        let d_a = match (a.track_op(), self.transpose_a) {
            (false, _) => None,
            (_, false) => Some(product(false, !self.transpose_b, grad, b)?),
            (_, true) => Some(product(self.transpose_b, true, b, grad)?),
        };
        let d_b = match (b.track_op(), self.transpose_b) {
            (false, _) => None,
            (_, false) => Some(product(!self.transpose_a, false, a, grad)?),
            (_, true) => Some(product(true, self.transpose_a, grad, a)?),
        };
        Ok((d_a, d_b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_all_transpositions_agree_with_loops() {
        let (m, k, n) = (130, 7, 300);
        let a: Vec<f64> = (0..m * k).map(|i| ((i * 7) % 11) as f64 - 5.0).collect();
        let b: Vec<f64> = (0..k * n).map(|i| ((i * 5) % 13) as f64 - 6.0).collect();
        let flip = |x: &[f64], r: usize, c: usize| -> Vec<f64> {
            (0..r * c).map(|i| x[i % r * c + i / r]).collect()
        };
        let (at, bt) = (flip(&a, m, k), flip(&b, k, n));
        let want: Vec<f64> =
            (0..m * n).map(|i| (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum()).collect();
        assert_eq!(matmul(Matrix::new(&a, m, k), Matrix::new(&b, k, n)), want);
        assert_eq!(matmul(Matrix::new(&at, k, m).t(), Matrix::new(&b, k, n)), want);
        assert_eq!(matmul(Matrix::new(&a, m, k), Matrix::new(&bt, n, k).t()), want);
        assert_eq!(matmul(Matrix::new(&at, k, m).t(), Matrix::new(&bt, n, k).t()), want);
    }
}
