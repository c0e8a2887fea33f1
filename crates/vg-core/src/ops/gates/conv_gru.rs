//! The ConvGRU cell between and behind its convolutions.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use super::super::real::{Real, by_dtype, slice, with_slice};
use super::super::threads::filled;
use super::blocks::{Blocks, unpack};
use crate::grad::{apply2, apply3};

/// `gates, h -> sigmoid(r) * h`.
pub(super) struct Reset;

impl Reset {
    pub(super) fn of(gates: &Tensor, h: &Tensor) -> Result<Tensor> {
        apply2(&gates.contiguous()?, &h.contiguous()?, Self)
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

impl CustomOp2 for Reset {
    fn name(&self) -> &'static str {
        "conv gru reset"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        by_dtype!(s1, "conv gru reset", T => {
            let kept = reset::<T>(Blocks::of(l2), slice(s1, l1)?, slice(s2, l2)?);
            Ok((T::to_cpu_storage_owned(kept), l2.shape().clone()))
        })
    }

    fn bwd(
        &self,
        gates: &Tensor,
        h: &Tensor,
        _kept: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let flat = apply3(gates, h, &grad.contiguous()?, ResetGrad)?;
        let [d_gates, d_h] = unpack(&flat, [gates, h])?;
        Ok((d_gates, d_h))
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

impl CustomOp3 for ResetGrad {
    fn name(&self) -> &'static str {
        "conv gru reset gradient"
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
        by_dtype!(s1, "conv gru reset gradient", T => {
            let flat = reset_backward::<T>(Blocks::of(l2), slice(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?);
            let n = flat.len();
            Ok((T::to_cpu_storage_owned(flat), Shape::from(n)))
        })
    }
}

/// `gates, candidate, h -> u * h + (1 - u) * candidate` with `u = sigmoid(second gate)`.
pub(super) struct Blend;

impl Blend {
    pub(super) fn of(gates: &Tensor, candidate: &Tensor, h: &Tensor) -> Result<Tensor> {
        apply3(&gates.contiguous()?, &candidate.contiguous()?, &h.contiguous()?, Self)
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

impl CustomOp3 for Blend {
    fn name(&self) -> &'static str {
        "conv gru blend"
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
        by_dtype!(s1, "conv gru blend", T => {
            let next = blend::<T>(Blocks::of(l3), slice(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?);
            Ok((T::to_cpu_storage_owned(next), l3.shape().clone()))
        })
    }

    fn bwd(
        &self,
        gates: &Tensor,
        candidate: &Tensor,
        h: &Tensor,
        _next: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let flat = apply3(gates, candidate, h, BlendGrad(grad.contiguous()?))?;
        let [d_gates, d_candidate, d_h] = unpack(&flat, [gates, candidate, h])?;
        Ok((d_gates, d_candidate, d_h))
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

impl CustomOp3 for BlendGrad {
    fn name(&self) -> &'static str {
        "conv gru blend gradient"
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
        by_dtype!(s1, "conv gru blend gradient", T => {
            let (gates, candidate, h) = (slice::<T>(s1, l1)?, slice(s2, l2)?, slice(s3, l3)?);
            let flat = with_slice(&self.0, |grad| {
                Ok(blend_backward(Blocks::of(l3), &Operands { gates, candidate, h, grad }))
            })?;
            let n = flat.len();
            Ok((T::to_cpu_storage_owned(flat), Shape::from(n)))
        })
    }
}
