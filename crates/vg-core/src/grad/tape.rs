//! The list of operations of one training step.

use std::cell::{Cell, RefCell};
use std::ops::Deref;
use std::rc::Rc;

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Device, Layout, Result, Shape, Storage, Tensor, Var,
};
use half::bf16;

use super::recompute::Segment;
use crate::ops::op::{self as ops, Gradients, Operand, Output, unary};
use crate::ops::real::{Real, with_slice};

/// Records the operations of [`crate::ops`] on this thread for as long as it lives; see [`crate::grad`].
///
/// Their results then are variables to candle: take gradients with [`crate::grad::backward`], not with candle's method of that name,
/// which would stop at them. An update of weights ends what was recorded before it, as does dropping the tape. Tapes do not nest: an
/// inner one records nothing.
#[must_use = "records for as long as it lives"]
pub struct Tape {
    outermost: bool,
}

/// What this thread does with operations.
enum State {
    /// Leave them to candle's graph.
    Off,
    Record(Vec<Rc<Record>>),
    /// Compute results only: a backward pass is under way.
    Paused,
}

thread_local! {
    static STATE: RefCell<State> = const { RefCell::new(State::Off) };
    static REPLAYING: Cell<bool> = const { Cell::new(false) };
}

/// Whether a part of a step is run a second time on this thread, for its gradients: nothing may be changed then but results.
pub(crate) fn replaying() -> bool {
    REPLAYING.get()
}

impl Tape {
    /// Starts to record.
    pub fn start() -> Self {
        let outermost = STATE.with_borrow(|s| matches!(s, State::Off));
        if outermost {
            STATE.set(State::Record(Vec::new()));
        }
        Self { outermost }
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        if self.outermost {
            STATE.set(State::Off);
        }
    }
}

/// Forgets what was recorded: the weights have changed.
pub(crate) fn clear() {
    STATE.with_borrow_mut(|s| {
        if let State::Record(records) = s {
            records.clear();
        }
    });
}

/// A place in what this thread has recorded; see [`mark`].
#[derive(Clone, Copy, Debug)]
pub struct Mark(usize);

/// The place behind the newest record of this thread.
pub fn mark() -> Mark {
    STATE.with_borrow(|s| match s {
        State::Record(records) => Mark(records.len()),
        _ => Mark(0),
    })
}

/// Forgets what was recorded after a mark, and with it the memory that a backward pass through it would need: results from there
/// pass no gradients on any more.
pub fn rewind(mark: Mark) {
    STATE.with_borrow_mut(|s| {
        if let State::Record(records) = s {
            records.truncate(mark.0);
        }
    });
}

/// The records of this thread while a backward pass walks them.
pub(super) struct Paused(Vec<Rc<Record>>);

impl Paused {
    pub(super) fn records(&self) -> &[Rc<Record>] {
        &self.0
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // Other backward passes through the same records may follow.
        STATE.set(State::Record(std::mem::take(&mut self.0)));
    }
}

/// Stops recording until the result is dropped; `None` without a tape.
pub(super) fn pause() -> Option<Paused> {
    STATE.with_borrow_mut(|s| match std::mem::replace(s, State::Paused) {
        State::Record(records) => Some(Paused(records)),
        other => {
            *s = other;
            None
        }
    })
}

/// Records what `run` does, beside what is recorded already, while a backward pass is under way.
pub(super) fn replay<T>(run: impl FnOnce() -> crate::Result<T>) -> crate::Result<(T, Vec<Rc<Record>>)> {
    /// What this thread did before, also after an error.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            STATE.set(State::Paused);
            REPLAYING.set(self.0);
        }
    }
    let before = Before(REPLAYING.replace(true));
    STATE.set(State::Record(Vec::new()));
    let result = run()?;
    let records = STATE.with_borrow_mut(|s| match s {
        State::Record(records) => std::mem::take(records),
        _ => Vec::new(),
    });
    drop(before);
    Ok((result, records))
}

/// One operation with its operands and its result.
pub(super) struct Record {
    op: Op,
    inputs: Vec<Tensor>,
    pub output: Tensor,
}

