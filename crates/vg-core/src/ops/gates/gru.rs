//! The GRU cell behind its matrix products.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use super::super::real::{Real, by_dtype, slice, with_slice};
use super::super::threads::filled;
use super::blocks::{Blocks, unpack};
use crate::grad::apply3;

/// `input gates, hidden gates, h -> h'`.
pub(super) struct Gru;

impl Gru {
    pub(super) fn of(input: &Tensor, hidden: &Tensor, h: &Tensor) -> Result<Tensor> {
        apply3(&input.contiguous()?, &hidden.contiguous()?, &h.contiguous()?, Self)
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

impl CustomOp3 for Gru {
    fn name(&self) -> &'static str {
        "gru gates"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "gru gates", T => {
            let next = forward::<T>(Blocks::of(l3), slice(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?);
            Ok((T::to_cpu_storage_owned(next), l3.shape().clone()))
        })
    }

    fn bwd(
        &self,
        input: &Tensor,
        hidden: &Tensor,
        h: &Tensor,
        _next: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let flat = apply3(input, hidden, h, GruGrad(grad.contiguous()?))?;
        let [d_input, d_hidden, d_h] = unpack(&flat, [input, hidden, h])?;
        Ok((d_input, d_hidden, d_h))
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

impl CustomOp3 for GruGrad {
    fn name(&self) -> &'static str {
        "gru gates gradient"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "gru gates gradient", T => {
            let (input, hidden, h) = (slice::<T>(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?);
            let flat = with_slice(&self.0, |grad| {
                Ok(backward(Blocks::of(l3), &Operands { input, hidden, h, grad }))
            })?;
            let n = flat.len();
            Ok((T::to_cpu_storage_owned(flat), Shape::from(n)))
        })
    }
}
