//! Gradients, with or without a tape.
//!
//! candle's own backward pass starts every gradient as a tensor of zeros and adds to it, once for each operation: two more passes
//! over memory and two more buffers than a chain of layers needs. While a [`Tape`] records, the operations of [`crate::ops`] are
//! kept in a list of their own instead of candle's graph, and [`backward`] walks it and hands gradients on as they are. Operations
//! of candle in between keep working; their stretches of the graph are left to candle. The gradients are the same, bit for bit.
//!
//! The training driver records each step. Without a tape, [`backward`] is candle's.
//!
//! [`recompute`] trades time for memory: of a part of a step it keeps the ends alone and runs it again for its gradients.

mod recompute;
mod tape;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor, TensorId, WithDType};

pub use recompute::recompute;
pub use tape::{Mark, Tape, join, mark, reshape, rewind, settle, split};
pub(crate) use tape::{apply1, apply2, apply3, clear, part, replaying};

use recompute::Segment;
use tape::Record;

use crate::Result;
use crate::ops::in_place::{Rule, update};
use crate::ops::real::Real;

/// Gradients of variables.
#[derive(Debug, Default)]
pub struct Grads {
    all: HashMap<TensorId, Tensor>,
    /// Those that are sums made here, whose memory nobody else has.
    sums: HashSet<TensorId>,
}

impl Grads {
    /// The gradient of a variable, of its shape; `None` if the loss does not depend on it.
    pub fn get(&self, variable: &Tensor) -> Option<&Tensor> {
        self.all.get(&variable.id())
    }

    /// Takes a gradient out.
    pub fn remove(&mut self, variable: &Tensor) -> Option<Tensor> {
        self.take(variable.id())
    }

    /// Replaces the gradient of a variable, as by its projection (SWGAN's orthogonal matrices).
    pub fn set(&mut self, variable: &Tensor, grad: Tensor) {
        self.sums.remove(&variable.id());
        self.all.insert(variable.id(), grad);
    }

    fn take(&mut self, id: TensorId) -> Option<Tensor> {
        self.sums.remove(&id);
        self.all.remove(&id)
    }

    /// Adds the gradients of another loss.
    pub fn accumulate(&mut self, other: Self) -> Result<()> {
        other.all.into_iter().try_for_each(|(id, grad)| self.add(id, grad))
    }

    /// Adds `factor` times the gradients of another loss.
    ///
    /// # Errors
    /// [`crate::Error::Tensor`] for gradients of one variable in different precisions.
    pub fn accumulate_scaled(&mut self, other: Self, factor: f64) -> Result<()> {
        for (id, grad) in other.all {
            match self.all.get(&id) {
                Some(sum) if self.sums.contains(&id) && sum.dtype() == grad.dtype() => {
                    update(sum, [], &grad, &AddScaled(factor))?;
                }
                Some(_) => self.add(id, (grad * factor)?)?,
                None => {
                    let grad = (grad.detach() * factor)?;
                    if matches!(grad.dtype(), DType::F32 | DType::F64) {
                        self.sums.insert(id);
                    }
                    self.all.insert(id, grad);
                }
            }
        }
        Ok(())
    }

    /// Adds to what is there: in place in a sum of our own, because fresh memory for each term of a weight that is used often would cost more
    /// than the sums. Gradients that are part of a graph are left to candle.
    fn add(&mut self, id: TensorId, grad: Tensor) -> Result<()> {
        let Some(before) = self.all.get(&id) else {
            self.all.insert(id, grad);
            return Ok(());
        };
        let constant = !before.track_op() && !grad.track_op();
        if !constant || !matches!(grad.dtype(), DType::F32 | DType::F64) || before.dims() != grad.dims() {
            let sum = (before + grad)?;
            self.sums.remove(&id);
            self.all.insert(id, sum);
            return Ok(());
        }
        if self.sums.insert(id) {
            let own = before.contiguous()?.copy()?;
            self.all.insert(id, own);
        }
        update(&self.all[&id], [], &grad, &AddTo)
    }
}

/// Gradients of the sum of all elements of `loss`, for all variables that it depends on; constants with respect to them.
///
/// # Errors
/// [`crate::Error::Tensor`] when an operation on the way has no gradient.
pub fn backward(loss: &Tensor) -> Result<Grads> {
    run(loss, None)
}

/// The same, starting from a given gradient of `tensor`, which has its shape: the gradient of `sum(tensor * gradient)`.
///
/// # Errors
/// As [`backward`]; also when the shapes differ.
pub fn backward_from(tensor: &Tensor, gradient: &Tensor) -> Result<Grads> {
    if tensor.dims() != gradient.dims() {
        return Err(crate::Error::shape("gradient", format!("{:?}", tensor.dims()), gradient.dims()));
    }
    run(tensor, Some(gradient.detach()))
}

fn run(tensor: &Tensor, gradient: Option<Tensor>) -> Result<Grads> {
    let mut pass = Pass::default();
    match tape::pause() {
        None => pass.flow(tensor, gradient)?,
        Some(paused) => {
            pass.expect_views(paused.records());
            pass.flow(tensor, gradient)?;
            pass.walk(paused.records())?;
            pass.parts.give_all(&mut pass.grads)?;
        }
    }
    Ok(pass.grads)
}