enum Op {
    One(Box<dyn CustomOp1>),
    Two(Box<dyn CustomOp2>),
    Three(Box<dyn CustomOp3>),
    /// The elements of a variable from this one on.
    Part(usize),
    /// Many operations, of which only the ends are kept.
    Segment(Segment),
    /// All operands one after the other.
    Join,
    /// The operand's elements in another shape.
    View,
}

impl Record {
    /// The variable that the result is a part of, and the place of its first element there.
    pub(super) fn part(&self) -> Option<(&Tensor, usize)> {
        match self.op {
            Op::Part(start) => Some((&self.inputs[0], start)),
            _ => None,
        }
    }

    /// Whether the result is the operand in another shape: to candle no variable, but a view of one.
    pub(super) fn is_view(&self) -> bool {
        matches!(self.op, Op::View)
    }

    /// The part of a step that this stands for, where it is to be run again.
    pub(super) fn segment(&self) -> Option<&Segment> {
        match &self.op {
            Op::Segment(segment) => Some(segment),
            _ => None,
        }
    }

    /// Gradients of the operands that have one.
    pub(super) fn gradients(&self, grad: &Tensor) -> Result<Vec<(&Tensor, Tensor)>> {
        let (x, y) = (&self.inputs, &self.output);
        let found = match &self.op {
            Op::One(op) => vec![op.bwd(&x[0], y, grad)?],
            Op::Two(op) => {
                let (a, b) = op.bwd(&x[0], &x[1], y, grad)?;
                vec![a, b]
            }
            Op::Three(op) => {
                let (a, b, c) = op.bwd(&x[0], &x[1], &x[2], y, grad)?;
                vec![a, b, c]
            }
            // The backward pass adds its gradient to a part of the variable's instead, or runs the segment again.
            Op::Part(_) | Op::Segment(_) => Vec::new(),
            Op::Join => parts_of(grad, x)?,
            Op::View => vec![Some(grad.reshape(x[0].shape())?)],
        };
        Ok(x.iter().zip(found).filter_map(|(input, grad)| grad.map(|g| (input, g.detach()))).collect())
    }
}

/// What is to be done with an operation on these operands.
enum Way {
    Candle,
    Record,
    Plain,
}

fn way(operands: &[&Tensor]) -> Way {
    STATE.with_borrow(|s| match s {
        State::Off => Way::Candle,
        State::Paused => Way::Plain,
        State::Record(_) => {
            let here = operands.iter().all(|t| t.device().is_cpu());
            if here && operands.iter().any(|t| t.track_op()) { Way::Record } else { Way::Candle }
        }
    })
}

fn push(op: Op, operands: &[&Tensor], (storage, shape): (CpuStorage, Shape)) -> Result<Tensor> {
    let output = match storage {
        CpuStorage::F32(values) => Var::from_vec(values, shape, &Device::Cpu)?,
        CpuStorage::F64(values) => Var::from_vec(values, shape, &Device::Cpu)?,
        CpuStorage::BF16(values) => Var::from_vec(values, shape, &Device::Cpu)?,
        _ => return Err(candle_core::Error::msg("operations of vg give f32, f64 or bf16 tensors")),
    };
    let output = output.as_tensor().clone();
    let inputs = operands.iter().map(|t| (*t).clone()).collect();
    record(op, inputs, output.clone());
    Ok(output)
}

fn record(op: Op, inputs: Vec<Tensor>, output: Tensor) {
    STATE.with_borrow_mut(|s| {
        if let State::Record(records) = s {
            records.push(Rc::new(Record { op, inputs, output }));
        }
    });
}

/// Records a part of a step by its ends alone.
pub(super) fn record_segment(segment: Segment) {
    if let Some(first) = segment.outputs().first().cloned() {
        record(Op::Segment(segment), Vec::new(), first);
    }
}

/// Bytes of all tensors that the records of this thread keep.
#[cfg(test)]
pub(super) fn held_bytes() -> usize {
    let mut seen = std::collections::HashMap::new();
    STATE.with_borrow(|s| {
        let State::Record(records) = s else { return };
        for record in records {
            let ends: Vec<&Tensor> = match record.segment() {
                Some(segment) => segment.inputs().iter().chain(segment.outputs()).collect(),
                None => record.inputs.iter().chain([&record.output]).collect(),
            };
            seen.extend(ends.iter().map(|t| (t.id(), t.elem_count() * t.dtype().size_in_bytes())));
        }
    });
    seen.values().sum()
}

