//! The LSTM cell.

use candle_core::Tensor;

use super::super::{Mode, ParamSource};
use super::{Maps, RecurrentConfig, project};
use crate::Result;
use crate::ops::Activation;
use crate::ops::gates::{activated_sum, lstm};

/// The state of an [`LstmCell`].
#[derive(Clone, Debug)]
pub struct LstmState {
    /// What the cell shows, `[B, H]`.
    pub h: Tensor,
    /// What it keeps, `[B, H]`.
    pub c: Tensor,
}

impl LstmState {
    /// The same values without their history.
    pub fn detach(&self) -> Self {
        Self { h: self.h.detach(), c: self.c.detach() }
    }
}

/// LSTM cell, as `torch.nn.LSTMCell`.
///
/// Parameters `weight_ih` `[4 H, I]`, `weight_hh` `[4 H, H]`, `bias_ih` and `bias_hh` `[4 H]`, gates in the order i, f, g, o.
#[derive(Clone, Debug)]
pub struct LstmCell(Maps);

impl LstmCell {
    /// Makes the cell's parameters at `source`.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) when a name is taken.
    pub fn new(inputs: usize, hidden: usize, config: RecurrentConfig, source: &ParamSource) -> Result<Self> {
        Ok(Self(Maps::new(4, inputs, hidden, config, source)?))
    }

    /// Size of the state, H.
    pub fn hidden(&self) -> usize {
        self.0.size()
    }

    /// A state of zeros.
    pub fn zero_state(&self, batch: usize) -> Result<LstmState> {
        Ok(LstmState { h: self.0.zeros(batch)?, c: self.0.zeros(batch)? })
    }

    /// One step: `x` `[B, I]`.
    ///
    /// # Errors
    /// As [`linear`](crate::ops::linear::linear) and [`lstm`].
    pub fn step(&self, x: &Tensor, state: &LstmState, mode: Mode) -> Result<LstmState> {
        self.advance(&self.0.input(x, mode)?, state, mode)
    }

    /// Steps through a sequence of inputs `[B, I]`; returns `h` after every step and the last state. The inputs of all steps go
    /// through one matrix product, which is quicker than [`LstmCell::step`] in a loop.
    ///
    /// # Errors
    /// As [`LstmCell::step`]; also when the inputs' sizes differ.
    pub fn sequence(
        &self,
        inputs: &[Tensor],
        state: &LstmState,
        mode: Mode,
    ) -> Result<(Vec<Tensor>, LstmState)> {
        let mut state = state.clone();
        let mut shown = Vec::with_capacity(inputs.len());
        let [gates] = project(inputs, [&|x| self.0.input(x, mode)])?;
        for gates in gates {
            state = self.advance(&gates, &state, mode)?;
            shown.push(state.h.clone());
        }
        Ok((shown, state))
    }

    fn advance(&self, input: &Tensor, state: &LstmState, mode: Mode) -> Result<LstmState> {
        let gates = activated_sum(input, &self.0.hidden(&state.h, mode)?, Activation::Identity)?;
        let (h, c) = lstm(&gates, &state.c)?;
        Ok(LstmState { h, c })
    }
}
