//! Matrix products on the CPU whose bits do not depend on the number of threads.

mod blocked;

use candle_core::{Shape, Tensor};

use self::blocked::Blocked;
use super::op::{Gradients, Op, Operand, Output, binary};
use super::real::Real;
use super::threads::{Shared, filled, for_each};

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

    /// Whether the elements of both have the same places in memory.
    fn lies_like(&self, other: &Self) -> bool {
        [self.row_stride, self.column_stride] == [other.row_stride, other.column_stride]
    }
}

/// Rows and columns of a tile: fixed, so that threads change nothing.
const TILE: [usize; 2] = [96, 256];

/// `factor A B` for pairs of matrices of the same sizes, row-major, one product after the other.
pub(crate) fn matmul<T: Real>(pairs: &[(Matrix<'_, T>, Matrix<'_, T>)], factor: f64) -> Vec<T> {
    let Some((a, b)) = pairs.first() else { return Vec::new() };
    let (m, n, k) = (a.rows, b.columns, a.columns);
    assert!(pairs.iter().all(|(a, b)| [a.rows, a.columns, b.rows, b.columns] == [m, k, k, n]));
    if m * n * k == 0 {
        return vec![T::nil(); pairs.len() * m * n];
    }
    let (down, across) = (m.div_ceil(TILE[0]), n.div_ceil(TILE[1]));
    let alike = |(x, y): &(Matrix<'_, T>, Matrix<'_, T>)| x.lies_like(a) && y.lies_like(b);
    let blocked = if pairs.iter().all(alike) { Blocked::new(*a, *b) } else { None };
    // SAFETY: the tiles partition the products.
    unsafe {
        filled(pairs.len() * m * n, |out: Shared<T>| {
            for_each(pairs.len() * down * across, |i| {
                let (pair, i) = (i / (down * across), i % (down * across));
                let (a, b) = pairs[pair];
                let (r, c) = (i / across * TILE[0], i % across * TILE[1]);
                let (height, width) = (TILE[0].min(m - r), TILE[1].min(n - c));
                if let Some(blocked) = &blocked {
                    let place = (r..r + height, c..c + width);
                    // SAFETY: the tile belongs to this task alone.
                    blocked.tile((a, b), place, T::of(factor), out, pair * m * n);
                    return;
                }
                // SAFETY: `r < m` and `c < n` by the count of tiles, and height and width are cut to what is left of both: the tile lies
                // inside this pair's product, whose bounds `at` checks, and belongs to this task alone. The operands have the sizes
                // asserted above, and `Matrix` that many elements. T is f32 or f64.
                gemm::gemm(
                    height,
                    width,
                    k,
                    out.at(pair * m * n, m * n).add(r * n + c),
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
                    T::of(factor),
                    false,
                    false,
                    false,
                    gemm::Parallelism::None,
                );
            });
        })
    }
}

/// Product of the last two axes of two tensors, each optionally transposed first, times a factor; differentiable to any order.
#[derive(Clone, Copy)]
pub(crate) struct Product {
    pub transpose_a: bool,
    pub transpose_b: bool,
    pub factor: f64,
}

impl Product {
    /// Applies the product; the axes before the last two and the inner sizes must agree.
    pub(crate) fn of(self, a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
        binary(a, b, self)
    }
}

impl Product {
    /// The result's shape.
    fn shape(self, a: &[usize], b: &[usize]) -> Vec<usize> {
        let outer = a.len() - 2;
        let rows = a[outer + usize::from(self.transpose_a)];
        let columns = b[outer + usize::from(!self.transpose_b)];
        a[..outer].iter().copied().chain([rows, columns]).collect()
    }
}

/// The matrices in the last two axes of a tensor.
fn matrices<'a, T: Real>(x: Operand<'a, T>, transpose: bool) -> Vec<Matrix<'a, T>> {
    let (outer, inner) = x.dims().split_at(x.dims().len() - 2);
    let (rows, columns) = (inner[0], inner[1]);
    let size = rows * columns;
    let read = |m: Matrix<'a, T>| if transpose { m.t() } else { m };
    (0..outer.iter().product())
        .map(|i| read(Matrix::new(&x.data[i * size..(i + 1) * size], rows, columns)))
        .collect()
}

impl Op<2> for Product {
    const NAME: &'static str = "matrix product";

    fn run<T: Real>(&self, [a, b]: [Operand<'_, T>; 2]) -> Output<T> {
        let shape = Shape::from(self.shape(a.dims(), b.dims()));
        let (a, b) = (matrices(a, self.transpose_a), matrices(b, self.transpose_b));
        let pairs: Vec<_> = a.into_iter().zip(b).collect();
        Ok((matmul(&pairs, self.factor), shape))
    }

    fn gradients(&self, [a, b]: [&Tensor; 2], _product: &Tensor, grad: &Tensor) -> Gradients<2> {
        let product = |transpose_a, transpose_b, x, y| Self { transpose_a, transpose_b, ..*self }.of(x, y);
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
        Ok([d_a, d_b])
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
        assert_eq!(matmul(&[(Matrix::new(&a, m, k), Matrix::new(&b, k, n))], 1.0), want);
        assert_eq!(matmul(&[(Matrix::new(&at, k, m).t(), Matrix::new(&b, k, n))], 1.0), want);
        assert_eq!(matmul(&[(Matrix::new(&a, m, k), Matrix::new(&bt, n, k).t())], 1.0), want);
        assert_eq!(matmul(&[(Matrix::new(&at, k, m).t(), Matrix::new(&bt, n, k).t())], 1.0), want);
        let narrow = |x: &[f64]| x.iter().map(|v| *v as f32).collect::<Vec<_>>();
        let (a, b, bt) = (narrow(&a), narrow(&b), narrow(&bt));
        let twice: Vec<f32> = want.iter().chain(&want).map(|v| 2.0 * *v as f32).collect();
        let (a, b, bt) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n), Matrix::new(&bt, n, k).t());
        for pairs in [[(a, b), (a, b)], [(a, bt), (a, bt)], [(a, b), (a, bt)]] {
            assert_eq!(matmul(&pairs, 2.0), twice);
        }
    }

    /// Sizes around those of vectors and tiles, with every way to lie, against the definition.
    #[test]
    fn products_of_many_sizes_agree_with_loops() {
        let sizes = [1, 2, 3, 15, 16, 17, 31, 48, 63, 65, 97];
        let value = |i: usize, factor: usize| ((i * factor) % 9) as f32 - 4.0;
        for (m, k, n) in sizes.iter().flat_map(|m| sizes.iter().flat_map(|k| sizes.map(|n| (*m, *k, n)))) {
            let at = |r: usize, c: usize| value(r * k + c, 7);
            let bt = |r: usize, c: usize| value(r * n + c, 5);
            let list = |rows: usize, columns: usize, of: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
                (0..rows * columns).map(|i| of(i / columns, i % columns)).collect()
            };
            let want = list(m, n, &|r, c| (0..k).map(|j| at(r, j) * bt(j, c)).sum());
            let [a, turned_a] = [list(m, k, &at), list(k, m, &|r, c| at(c, r))];
            let [b, turned_b] = [list(k, n, &bt), list(n, k, &|r, c| bt(c, r))];
            for a in [Matrix::new(&a, m, k), Matrix::new(&turned_a, k, m).t()] {
                for b in [Matrix::new(&b, k, n), Matrix::new(&turned_b, n, k).t()] {
                    assert_eq!(matmul(&[(a, b)], 1.0), want, "{m}x{k} times {k}x{n}");
                }
            }
        }
    }
}