/// The storage of a tensor on the CPU, to be read while the guard lives.
struct Read<'a, G: Deref<Target = Storage>>(G, &'a Layout);

impl<'a, G: Deref<Target = Storage>> Read<'a, G> {
    fn get(&self) -> Result<(&CpuStorage, &'a Layout)> {
        match &*self.0 {
            Storage::Cpu(storage) => Ok((storage, self.1)),
            _ => Err(candle_core::Error::msg("expected a tensor on the CPU")),
        }
    }
}

fn read(tensor: &Tensor) -> Read<'_, impl Deref<Target = Storage> + '_> {
    let (storage, layout) = tensor.storage_and_layout();
    Read(storage, layout)
}

/// The elements `start..start + len` of the first axis of `x`.
///
/// The tape adds the gradients of all parts of a tensor up in one buffer; candle's `narrow` would pad each of them with zeros.
pub(crate) fn part(x: &Tensor, start: usize, len: usize) -> Result<Tensor> {
    let view = |x: &Tensor| x.narrow(0, start, len);
    match way(&[x]) {
        Way::Candle | Way::Plain => view(x),
        Way::Record => {
            let whole = settle(x)?;
            let output = Var::from_tensor(&view(&whole.detach())?)?.into_inner();
            let first = start * whole.dims()[1..].iter().product::<usize>();
            record(Op::Part(first), vec![whole], output.clone());
            Ok(output)
        }
    }
}

/// `n` equal parts of the first axis of `x`, one after the other.
///
/// As candle's `chunk`; while a tape records, the gradients of all parts are added up in one buffer instead of padding each with zeros.
///
/// # Errors
/// [`Error::Unsupported`](crate::Error::Unsupported) when the axis cannot be cut into `n` equal parts.
pub fn split(x: &Tensor, n: usize) -> crate::Result<Vec<Tensor>> {
    let rows = x.dims().first().copied().unwrap_or(0);
    if n == 0 || !rows.is_multiple_of(n) {
        let problem = format!("{rows} rows cannot be split into {n} equal parts");
        return Err(crate::Error::Unsupported(problem));
    }
    let (whole, len) = (settle(x)?, rows / n);
    (0..n).map(|k| Ok(part(&whole, k * len, len)?)).collect()
}

/// Tensors one after the other along the first axis.
///
/// As candle's `cat`; while a tape records, their gradients are views of the whole's instead of sums with zeros.
///
/// # Errors
/// [`Error::Tensor`](crate::Error::Tensor) when there are none or other axes differ.
pub fn join(all: &[Tensor]) -> crate::Result<Tensor> {
    let operands: Vec<&Tensor> = all.iter().collect();
    match way(&operands) {
        Way::Candle | Way::Plain => Ok(Tensor::cat(all, 0)?),
        Way::Record => {
            let output = joined(all)?.into_inner();
            record(Op::Join, all.to_vec(), output.clone());
            Ok(output)
        }
    }
}

/// The elements of `x`, of any shape, in another shape of as many elements; a view where `x` is contiguous.
///
/// As candle's `reshape`; while a tape records, gradients are handed back as they are, where candle's backward pass would add each to
/// zeros, twice.
///
/// # Errors
/// [`Error::Tensor`](crate::Error::Tensor) for a shape of another number of elements.
pub fn reshape(x: &Tensor, shape: impl Into<Shape>) -> crate::Result<Tensor> {
    let shape = shape.into();
    if *x.shape() == shape {
        return Ok(x.clone());
    }
    let output = x.reshape(&shape)?;
    if x.is_contiguous() && matches!(way(&[x]), Way::Record) {
        record(Op::View, vec![x.clone()], output.clone());
    }
    Ok(output)
}

