//! The gradient behind an activation and its sums per channel, for the bias before the activation.

use std::sync::{Arc, OnceLock};

use candle_core::{Error, Shape, Tensor};

use super::activation::{Activation, PointwiseGrad, with_derivative};
use super::op::{Gradients, Op, Operand, Output, binary, unary};
use super::real::Real;
use super::reduce::{DEPTH, LANES, View, segment_sums};
use super::threads::{CHUNK, Shared, filled, for_each};

impl Activation {
    /// [`gradient`](Self::gradient) and its sum over each channel of `[B, C, ...]` tensors, from one pass over both operands.
    pub(crate) fn gradient_and_sum(self, y: &Tensor, grad: &Tensor) -> candle_core::Result<(Tensor, Tensor)> {
        let view = View::of(y.dims());
        if self == Self::Identity {
            return Ok((grad.clone(), view.sum(grad)?));
        }
        let sums = Arc::default();
        let op = PointwiseGradAndSum { activation: self, view, sums: Arc::clone(&sums) };
        // As in `gradient`.
        let y = if self.is_piecewise_linear() { y.detach() } else { y.clone() };
        let gradient = binary(&y, grad, op)?;
        let sum = unary(&gradient, KnownSum { view, sums })?;
        Ok((gradient, sum))
    }
}

/// [`PointwiseGrad`] that leaves the sums of its result's channels aside.
struct PointwiseGradAndSum {
    activation: Activation,
    view: View,
    sums: Arc<OnceLock<Vec<f64>>>,
}

impl Op<2> for PointwiseGradAndSum {
    const NAME: &'static str = "activation gradient with sums";

    fn run<T: Real>(&self, [y, g]: [Operand<'_, T>; 2]) -> Output<T> {
        let (out, sums) = with_derivative!(self.activation, T, map_and_sum(self.view, y.data, g.data));
        self.sums.get_or_init(|| sums);
        Ok((out, y.shape.clone()))
    }

    fn gradients(&self, operands: [&Tensor; 2], result: &Tensor, grad: &Tensor) -> Gradients<2> {
        PointwiseGrad(self.activation).gradients(operands, result, grad)
    }
}

/// Sums over channels that are known already.
struct KnownSum {
    view: View,
    sums: Arc<OnceLock<Vec<f64>>>,
}

impl Op<1> for KnownSum {
    const NAME: &'static str = "sums of an activation gradient";

    fn run<T: Real>(&self, [_x]: [Operand<'_, T>; 1]) -> Output<T> {
        let sums = self.sums.get().ok_or_else(|| Error::msg("the sums are not there yet"))?;
        Ok((sums.iter().map(|v| T::of(*v)).collect(), Shape::from(sums.len())))
    }

    fn gradients(&self, [x]: [&Tensor; 1], _sums: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(self.view.shift(&x.zeros_like()?, grad)?)])
    }
}

/// `f` of each pair of elements and its sum over each channel, in one pass over the operands.
///
/// Rows are added up one by one, so that few channels of many images fill all threads, and piece by piece in the order of
/// [`segment_sums`].
fn map_and_sum<T: Real>(
    view: View,
    x: &[T],
    y: &[T],
    f: impl Fn(T, T) -> T + Sync + Send + Copy,
) -> (Vec<T>, Vec<f64>) {
    assert_eq!([x.len(), y.len()], [view.elements(); 2], "operands of another shape");
    let mut totals = vec![0.0; view.channels];
    if view.elements() == 0 {
        return (Vec::new(), totals);
    }
    let (rows, group) = (view.batch * view.channels, (CHUNK / view.inner).max(1));
    let mut out = Vec::new();
    // SAFETY: the groups partition the rows, and each task fills its rows and their sums.
    let sums = unsafe {
        filled(rows, |sums: Shared<f64>| {
            out = filled(view.elements(), |out: Shared<T>| {
                for_each(rows.div_ceil(group), |i| {
                    T::simd().run(
                        #[inline(always)]
                        || {
                            for row in i * group..((i + 1) * group).min(rows) {
                                let at = row * view.inner..(row + 1) * view.inner;
                                // SAFETY: the row and its sum belong to this task alone.
                                let to = out.slice(at.clone());
                                sums.at(row, 1).write(map_row(&x[at.clone()], &y[at], to, f));
                            }
                        },
                    );
                });
            });
        })
    };
    for image in sums.chunks_exact(view.channels) {
        totals.iter_mut().zip(image).for_each(|(total, sum)| *total += sum);
    }
    (out, totals)
}

/// Maps one row piece by piece, each of which is still in the cache when it is added up.
#[inline(always)]
fn map_row<T: Real>(x: &[T], y: &[T], to: &mut [T], f: impl Fn(T, T) -> T + Copy) -> f64 {
    let piece = LANES * DEPTH;
    let mut sum = 0.0;
    for (to, (x, y)) in to.chunks_mut(piece).zip(x.chunks(piece).zip(y.chunks(piece))) {
        for (t, (x, y)) in to.iter_mut().zip(x.iter().zip(y)) {
            *t = f(*x, *y);
        }
        let [part] = segment_sums(
            to,
            to,
            #[inline(always)]
            |v, _| [v],
        );
        sum += part;
    }
    sum
}
