//! The GRU cell.

use candle_core::Tensor;

use super::super::{Mode, ParamSource};
use super::{Maps, RecurrentConfig, project};
use crate::Result;
use crate::ops::gates::gru;

/// GRU cell, as `torch.nn.GRUCell`: the reset gate acts on the state's product, `n = tanh(W_in x + b_in + r (W_hn h + b_hn))`.
///
/// Parameters `weight_ih` `[3 H, I]`, `weight_hh` `[3 H, H]`, `bias_ih` and `bias_hh` `[3 H]`, gates in the order r, z, n.
#[derive(Clone, Debug)]
pub struct GruCell(Maps);

impl GruCell {
    /// Makes the cell's parameters at `source`.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) when a name is taken.
    pub fn new(inputs: usize, hidden: usize, config: RecurrentConfig, source: &ParamSource) -> Result<Self> {
        Ok(Self(Maps::new(3, inputs, hidden, config, source)?))
    }

    /// Size of the state, H.
    pub fn hidden(&self) -> usize {
        self.0.size()
    }

    /// A state of zeros, `[batch, H]`.
    pub fn zero_state(&self, batch: usize) -> Result<Tensor> {
        self.0.zeros(batch)
    }

    /// One step: `x` `[B, I]` and `h` `[B, H]` to the new `h`.
    ///
    /// # Errors
    /// As [`linear`](crate::ops::linear::linear) and [`gru`].
    pub fn step(&self, x: &Tensor, h: &Tensor, mode: Mode) -> Result<Tensor> {
        gru(&self.0.input(x, mode)?, &self.0.hidden(h, mode)?, h)
    }

    /// Steps through a sequence of inputs `[B, I]`; returns `h` after every step. The inputs of all steps go through one matrix
    /// product, which is quicker than [`GruCell::step`] in a loop.
    ///
    /// # Errors
    /// As [`GruCell::step`]; also when the inputs' sizes differ.
    pub fn sequence(&self, inputs: &[Tensor], h: &Tensor, mode: Mode) -> Result<Vec<Tensor>> {
        let mut h = h.clone();
        let mut shown = Vec::with_capacity(inputs.len());
        let [gates] = project(inputs, [&|x| self.0.input(x, mode)])?;
        for gates in gates {
            h = gru(&gates, &self.0.hidden(&h, mode)?, &h)?;
            shown.push(h.clone());
        }
        Ok(shown)
    }
}
