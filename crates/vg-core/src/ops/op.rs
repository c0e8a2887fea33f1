//! What every operation on the CPU has in common: contiguous operands of one type, a result, gradients.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, Error, Layout, Result, Shape, Tensor, WithDType,
};
use half::bf16;

use super::real::{Real, slice};
use crate::grad::{apply1, apply2, apply3};

/// One operand as a kernel sees it.
#[derive(Clone, Copy)]
pub(crate) struct Operand<'a, T> {
    pub data: &'a [T],
    pub shape: &'a Shape,
}

impl<'a, T: WithDType> Operand<'a, T> {
    fn new(storage: &'a CpuStorage, layout: &'a Layout) -> Result<Self> {
        Ok(Self { data: slice(storage, layout)?, shape: layout.shape() })
    }

    pub(crate) fn dims(&self) -> &'a [usize] {
        self.shape.dims()
    }
}

/// The elements of a result and its shape.
pub(crate) type Output<T> = Result<(Vec<T>, Shape)>;

/// Gradients of the operands; `None` for constants.
pub(crate) type Gradients<const N: usize> = Result<[Option<Tensor>; N]>;

/// An operation of `N` operands of one type; [`unary`], [`binary`] and [`ternary`] apply it.
pub(crate) trait Op<const N: usize>: Send + Sync + 'static {
    /// For messages.
    const NAME: &'static str;

    /// The result.
    fn run<T: Real>(&self, operands: [Operand<'_, T>; N]) -> Output<T>;

    /// The result in f32, where that is not [`run`](Self::run).
    fn run_f32(&self, operands: [Operand<'_, f32>; N]) -> Output<f32> {
        self.run(operands)
    }

    /// The result in bf16; few operations have one.
    fn run_bf16(&self, _operands: [Operand<'_, bf16>; N]) -> Output<bf16> {
        Err(Error::msg(format!("{}: expected f32 or f64 tensors, not bf16", Self::NAME)))
    }

    /// The operands' gradients from the result's, as tensors that can be differentiated again where that is supported.
    fn gradients(&self, _operands: [&Tensor; N], _result: &Tensor, _grad: &Tensor) -> Gradients<N> {
        Err(Error::BackwardNotSupported { op: Self::NAME })
    }
}

/// Applies an operation of one operand.
pub(crate) fn unary(x: &Tensor, op: impl Op<1>) -> Result<Tensor> {
    apply1(&x.contiguous()?, Node(op))
}

/// Applies an operation of two operands.
pub(crate) fn binary(x: &Tensor, y: &Tensor, op: impl Op<2>) -> Result<Tensor> {
    apply2(&x.contiguous()?, &y.contiguous()?, Node(op))
}

/// Applies an operation of three operands.
pub(crate) fn ternary(x: &Tensor, y: &Tensor, z: &Tensor, op: impl Op<3>) -> Result<Tensor> {
    apply3(&x.contiguous()?, &y.contiguous()?, &z.contiguous()?, Node(op))
}

/// A gradient for arguments that are part of the graph; constants get none.
pub(crate) fn wanted(
    arg: &Tensor,
    gradient: impl FnOnce() -> crate::Result<Tensor>,
) -> Result<Option<Tensor>> {
    if arg.track_op() { Ok(Some(gradient()?)) } else { Ok(None) }
}

/// An operation behind candle's interfaces.
struct Node<O>(O);

impl<O> Node<O> {
    fn forward<const N: usize>(&self, all: [(&CpuStorage, &Layout); N]) -> Result<(CpuStorage, Shape)>
    where
        O: Op<N>,
    {
        match all[0].0 {
            CpuStorage::F32(_) => stored(self.0.run_f32(operands(all)?)),
            CpuStorage::F64(_) => stored(self.0.run::<f64>(operands(all)?)),
            CpuStorage::BF16(_) => stored(self.0.run_bf16(operands(all)?)),
            _ => Err(Error::msg(format!("{}: expected f32 or f64 tensors", O::NAME))),
        }
    }
}

fn operands<'a, T: WithDType, const N: usize>(
    all: [(&'a CpuStorage, &'a Layout); N],
) -> Result<[Operand<'a, T>; N]> {
    let operands: Vec<_> = all.into_iter().map(|(s, l)| Operand::new(s, l)).collect::<Result<_>>()?;
    Ok(operands.try_into().unwrap_or_else(|_| unreachable!("as many as there were")))
}

impl<O: Op<1>> CustomOp1 for Node<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward([(s, l)])
    }

    fn bwd(&self, x: &Tensor, result: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [d_x] = self.0.gradients([x], result, grad)?;
        Ok(d_x)
    }
}

impl<O: Op<2>> CustomOp2 for Node<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward([(s1, l1), (s2, l2)])
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok(self.0.gradients([x, y], result, grad)?.into())
    }
}

impl<O: Op<3>> CustomOp3 for Node<O> {
    fn name(&self) -> &'static str {
        O::NAME
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
        self.forward([(s1, l1), (s2, l2), (s3, l3)])
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        z: &Tensor,
        result: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        Ok(self.0.gradients([x, y, z], result, grad)?.into())
    }
}

fn stored<T: WithDType>(output: Output<T>) -> Result<(CpuStorage, Shape)> {
    output.map(|(values, shape)| (T::to_cpu_storage_owned(values), shape))
}
