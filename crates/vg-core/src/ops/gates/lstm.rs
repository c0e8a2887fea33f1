//! The LSTM cell behind its matrix products.

use candle_core::{Result, Shape, Tensor};

use super::super::op::{Gradients, Op, Operand, Output, binary, ternary};
use super::super::real::Real;
use super::super::threads::filled;
use super::blocks::{Blocks, unpack};

/// `gates, c -> h' and c'`, one behind the other on the first axis.
pub(super) struct Lstm;

impl Lstm {
    pub(super) fn of(gates: &Tensor, cell: &Tensor) -> Result<Tensor> {
        binary(gates, cell, Self)
    }
}

/// The gates of one element: `i`, `f`, `g`, `o`.
#[inline(always)]
fn activate<T: Real>(i: T, f: T, g: T, o: T) -> (T, T, T, T) {
    (i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid())
}

fn forward<T: Real>(blocks: Blocks, gates: &[T], cell: &[T]) -> Vec<T> {
    let n = blocks.len();
    // SAFETY: the pieces cover both halves of the result.
    unsafe {
        filled(2 * n, |out| {
            blocks.for_each::<T>(
                #[inline(always)]
                |piece| {
                    let ([i, f, g, o], [c]) = (piece.of(gates), piece.of(cell));
                    // SAFETY: each piece is written once, by this call.
                    let ([h_new], [c_new]) = (piece.write(out, 0), piece.write(out, n));
                    for k in 0..piece.len {
                        let (i, f, g, o) = activate(i[k], f[k], g[k], o[k]);
                        let next = f * c[k] + i * g;
                        c_new[k].write(next);
                        h_new[k].write(o * next.tanh());
                    }
                },
            );
        })
    }
}

impl Op<2> for Lstm {
    const NAME: &'static str = "lstm gates";

    fn run<T: Real>(&self, [gates, cell]: [Operand<'_, T>; 2]) -> Output<T> {
        let both = forward::<T>(Blocks::of(cell.dims()), gates.data, cell.data);
        let mut shape = cell.dims().to_vec();
        shape[0] *= 2;
        Ok((both, Shape::from(shape)))
    }

    fn gradients(&self, [gates, cell]: [&Tensor; 2], _both: &Tensor, grad: &Tensor) -> Gradients<2> {
        unpack(&ternary(gates, cell, grad, LstmGrad)?, [gates, cell])
    }
}

/// `gates, c, gradients of h' and c' -> gradients of gates and c`, one after the other. The gates are computed again: that is quicker
/// than to write and read them.
struct LstmGrad;

fn backward<T: Real>(blocks: Blocks, gates: &[T], cell: &[T], grad: &[T]) -> Vec<T> {
    let n = blocks.len();
    let (grad_h, grad_c) = grad.split_at(n);
    let one = T::of(1.0);
    // SAFETY: the pieces cover the four blocks of the gates' gradient and the cell's behind them.
    unsafe {
        filled(5 * n, |out| {
            blocks.for_each::<T>(
                #[inline(always)]
                |piece| {
                    let ([i, f, g, o], [c]) = (piece.of(gates), piece.of(cell));
                    let ([grad_h], [grad_c]) = (piece.of(grad_h), piece.of(grad_c));
                    // SAFETY: each piece is written once, by this call.
                    let ([d_i, d_f, d_g, d_o], [d_c]) = (piece.write(out, 0), piece.write(out, 4 * n));
                    for k in 0..piece.len {
                        let (i, f, g, o) = activate(i[k], f[k], g[k], o[k]);
                        let squashed = (f * c[k] + i * g).tanh();
                        let through = grad_c[k] + grad_h[k] * (o * (one - squashed * squashed));
                        d_i[k].write(through * g * (i * (one - i)));
                        d_f[k].write(through * c[k] * (f * (one - f)));
                        d_g[k].write(through * i * (one - g * g));
                        d_o[k].write(grad_h[k] * squashed * (o * (one - o)));
                        d_c[k].write(through * f);
                    }
                },
            );
        })
    }
}

impl Op<3> for LstmGrad {
    const NAME: &'static str = "lstm gates gradient";

    fn run<T: Real>(&self, [gates, cell, grad]: [Operand<'_, T>; 3]) -> Output<T> {
        let flat = backward::<T>(Blocks::of(cell.dims()), gates.data, cell.data, grad.data);
        let n = flat.len();
        Ok((flat, Shape::from(n)))
    }
}