/// The joined tensors as a variable, with one copy of their elements.
fn joined(all: &[Tensor]) -> Result<Var> {
    fn elements<T: Real>(all: &[Tensor], shape: &Shape) -> Result<Var> {
        let mut values: Vec<T> = Vec::with_capacity(shape.elem_count());
        for x in all {
            with_slice(&x.contiguous()?, |x| {
                values.extend_from_slice(x);
                Ok(())
            })?;
        }
        Var::from_vec(values, shape, &Device::Cpu)
    }
    let first = &all[0];
    let alike = |x: &Tensor| x.rank() > 0 && x.dims()[1..] == first.dims()[1..] && x.dtype() == first.dtype();
    if first.rank() > 0 && all.iter().all(alike) {
        let rows = all.iter().map(|x| x.dims()[0]).sum();
        let shape = Shape::from([&[rows], &first.dims()[1..]].concat());
        match first.dtype() {
            DType::F32 => return elements::<f32>(all, &shape),
            DType::F64 => return elements::<f64>(all, &shape),
            _ => {}
        }
    }
    let constants: Vec<Tensor> = all.iter().map(Tensor::detach).collect();
    Var::from_tensor(&Tensor::cat(&constants, 0)?)
}

/// The gradient of each of the joined tensors that has one.
fn parts_of(grad: &Tensor, joined: &[Tensor]) -> Result<Vec<Option<Tensor>>> {
    let mut start = 0;
    let part = |x: &Tensor| {
        let (from, len) = (start, x.dims()[0]);
        start += len;
        if x.track_op() { grad.narrow(0, from, len).map(Some) } else { Ok(None) }
    };
    joined.iter().map(part).collect()
}

/// The same tensor; while a tape records, one at which the gradients of all later operations are added up before they flow on
/// through candle's graph. For a tensor that operations of candle made and many others use, such as a scaled weight.
pub fn settle(x: &Tensor) -> Result<Tensor> {
    match way(&[x]) {
        Way::Record if !x.is_variable() => unary(x, Same),
        _ => Ok(x.clone()),
    }
}

/// `x`, copied.
struct Same;

impl ops::Op<1> for Same {
    const NAME: &'static str = "copy";

    fn run<T: Real>(&self, [x]: [Operand<'_, T>; 1]) -> Output<T> {
        Ok((x.data.to_vec(), x.shape.clone()))
    }

    fn run_bf16(&self, [x]: [Operand<'_, bf16>; 1]) -> Output<bf16> {
        Ok((x.data.to_vec(), x.shape.clone()))
    }

    fn gradients(&self, _operands: [&Tensor; 1], _result: &Tensor, grad: &Tensor) -> Gradients<1> {
        Ok([Some(grad.clone())])
    }
}

/// Applies an operation of one operand.
pub(crate) fn apply1<C: CustomOp1 + Send + Sync + 'static>(x: &Tensor, op: C) -> Result<Tensor> {
    match way(&[x]) {
        Way::Candle => x.apply_op1(op),
        Way::Plain => x.apply_op1_no_bwd(&op),
        Way::Record => {
            let result = {
                let a = read(x);
                let a = a.get()?;
                op.cpu_fwd(a.0, a.1)?
            };
            push(Op::One(Box::new(op)), &[x], result)
        }
    }
}

/// Applies an operation of two operands.
pub(crate) fn apply2<C: CustomOp2 + Send + Sync + 'static>(x: &Tensor, y: &Tensor, op: C) -> Result<Tensor> {
    match way(&[x, y]) {
        Way::Candle => x.apply_op2(y, op),
        Way::Plain => x.apply_op2_no_bwd(y, &op),
        Way::Record => {
            let result = {
                let (a, b) = (read(x), read(y));
                let (a, b) = (a.get()?, b.get()?);
                op.cpu_fwd(a.0, a.1, b.0, b.1)?
            };
            push(Op::Two(Box::new(op)), &[x, y], result)
        }
    }
}

/// Applies an operation of three operands.
pub(crate) fn apply3<C: CustomOp3 + Send + Sync + 'static>(
    x: &Tensor,
    y: &Tensor,
    z: &Tensor,
    op: C,
) -> Result<Tensor> {
    match way(&[x, y, z]) {
        Way::Candle => x.apply_op3(y, z, op),
        Way::Plain => x.apply_op3_no_bwd(y, z, &op),
        Way::Record => {
            let result = {
                let (a, b, c) = (read(x), read(y), read(z));
                let (a, b, c) = (a.get()?, b.get()?, c.get()?);
                op.cpu_fwd(a.0, a.1, b.0, b.1, c.0, c.1)?
            };
            push(Op::Three(Box::new(op)), &[x, y, z], result)
        }
    }
}
