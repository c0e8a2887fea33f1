//! The ConvGRU cell between and behind its convolutions.

use candle_core::{Result, Shape, Tensor};

use super::super::op::{Gradients, Op, Operand, Output, binary, ternary};
use super::super::real::{Real, with_slice};
use super::super::threads::filled;
use super::blocks::{Blocks, unpack};

/// `gates, h -> sigmoid(r) * h`.
pub(super) struct Reset;

impl Reset {
    pub(super) fn of(gates: &Tensor, h: &Tensor) -> Result<Tensor> {
        binary(gates, h, Self)
    }
}

fn reset<T: Real>(blocks: Blocks, gates: &[T], h: &[T]) -> Vec<T> {
    // SAFETY: the pieces cover the result.
    unsafe {
        filled(blocks.len(), |out| {
            blocks.for_each::<T>(
                #[inline(always)]
                |piece| {
                    let ([r, _], [h]) = (piece.of(gates), piece.of(h));
                    // SAFETY: each piece is written once, by this call.
                    let [kept] = piece.write(out, 0);
                    for k in 0..piece.len {
                        kept[k].write(r[k].sigmoid() * h[k]);
                    }
                },
            );
        })
    }
}

impl Op<2> for Reset {
    const NAME: &'static str = "conv gru reset";

    fn run<T: Real>(&self, [gates, h]: [Operand<'_, T>; 2]) -> Output<T> {
        let kept = reset::<T>(Blocks::of(h.dims()), gates.data, h.data);
        Ok((kept, h.shape.clone()))
    }

    fn gradients(&self, [gates, h]: [&Tensor; 2], _kept: &Tensor, grad: &Tensor) -> Gradients<2> {
        unpack(&ternary(gates, h, grad, ResetGrad)?, [gates, h])
    }
}

/// `gates, h, gradient -> gradients of gates and h`, one after the other.
struct ResetGrad;

fn reset_backward<T: Real>(blocks: Blocks, gates: &[T], h: &[T], grad: &[T]) -> Vec<T> {
    let (n, one) = (blocks.len(), T::of(1.0));
    // SAFETY: the pieces cover the two blocks of the gates' gradient and the state's behind them.
    unsafe {
        filled(3 * n, |out| {
            blocks.for_each::<T>(
                #[inline(always)]
                |piece| {
                    let ([r, _], [h], [grad]) = (piece.of(gates), piece.of(h), piece.of(grad));
                    // SAFETY: each piece is written once, by this call.
                    let ([d_r, d_u], [d_h]) = (piece.write(out, 0), piece.write(out, 2 * n));
                    for k in 0..piece.len {
                        let r = r[k].sigmoid();
                        d_r[k].write(grad[k] * h[k] * (r * (one - r)));
                        d_u[k].write(T::nil());
                        d_h[k].write(grad[k] * r);
                    }
                },
            );
        })
    }
}

impl Op<3> for ResetGrad {
    const NAME: &'static str = "conv gru reset gradient";

    fn run<T: Real>(&self, [gates, h, grad]: [Operand<'_, T>; 3]) -> Output<T> {
        let flat = reset_backward::<T>(Blocks::of(h.dims()), gates.data, h.data, grad.data);
        let n = flat.len();
        Ok((flat, Shape::from(n)))
    }
}

/// `gates, candidate, h -> u * h + (1 - u) * candidate` with `u = sigmoid(second gate)`.
pub(super) struct Blend;

impl Blend {
    pub(super) fn of(gates: &Tensor, candidate: &Tensor, h: &Tensor) -> Result<Tensor> {
        ternary(gates, candidate, h, Self)
    }
}

fn blend<T: Real>(blocks: Blocks, gates: &[T], candidate: &[T], h: &[T]) -> Vec<T> {
    // SAFETY: the pieces cover the result.
    unsafe {
        filled(blocks.len(), |out| {
            blocks.for_each::<T>(
                #[inline(always)]
                |piece| {
                    let ([_, u], [c], [h]) = (piece.of(gates), piece.of(candidate), piece.of(h));
                    // SAFETY: each piece is written once, by this call.
                    let [h_new] = piece.write(out, 0);
                    for k in 0..piece.len {
                        h_new[k].write(c[k] + u[k].sigmoid() * (h[k] - c[k]));
                    }
                },
            );
        })
    }
}

impl Op<3> for Blend {
    const NAME: &'static str = "conv gru blend";

    fn run<T: Real>(&self, [gates, candidate, h]: [Operand<'_, T>; 3]) -> Output<T> {
        let next = blend::<T>(Blocks::of(h.dims()), gates.data, candidate.data, h.data);
        Ok((next, h.shape.clone()))
    }

    fn gradients(&self, [gates, candidate, h]: [&Tensor; 3], _next: &Tensor, grad: &Tensor) -> Gradients<3> {
        unpack(&ternary(gates, candidate, h, BlendGrad(grad.contiguous()?))?, [gates, candidate, h])
    }
}

/// `gates, candidate, h -> their gradients`, one after the other, from the gradient of the result inside.
struct BlendGrad(Tensor);

struct Operands<'a, T> {
    gates: &'a [T],
    candidate: &'a [T],
    h: &'a [T],
    grad: &'a [T],
}

fn blend_backward<T: Real>(blocks: Blocks, operands: &Operands<'_, T>) -> Vec<T> {
    let (n, one) = (blocks.len(), T::of(1.0));
    // SAFETY: the pieces cover two, one and one blocks of the result.
    unsafe {
        filled(4 * n, |out| {
            blocks.for_each::<T>(
                #[inline(always)]
                |piece| {
                    let ([_, u], [c]) = (piece.of(operands.gates), piece.of(operands.candidate));
                    let ([h], [grad]) = (piece.of(operands.h), piece.of(operands.grad));
                    // SAFETY: each piece is written once, by this call.
                    let ([d_r, d_u], [d_c], [d_h]) =
                        (piece.write(out, 0), piece.write(out, 2 * n), piece.write(out, 3 * n));
                    for k in 0..piece.len {
                        let u = u[k].sigmoid();
                        d_r[k].write(T::nil());
                        d_u[k].write(grad[k] * (h[k] - c[k]) * (u * (one - u)));
                        d_c[k].write(grad[k] * (one - u));
                        d_h[k].write(grad[k] * u);
                    }
                },
            );
        })
    }
}

impl Op<3> for BlendGrad {
    const NAME: &'static str = "conv gru blend gradient";

    fn run<T: Real>(&self, [gates, candidate, h]: [Operand<'_, T>; 3]) -> Output<T> {
        let flat = with_slice(&self.0, |grad| {
            let operands = Operands { gates: gates.data, candidate: candidate.data, h: h.data, grad };
            Ok(blend_backward(Blocks::of(h.dims()), &operands))
        })?;
        let n = flat.len();
        Ok((flat, Shape::from(n)))
    }
}
