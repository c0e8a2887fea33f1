//! The LSTM cell.

use candle_core::Tensor;

use super::super::{Mode, ParamSource};
use super::{Maps, RecurrentConfig, project};
use crate::Result;
use crate::grad::settle;
use crate::ops::Activation;
use crate::ops::gates::{activated_sum, lstm};
use crate::ops::linear::linear;

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

    /// The cell with its input cut behind the first `fed` numbers, for sequences in which these depend on the state before and the others
    /// are known from the start; made once a forward pass.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) when the input is shorter.
    pub fn cut(&self, fed: usize, mode: Mode) -> Result<CutLstm> {
        let weight = mode.weights.see(&self.0.weight_ih);
        let columns = |start, len| settle(&weight.narrow(1, start, len)?.contiguous()?);
        let bias = self.0.biases.as_ref().map(|[ih, _]| mode.weights.see(ih));
        let rest = weight.dims()[1].saturating_sub(fed);
        Ok(CutLstm { cell: self.clone(), fed: columns(0, fed)?, known: columns(fed, rest)?, bias, mode })
    }
}

/// An [`LstmCell`] whose input comes in two parts; see [`LstmCell::cut`].
#[derive(Clone, Debug)]
pub struct CutLstm {
    cell: LstmCell,
    fed: Tensor,
    known: Tensor,
    bias: Option<Tensor>,
    mode: Mode,
}

impl CutLstm {
    /// The gates' share of inputs that are known, `[N, I - fed]` -> `[N, 4 H]`: all steps in one product.
    ///
    /// # Errors
    /// As [`linear`].
    pub fn known(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.known, self.bias.as_ref())
    }

    /// One step: `x` `[B, fed]`, and the [`known`](Self::known) share of this step.
    ///
    /// # Errors
    /// As [`LstmCell::step`].
    pub fn step(&self, x: &Tensor, known: &Tensor, state: &LstmState) -> Result<LstmState> {
        let input = activated_sum(known, &linear(x, &self.fed, None)?, Activation::Identity)?;
        self.cell.advance(&input, state, self.mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grad::{Tape, backward, split};
    use crate::nn::ParamStore;
    use candle_core::{DType, Device};

    /// A cell whose input is cut says the same as a whole one, and its weights get the same gradients, with and without a tape.
    #[test]
    fn a_cut_cell_is_the_whole_one() {
        let store = ParamStore::init(crate::Rng::new(3), DType::F64, &Device::Cpu);
        let cell = LstmCell::new(5, 4, RecurrentConfig::default(), &store.source()).unwrap();
        let draw = |seed, dims: (usize, usize)| {
            crate::Rng::new(seed).stream("x").normal_tensor(dims, DType::F64, &Device::Cpu).unwrap()
        };
        let (fed, known) = (draw(1, (6, 2)), draw(2, (6, 3)));
        let whole = || {
            let mut state = cell.zero_state(2).unwrap();
            for t in 0..3 {
                let part = |x: &Tensor| x.narrow(0, 2 * t, 2).unwrap();
                let x = Tensor::cat(&[part(&fed), part(&known)], 1).unwrap();
                state = cell.step(&x, &state, Mode::TRAIN).unwrap();
            }
            state.h
        };
        let cut = || {
            let cut = cell.cut(2, Mode::TRAIN).unwrap();
            let shares = split(&cut.known(&known).unwrap(), 3).unwrap();
            let mut state = cell.zero_state(2).unwrap();
            for (t, share) in shares.iter().enumerate() {
                state = cut.step(&fed.narrow(0, 2 * t, 2).unwrap(), share, &state).unwrap();
            }
            state.h
        };
        let grads = |run: &dyn Fn() -> Tensor| {
            let h = run();
            let all = backward(&h.sqr().unwrap().sum_all().unwrap()).unwrap();
            let of = |(_, var): (String, candle_core::Var)| {
                all.get(var.as_tensor()).unwrap().flatten_all().unwrap()
            };
            let mut values = vec![h.flatten_all().unwrap()];
            values.extend(store.vars("").into_iter().map(of));
            Tensor::cat(&values, 0).unwrap().to_vec1::<f64>().unwrap()
        };
        let want = grads(&whole);
        let near = |got: Vec<f64>| {
            assert!(got.len() == want.len() && got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-12));
        };
        near(grads(&cut));
        let _tape = Tape::start();
        near(grads(&cut));
        assert!(split(&fed, 4).unwrap_err().to_string().contains("6 rows"));
        assert!(cell.cut(6, Mode::TRAIN).is_err());
    }
}
