//! Sets of variables that are updated together.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use crate::checkpoint::{CheckpointReader, CheckpointWriter};
use crate::grad::{Grads, Mark, backward, clear, rewind};
use crate::ops::conv::forget;
use crate::{Error, Result};

/// An update rule; its state per variable lives in the [`ParamGroup`].
pub trait Optimizer {
    /// Names of the state tensors per variable, all starting at zero with the variable's shape.
    fn state_names(&self) -> &'static [&'static str];

    /// Changes `param` and `state` in place. `step` counts from 1.
    fn step(&self, param: &Var, grad: &Tensor, state: &[Var], step: u64) -> Result<()>;

    /// Changes the learning rate, for schedules.
    fn set_lr(&mut self, lr: f64);

    /// The learning rate.
    fn lr(&self) -> f64;
}

/// The `N` state tensors of a variable.
///
/// # Errors
/// [`Error::Unsupported`] when there are more or fewer.
pub(super) fn tensors<const N: usize>(state: &[Var]) -> Result<[&Tensor; N]> {
    let state: &[Var; N] = state.try_into().map_err(|_| {
        Error::Unsupported(format!("the optimizer keeps {N} state tensors a variable, not {}", state.len()))
    })?;
    Ok(state.each_ref().map(Var::as_tensor))
}

/// Variables with one optimizer.
pub struct ParamGroup {
    name: &'static str,
    params: BTreeMap<String, Param>,
    optimizer: Box<dyn Optimizer>,
    steps: u64,
}

struct Param {
    var: Var,
    state: Vec<Var>,
}

impl ParamGroup {
    /// A group over `vars`, with all optimizer state at zero.
    pub fn new(
        name: &'static str,
        vars: impl IntoIterator<Item = (String, Var)>,
        optimizer: impl Optimizer + 'static,
    ) -> Result<Self> {
        let zeros = |var: &Var| Ok(Var::from_tensor(&var.as_detached_tensor().zeros_like()?)?);
        let states = optimizer.state_names().len();
        let params = vars
            .into_iter()
            .map(|(k, var)| {
                let state = (0..states).map(|_| zeros(&var)).collect::<Result<_>>()?;
                Ok((k, Param { var, state }))
            })
            .collect::<Result<_>>()?;
        Ok(Self { name, params, optimizer: Box::new(optimizer), steps: 0 })
    }

    /// Number of updates made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The variables in order of their names.
    pub fn vars(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.params.iter().map(|(k, p)| (k.as_str(), &p.var))
    }

    /// Number of scalars in all variables.
    pub fn parameters(&self) -> usize {
        self.params.values().map(|p| p.var.elem_count()).sum()
    }

    /// Changes the learning rate from the next step on.
    pub fn set_lr(&mut self, lr: f64) {
        self.optimizer.set_lr(lr);
    }

    /// Zeroes the optimizer's state and its step count (SWGAN at the start and end of a fade).
    pub fn reset(&mut self) -> Result<()> {
        for var in self.params.values().flat_map(|p| &p.state) {
            var.set(&var.as_detached_tensor().zeros_like()?)?;
        }
        self.steps = 0;
        Ok(())
    }

    /// One update from gradients; variables without one stay as they are.
    fn step(&mut self, grads: &Grads) -> Result<()> {
        forget();
        self.steps += 1;
        for param in self.params.values() {
            if let Some(grad) = grads.get(param.var.as_tensor()) {
                self.optimizer.step(&param.var, &grad.contiguous()?, &param.state, self.steps)?;
            }
        }
        Ok(())
    }

    /// Name of a state tensor in a checkpoint, apart from the names of networks.
    fn state_name(&self, state: &str, param: &str) -> String {
        format!("optimizer.{}.{state}.{param}", self.name)
    }

    /// Writes the optimizer's state and step count.
    pub fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        to.value(&format!("optimizer.{}.steps", self.name), &self.steps)?;
        for (name, param) in &self.params {
            for (state, var) in self.optimizer.state_names().iter().zip(&param.state) {
                to.train(self.state_name(state, name), &var.as_detached_tensor())?;
            }
        }
        Ok(())
    }

    /// Restores what [`ParamGroup::save`] wrote.
    ///
    /// # Errors
    /// [`Error::Weights`] that lists all missing or misshapen state tensors.
    pub fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        let mut problems = Vec::new();
        for (name, param) in &self.params {
            for (state, var) in self.optimizer.state_names().iter().zip(&param.state) {
                let full = self.state_name(state, name);
                match from.train_tensor(&full) {
                    Some(t) if t.dims() == var.dims() => var.set(&t.to_dtype(var.dtype())?)?,
                    Some(t) => problems.push(format!("{full} is {:?}, not {:?}", t.dims(), var.dims())),
                    None => problems.push(format!("{full} is missing")),
                }
            }
        }
        if !problems.is_empty() {
            let what = format!("the optimizer states in {}", from.path().display());
            return Err(Error::Weights { what, problems: problems.join("; ") });
        }
        self.steps = from.value(&format!("optimizer.{}.steps", self.name))?;
        Ok(())
    }
}

/// Takes the gradients of all losses, then updates every group from its own loss.
///
/// candle writes variables in place, so no update may happen before the last backward pass.
pub fn update<const N: usize>(losses: [(&mut ParamGroup, &Tensor); N]) -> Result<()> {
    let mut steps = Vec::with_capacity(N);
    for (group, loss) in losses {
        steps.push((group, backward(loss)?));
    }
    for (group, grads) in steps {
        group.step(&grads)?;
    }
    clear();
    Ok(())
}

/// [`step_all`], but what was recorded up to `mark` stays: for a network that is updated later, from a loss that sees these groups'
/// new weights (VGAN's generator). None of these groups' variables may have been used before the mark.
pub fn step_since<const N: usize>(mark: Mark, groups: [(&mut ParamGroup, &Grads); N]) -> Result<()> {
    for (group, grads) in groups {
        group.step(grads)?;
    }
    rewind(mark);
    Ok(())
}

/// Updates groups from gradients that were taken before, for losses that share a backward pass.
pub fn step_all<const N: usize>(groups: [(&mut ParamGroup, &Grads); N]) -> Result<()> {
    for (group, grads) in groups {
        group.step(grads)?;
    }
    clear();
    Ok(())
}
