//! Softmax as an operation of its own: one pass forward and one backward over rows that stay in the cache.

use candle_core::Tensor;

use super::op::{Gradients, Op, Operand, Output, binary, unary, wanted};
use super::real::Real;
use super::threads::{CHUNK, Shared, filled, for_each};

/// `x -> y` over the last axis, which the tensor must have.
pub(super) struct Softmax;

impl Softmax {
    pub(super) fn of(x: &Tensor) -> candle_core::Result<Tensor> {
        unary(x, Self)
    }
}

impl Op<1> for Softmax {
    const NAME: &'static str = "softmax";

    fn run<T: Real>(&self, [x]: [Operand<'_, T>; 1]) -> Output<T> {
        let y = by_row(
            x,
            #[inline(always)]
            |at, to| row(&x.data[at], to),
        );
        Ok((y, x.shape.clone()))
    }

    fn gradients(&self, [_x]: [&Tensor; 1], y: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(binary(y, grad, SoftmaxGrad)?)])
    }
}

/// `y, g -> y (g - <y, g>)`, row by row.
struct SoftmaxGrad;

impl Op<2> for SoftmaxGrad {
    const NAME: &'static str = "softmax gradient";

    fn run<T: Real>(&self, [y, g]: [Operand<'_, T>; 2]) -> Output<T> {
        let dx = by_row(
            y,
            #[inline(always)]
            |at, to| grad_row(&y.data[at.clone()], &g.data[at], to),
        );
        Ok((dx, y.shape.clone()))
    }

    fn gradients(&self, [y, g]: [&Tensor; 2], _dx: &Tensor, v: &Tensor) -> Gradients<2> {
        let last = y.rank() - 1;
        // Of <v, y (g - <y, g>)>: v (g - <y, g>) - g <v, y>.
        let d_y = wanted(y, || {
            let centred = g.broadcast_sub(&(y * g)?.sum_keepdim(last)?)?;
            Ok(((v * centred)? - g.broadcast_mul(&(v * y)?.sum_keepdim(last)?)?)?)
        })?;
        Ok([d_y, wanted(g, || Ok(binary(y, v, Self)?))?])
    }
}

/// A result of the size of `x`; `f` gets where each row lies and must fill it.
fn by_row<T: Real>(x: Operand<'_, T>, f: impl Fn(std::ops::Range<usize>, &mut [T]) + Sync + Send) -> Vec<T> {
    let (elements, width) = (x.data.len(), x.dims().last().copied().unwrap_or(1));
    if elements == 0 {
        return Vec::new();
    }
    let (rows, group) = (elements / width, (CHUNK / width).max(1));
    // SAFETY: the groups partition the rows, and both callers fill every row.
    unsafe {
        filled(elements, |out: Shared<T>| {
            for_each(rows.div_ceil(group), |i| {
                T::simd().run(
                    #[inline(always)]
                    || {
                        for row in i * group..((i + 1) * group).min(rows) {
                            let at = row * width..(row + 1) * width;
                            // SAFETY: the row belongs to this task alone.
                            let to = out.slice(at.clone());
                            f(at, to);
                        }
                    },
                );
            });
        })
    }
}

/// Interleaved sums and maxima; together they fill a few vectors.
const LANES: usize = 32;

#[inline(always)]
fn row<T: Real>(x: &[T], to: &mut [T]) {
    // Without its largest element, no row overflows. NaN is passed over here and found again in the sum.
    let largest = fold(
        x,
        x,
        x[0],
        #[inline(always)]
        |best, v, _| if v > best { v } else { best },
        #[inline(always)]
        |a, b| if b > a { b } else { a },
    );
    for (t, v) in to.iter_mut().zip(x) {
        *t = (*v - largest).exp();
    }
    let sum = fold(
        to,
        to,
        T::nil(),
        #[inline(always)]
        |sum, e, _| sum + e,
        #[inline(always)]
        |a, b| a + b,
    );
    let share = T::of(1.0) / sum;
    to.iter_mut().for_each(|t| *t *= share);
}

#[inline(always)]
fn grad_row<T: Real>(y: &[T], g: &[T], to: &mut [T]) {
    let dot = fold(
        y,
        g,
        T::nil(),
        #[inline(always)]
        |sum, y, g| sum + y * g,
        #[inline(always)]
        |a, b| a + b,
    );
    for ((t, y), g) in to.iter_mut().zip(y).zip(g) {
        *t = *y * (*g - dot);
    }
}

/// Reduces pairs of elements in a fixed order: into lanes, then the lanes into one.
#[inline(always)]
fn fold<T: Real>(
    x: &[T],
    y: &[T],
    start: T,
    take: impl Fn(T, T, T) -> T + Copy,
    join: impl Fn(T, T) -> T + Copy,
) -> T {
    let mut lanes = [start; LANES];
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (x, y) in xs.iter().zip(ys) {
        for l in 0..LANES {
            lanes[l] = take(lanes[l], x[l], y[l]);
        }
    }
    for (lane, (x, y)) in lanes.iter_mut().zip(x_rest.iter().zip(y_rest)) {
        *lane = take(*lane, *x, *y);
    }
    let mut all = lanes[0];
    for lane in &lanes[1..] {
        all = join(all, *lane);
    }
    all
}