/// A backward pass on its way through the records.
#[derive(Default)]
struct Pass {
    grads: Grads,
    parts: Parts,
    /// Tensors that are ends to this pass although they are no variables to candle: results of [`reshape`].
    views: HashSet<TensorId>,
}

impl Pass {
    /// Takes notice of the views among records that are about to be walked.
    fn expect_views(&mut self, records: &[Rc<Record>]) {
        self.views.extend(records.iter().filter(|record| record.is_view()).map(|record| record.output.id()));
    }

    /// Lets a gradient (ones, if absent) of `tensor` flow to the variables before it, through operations of candle.
    fn flow(&mut self, tensor: &Tensor, grad: Option<Tensor>) -> Result<()> {
        if tensor.is_variable() || self.views.contains(&tensor.id()) {
            let grad = match grad {
                Some(grad) => grad,
                None => tensor.ones_like()?.detach(),
            };
            return self.grads.add(tensor.id(), grad);
        }
        if !tensor.track_op() {
            return Ok(());
        }
        let store = match grad {
            Some(grad) => tensor.apply_op1(Seed(grad))?.backward()?,
            None => tensor.backward()?,
        };
        for id in store.get_ids() {
            if let Some(grad) = store.get_id(*id) {
                self.grads.add(*id, grad.clone())?;
            }
        }
        Ok(())
    }

    fn walk(&mut self, records: &[Rc<Record>]) -> Result<()> {
        for record in records.iter().rev() {
            if let Some(segment) = record.segment() {
                self.run_again(segment)?;
                continue;
            }
            let Some(grad) = self.take(&record.output)? else { continue };
            if let Some((whole, start)) = record.part() {
                self.parts.add(whole, start, &grad)?;
            }
            for (input, grad) in record.gradients(&grad)? {
                self.flow(input, Some(grad))?;
            }
        }
        Ok(())
    }

    /// The gradient of a variable that nothing before this place of the records depends on.
    fn take(&mut self, variable: &Tensor) -> Result<Option<Tensor>> {
        self.parts.give(variable.id(), &mut self.grads)?;
        Ok(self.grads.take(variable.id()))
    }

    fn run_again(&mut self, segment: &Segment) -> Result<()> {
        let found: Vec<_> =
            segment.outputs().iter().map(|output| self.take(output)).collect::<Result<_>>()?;
        if found.iter().all(Option::is_none) {
            return Ok(());
        }
        let replay = segment.replay()?;
        self.expect_views(&replay.records);
        for (output, grad) in replay.outputs.iter().zip(found) {
            if let Some(grad) = grad {
                self.flow(output, Some(grad))?;
            }
        }
        self.walk(&replay.records)?;
        for (input, stand_in) in &replay.stand_ins {
            if let Some(grad) = self.take(stand_in)? {
                self.flow(input, Some(grad))?;
            }
        }
        Ok(())
    }
}

/// Gradients of variables that operations saw in parts, until all parts are there.
#[derive(Default)]
struct Parts(HashMap<TensorId, Tensor>);

impl Parts {
    /// Adds the gradient of the elements of `whole` from `start` on.
    fn add(&mut self, whole: &Tensor, start: usize, grad: &Tensor) -> Result<()> {
        let sum = match self.0.entry(whole.id()) {
            Entry::Occupied(sum) => sum.into_mut(),
            Entry::Vacant(slot) => slot.insert(whole.detach().zeros_like()?),
        };
        let place = sum.flatten_all()?.narrow(0, start, grad.elem_count())?;
        update(&place, [], &grad.flatten_all()?, &AddTo)
    }

    /// Hands the gradient of a variable over.
    fn give(&mut self, id: TensorId, grads: &mut Grads) -> Result<()> {
        self.0.remove(&id).map_or(Ok(()), |grad| grads.add(id, grad))
    }

    fn give_all(self, grads: &mut Grads) -> Result<()> {
        self.0.into_iter().try_for_each(|(id, grad)| grads.add(id, grad))
    }
}

/// `x += g`.
struct AddTo;

impl Rule<0> for AddTo {
    const NAME: &'static str = "sum of gradients";

    #[inline(always)]
    fn apply<T: Real>(&self, x: &mut [T], []: [&mut [T]; 0], g: &[T]) {
        for (x, g) in x.iter_mut().zip(g) {
            *x += *g;
        }
    }
}

/// `x += factor * g`.
struct AddScaled(f64);

impl Rule<0> for AddScaled {
    const NAME: &'static str = "weighted sum of gradients";

    #[inline(always)]
    fn apply<T: Real>(&self, x: &mut [T], []: [&mut [T]; 0], g: &[T]) {
        let factor = T::of(self.0);
        for (x, g) in x.iter_mut().zip(g) {
            *x += factor * *g;
        }
    }
}

/// Starts candle's backward pass with a given gradient; its own value means nothing.
struct Seed(Tensor);

impl CustomOp1 for Seed {
    fn name(&self) -> &'static str {
        "gradient"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, _layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let value = match storage {
            CpuStorage::F64(_) => f64::to_cpu_storage_owned(vec![0.0]),
            _ => f32::to_cpu_storage_owned(vec![0.0]),
        };
        Ok((value, Shape::from(())))
    }

    fn bwd(&self, _arg: &Tensor, _res: &Tensor, _grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}

#[cfg(test)]
mod tests;
