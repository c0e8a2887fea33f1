//! The GRU cell behind its matrix products.

use candle_core::{Result, Shape, Tensor};

use super::super::op::{Gradients, Op, Operand, Output, ternary};
use super::super::real::{Real, with_slice};
use super::super::threads::filled;
use super::blocks::{Blocks, unpack};

/// `input gates, hidden gates, h -> h'`.
pub(super) struct Gru;

impl Gru {
    pub(super) fn of(input: &Tensor, hidden: &Tensor, h: &Tensor) -> Result<Tensor> {
        ternary(input, hidden, h, Self)
    }
}

fn forward<T: Real>(blocks: Blocks, input: &[T], hidden: &[T], h: &[T]) -> Vec<T> {
    // SAFETY: the pieces cover the result.
    unsafe {
        filled(blocks.len(), |out| {
            blocks.for_each::<T>(
                #[inline(always)]
                |piece| {
                    let ([r, z, n], [hr, hz, hn]) = (piece.of(input), piece.of(hidden));
                    let [h] = piece.of(h);
                    // SAFETY: each piece is written once, by this call.
                    let [h_new] = piece.write(out, 0);
                    for k in 0..piece.len {
                        let (r, z) = ((r[k] + hr[k]).sigmoid(), (z[k] + hz[k]).sigmoid());
                        let n = (n[k] + r * hn[k]).tanh();
                        h_new[k].write(n + z * (h[k] - n));
                    }
                },
            );
        })
    }
}

impl Op<3> for Gru {
    const NAME: &'static str = "gru gates";

    fn run<T: Real>(&self, [input, hidden, h]: [Operand<'_, T>; 3]) -> Output<T> {
        let next = forward::<T>(Blocks::of(h.dims()), input.data, hidden.data, h.data);
        Ok((next, h.shape.clone()))
    }

    fn gradients(&self, [input, hidden, h]: [&Tensor; 3], _next: &Tensor, grad: &Tensor) -> Gradients<3> {
        unpack(&ternary(input, hidden, h, GruGrad(grad.contiguous()?))?, [input, hidden, h])
    }
}

/// `input gates, hidden gates, h -> their gradients`, one after the other, from the gradient of `h'` inside.
struct GruGrad(Tensor);

struct Operands<'a, T> {
    input: &'a [T],
    hidden: &'a [T],
    h: &'a [T],
    grad: &'a [T],
}

fn backward<T: Real>(blocks: Blocks, operands: &Operands<'_, T>) -> Vec<T> {
    let size = blocks.len();
    let one = T::of(1.0);
    // SAFETY: the pieces cover three, three and one blocks of the result.
    unsafe {
        filled(7 * size, |out| {
            blocks.for_each::<T>(
                #[inline(always)]
                |piece| {
                    let ([r, z, n], [hr, hz, hn]) = (piece.of(operands.input), piece.of(operands.hidden));
                    let ([h], [grad]) = (piece.of(operands.h), piece.of(operands.grad));
                    // SAFETY: each piece is written once, by this call.
                    let ([d_r, d_z, d_n], [d_hr, d_hz, d_hn], [d_h]) =
                        (piece.write(out, 0), piece.write(out, 3 * size), piece.write(out, 6 * size));
                    for k in 0..piece.len {
                        let (r, z) = ((r[k] + hr[k]).sigmoid(), (z[k] + hz[k]).sigmoid());
                        let n = (n[k] + r * hn[k]).tanh();
                        let at_n = grad[k] * (one - z) * (one - n * n);
                        let at_r = at_n * hn[k] * (r * (one - r));
                        let at_z = grad[k] * (h[k] - n) * (z * (one - z));
                        d_r[k].write(at_r);
                        d_z[k].write(at_z);
                        d_n[k].write(at_n);
                        d_hr[k].write(at_r);
                        d_hz[k].write(at_z);
                        d_hn[k].write(at_n * r);
                        d_h[k].write(grad[k] * z);
                    }
                },
            );
        })
    }
}

impl Op<3> for GruGrad {
    const NAME: &'static str = "gru gates gradient";

    fn run<T: Real>(&self, [input, hidden, h]: [Operand<'_, T>; 3]) -> Output<T> {
        let flat = with_slice(&self.0, |grad| {
            let operands = Operands { input: input.data, hidden: hidden.data, h: h.data, grad };
            Ok(backward(Blocks::of(h.dims()), &operands))
        })?;
        let n = flat.len();
        Ok((flat, Shape::from(n)))
    }
}
