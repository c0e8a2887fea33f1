//! Rows of a tensor by their numbers, and rows that several rows of another tensor share.

use std::sync::Arc;

use candle_core::{Shape, Tensor};
use rayon::prelude::*;

use super::op::{Gradients, Op, Operand, Output, binary, unary, wanted};
use super::real::Real;
use crate::{Error, Result};

/// Row n of `x` plus row `of[n]` of `rows`: what stays the same over many frames is computed once and added to each of them.
///
/// Differentiable to any order.
///
/// # Shapes
/// - `x` `[N, ...]`, `rows` `[M, ...]` with the same axes but for the first; `of` has N entries below M
///
/// # Errors
/// [`Error::Shape`] when they do not fit, [`Error::Unsupported`] for mixed element types.
pub fn add_rows(x: &Tensor, rows: &Tensor, of: &[usize]) -> Result<Tensor> {
    let (n, m) = (x.dims().first().copied().unwrap_or(0), rows.dims().first().copied().unwrap_or(0));
    if x.rank() == 0 || x.rank() != rows.rank() || x.dims()[1..] != rows.dims()[1..] {
        let mut expected = x.dims().to_vec();
        expected.iter_mut().take(1).for_each(|first| *first = m);
        return Err(Error::shape("shared rows", format!("{expected:?}"), rows.dims()));
    }
    if of.len() != n || of.iter().any(|row| *row >= m) {
        return Err(Error::shape("numbers of shared rows", format!("{n} below {m}"), of));
    }
    if x.dtype() != rows.dtype() {
        let problem = format!("add_rows: {:?} rows for a tensor of {:?}", rows.dtype(), x.dtype());
        return Err(Error::Unsupported(problem));
    }
    Ok(binary(x, rows, AddRows(Arc::new(Sharing::new(of, m))))?)
}

/// The rows `of` of `x`, which may repeat; with `of` as in [`add_rows`], the row that each of those shares.
///
/// Differentiable to any order. candle's `narrow` would pad each gradient with zeros on its way back.
///
/// # Shapes
/// - `x` `[M, ...]`; returns `[N, ...]` for N entries of `of` below M
///
/// # Errors
/// [`Error::Shape`] for a scalar or entries that are no rows.
pub fn take_rows(x: &Tensor, of: &[usize]) -> Result<Tensor> {
    let m = x.dims().first().copied().unwrap_or(0);
    if x.rank() == 0 || of.iter().any(|row| *row >= m) {
        return Err(Error::shape("numbers of rows", format!("below {m}"), of));
    }
    Ok(unary(x, TakeRows(Arc::new(Sharing::new(of, m))))?)
}

/// Which rows belong together.
struct Sharing {
    /// Shared row of each row.
    of: Vec<usize>,
    /// Rows of each shared row, in order.
    users: Vec<Vec<usize>>,
}

impl Sharing {
    fn new(of: &[usize], shared: usize) -> Self {
        let mut users = vec![Vec::new(); shared];
        of.iter().enumerate().for_each(|(n, row)| users[*row].push(n));
        Self { of: of.to_vec(), users }
    }
}

/// A tensor of rows of `width` elements, each made from its number by `write`, which finds zeros there.
fn by_row<T: Real>(rows: usize, width: usize, write: impl Fn(usize, &mut [T]) + Sync + Send) -> Vec<T> {
    let mut out = vec![T::nil(); rows * width];
    out.par_chunks_mut(width.max(1)).enumerate().for_each(|(row, to)| {
        T::simd().run(
            #[inline(always)]
            || write(row, to),
        );
    });
    out
}

fn row<T>(data: &[T], width: usize, row: usize) -> &[T] {
    &data[row * width..(row + 1) * width]
}

/// The shape of `rows` rows like those of another tensor.
fn with_rows(dims: &[usize], rows: usize) -> Shape {
    let mut dims = dims.to_vec();
    dims[0] = rows;
    Shape::from(dims)
}

/// `x, rows -> x + rows[of]`.
struct AddRows(Arc<Sharing>);

impl Op<2> for AddRows {
    const NAME: &'static str = "add_rows";

    fn run<T: Real>(&self, [x, rows]: [Operand<'_, T>; 2]) -> Output<T> {
        let (n, of) = (x.dims()[0], &self.0.of);
        let width = x.dims()[1..].iter().product();
        let sum = by_row(n, width, |k, to: &mut [T]| {
            let (own, shared) = (row(x.data, width, k), row(rows.data, width, of[k]));
            for ((t, a), b) in to.iter_mut().zip(own).zip(shared) {
                *t = *a + *b;
            }
        });
        Ok((sum, x.shape.clone()))
    }

    fn gradients(&self, [x, rows]: [&Tensor; 2], _result: &Tensor, grad: &Tensor) -> Gradients<2> {
        let d_x = wanted(x, || Ok(grad.clone()))?;
        Ok([d_x, wanted(rows, || Ok(unary(grad, SumRows(self.0.clone()))?))?])
    }
}

/// Sums of the rows that share one.
struct SumRows(Arc<Sharing>);

impl Op<1> for SumRows {
    const NAME: &'static str = "sum_rows";

    fn run<T: Real>(&self, [x]: [Operand<'_, T>; 1]) -> Output<T> {
        let width = x.dims()[1..].iter().product();
        let sums = by_row(self.0.users.len(), width, |k, to: &mut [T]| {
            for user in &self.0.users[k] {
                for (t, v) in to.iter_mut().zip(row(x.data, width, *user)) {
                    *t += *v;
                }
            }
        });
        Ok((sums, with_rows(x.dims(), self.0.users.len())))
    }

    fn gradients(&self, [x]: [&Tensor; 1], _result: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([wanted(x, || Ok(unary(grad, TakeRows(self.0.clone()))?))?])
    }
}

/// The shared row of each row.
struct TakeRows(Arc<Sharing>);

impl Op<1> for TakeRows {
    const NAME: &'static str = "take_rows";

    fn run<T: Real>(&self, [x]: [Operand<'_, T>; 1]) -> Output<T> {
        let (n, width) = (self.0.of.len(), x.dims()[1..].iter().product());
        let taken = by_row(n, width, |k, to: &mut [T]| to.copy_from_slice(row(x.data, width, self.0.of[k])));
        Ok((taken, with_rows(x.dims(), n)))
    }

    fn gradients(&self, [x]: [&Tensor; 1], _result: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([wanted(x, || Ok(unary(grad, SumRows(self.0.clone()))?))?])
    }
}
