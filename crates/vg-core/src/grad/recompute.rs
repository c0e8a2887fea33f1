//! Parts of a step that are run again for their gradients instead of being kept.

use std::rc::Rc;

use candle_core::{DType, Tensor, Var};

use super::tape::{self, Record};
use crate::nn::{Mode, Weights};
use crate::ops::real::{Real, with_slice};
use crate::{Error, Result};

/// `f` of `inputs`, of which a tape keeps nothing but the inputs and the results: the backward pass runs `f` again and goes on through it.
///
/// For networks whose intermediate results do not fit in memory: a block's cost one more forward pass, and at any time those of a single
/// block are there (Chen, Xu, Zhang and Guestrin, "Training Deep Nets with Sublinear Memory Cost", 2016). Gradients reach the inputs, the
/// parameters that `f` holds, and any other tensor that it holds. They are those of the plain step bit for bit where the results of `f`
/// come from operations of [`crate::ops`], or are used once; otherwise terms may be added in another order.
///
/// # What `f` must hold to
/// - It runs its layers in the mode that it is given: `mode`, and with the running statistics left as they are
///   ([`Mode::keep_running`]) when it is run again. A layer whose forward pass depends on another state that it changes (the power iteration
///   of a spectral norm) goes by [`Mode::again`].
/// - Random numbers come in as inputs, or are held.
/// - What it reads must be the same at the backward pass: no update of weights or statistics in between that it depends on. The
///   results are compared with the first ones, so that a mistake is an error.
///
/// May be nested: the inner function then is run up to three times. Without a tape, in a pass through constants and on other devices
/// than the CPU, this just calls `f`.
///
/// ```
/// # use vg_core::{Result, nn::{Conv2d, Mode}, grad::recompute};
/// # use candle_core::Tensor;
/// fn block(conv: &Conv2d, x: &Tensor, mode: Mode) -> Result<Tensor> {
///     let conv = conv.clone(); // shares the weights
///     let [y] = recompute([x], mode, move |[x], mode| Ok([conv.forward(x, mode)?.relu()?]))?;
///     Ok(y)
/// }
/// ```
///
/// # Errors
/// Those of `f`. The backward pass gives [`Error::Unsupported`] when `f` comes to other results than before.
pub fn recompute<const N: usize, const M: usize>(
    inputs: [&Tensor; N],
    mode: Mode,
    f: impl Fn([&Tensor; N], Mode) -> Result<[Tensor; M]> + 'static,
) -> Result<[Tensor; M]> {
    let here = inputs.iter().all(|t| t.device().is_cpu());
    let constant = mode.weights == Weights::Constant && !inputs.iter().any(|t| t.track_op());
    if !here || constant {
        return f(inputs, mode);
    }
    let Some(paused) = tape::pause() else { return f(inputs, mode) };
    let constants = inputs.map(Tensor::detach);
    let results = f(constants.each_ref(), mode)?;
    drop(paused);
    let outputs = results.iter().map(as_variable).collect::<Result<Vec<_>>>()?;
    let again = move |inputs: &[Tensor], mode: Mode| {
        let inputs: [&Tensor; N] = std::array::from_fn(|k| &inputs[k]);
        Ok(f(inputs, mode)?.to_vec())
    };
    tape::record_segment(Segment {
        f: Box::new(again),
        mode: mode.keep_running().again(),
        inputs: inputs.map(Tensor::clone).to_vec(),
        outputs: outputs.clone(),
    });
    Ok(outputs.try_into().unwrap_or_else(|_| unreachable!("as many as there were")))
}

/// A result without what it came from; a variable, so that gradients stop here.
fn as_variable(result: &Tensor) -> Result<Tensor> {
    let result = result.detach();
    Ok(if result.dtype().is_float() { Var::from_tensor(&result)?.into_inner() } else { result })
}

type Again = dyn Fn(&[Tensor], Mode) -> Result<Vec<Tensor>>;

/// A part of a step by its ends.
pub(super) struct Segment {
    f: Box<Again>,
    mode: Mode,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

/// What a segment did when it was run again.
pub(super) struct Replay {
    pub outputs: Vec<Tensor>,
    pub records: Vec<Rc<Record>>,
    /// Inputs within candle's graph, each with the variable that stood in for it.
    pub stand_ins: Vec<(Tensor, Tensor)>,
}

impl Segment {
    pub(super) fn outputs(&self) -> &[Tensor] {
        &self.outputs
    }

    #[cfg(test)]
    pub(super) fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    /// Runs the part again and records it.
    pub(super) fn replay(&self) -> Result<Replay> {
        let (mut inputs, mut stand_ins) = (Vec::with_capacity(self.inputs.len()), Vec::new());
        for input in &self.inputs {
            if input.track_op() && !input.is_variable() {
                let stand_in = as_variable(input)?;
                stand_ins.push((input.clone(), stand_in.clone()));
                inputs.push(stand_in);
            } else {
                inputs.push(input.clone());
            }
        }
        let (outputs, records) = tape::replay(|| (self.f)(&inputs, self.mode))?;
        for (first, second) in self.outputs.iter().zip(&outputs) {
            if !equal(first, second)? {
                let problem = "a recomputed part of a step came to other results than before; what it reads must not change in between, and random numbers must be given to it";
                return Err(Error::Unsupported(problem.into()));
            }
        }
        Ok(Replay { outputs, records, stand_ins })
    }
}

/// Whether two tensors hold the same numbers, not-a-number included.
fn equal(a: &Tensor, b: &Tensor) -> Result<bool> {
    if a.dims() != b.dims() || a.dtype() != b.dtype() {
        return Ok(false);
    }
    let (a, b) = (a.detach().flatten_all()?, b.detach().flatten_all()?);
    match a.dtype() {
        DType::F32 => same::<f32>(&a, &b),
        DType::F64 => same::<f64>(&a, &b),
        _ => same::<f64>(&a.to_dtype(DType::F64)?, &b.to_dtype(DType::F64)?),
    }
}

fn same<T: Real>(a: &Tensor, b: &Tensor) -> Result<bool> {
    let equal = |(a, b): (&T, &T)| a == b || (a.partial_cmp(a).is_none() && b.partial_cmp(b).is_none());
    Ok(with_slice::<T, _>(a, |a| with_slice::<T, _>(b, |b| Ok(a.iter().zip(b).all(equal))))?)
}

#[cfg(test)]
mod tests;
