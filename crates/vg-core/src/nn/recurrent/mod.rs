//! Recurrent cells: matrix products or convolutions around the kernels of [`gates`](crate::ops::gates).

mod conv_gru;
mod gru;
mod lstm;

use candle_core::Tensor;

use super::{Init, Mode, ParamSource};
use crate::Result;
use crate::grad::{part, settle};
use crate::ops::linear::linear;

pub use conv_gru::{ConvGru2dCell, ConvGruConfig, ConvGruWeights};
pub use gru::GruCell;
pub use lstm::{CutLstm, LstmCell, LstmState};

/// Settings of an [`LstmCell`] or a [`GruCell`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecurrentConfig {
    /// Whether there are biases, two vectors as in PyTorch.
    pub bias: bool,
    /// Initial value of all tensors; `None` is PyTorch's default, [`Init::Recurrent`].
    pub init: Option<Init>,
}

impl Default for RecurrentConfig {
    /// With biases and PyTorch's initial values.
    fn default() -> Self {
        Self { bias: true, init: None }
    }
}

/// The two affine maps of a cell: of its input and of its state.
#[derive(Clone, Debug)]
struct Maps {
    weight_ih: Tensor,
    weight_hh: Tensor,
    biases: Option<[Tensor; 2]>,
}

impl Maps {
    fn new(
        gates: usize,
        inputs: usize,
        hidden: usize,
        config: RecurrentConfig,
        source: &ParamSource,
    ) -> Result<Self> {
        let init = config.init.unwrap_or(Init::Recurrent { hidden });
        let bias = |name: &str| source.var(name, &[gates * hidden], init);
        Ok(Self {
            weight_ih: source.var("weight_ih", &[gates * hidden, inputs], init)?,
            weight_hh: source.var("weight_hh", &[gates * hidden, hidden], init)?,
            biases: if config.bias { Some([bias("bias_ih")?, bias("bias_hh")?]) } else { None },
        })
    }

    fn input(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let bias = self.biases.as_ref().map(|[ih, _]| mode.weights.see(ih));
        linear(x, &mode.weights.see(&self.weight_ih), bias.as_ref())
    }

    fn hidden(&self, h: &Tensor, mode: Mode) -> Result<Tensor> {
        let bias = self.biases.as_ref().map(|[_, hh]| mode.weights.see(hh));
        linear(h, &mode.weights.see(&self.weight_hh), bias.as_ref())
    }

    /// Size of the state.
    fn size(&self) -> usize {
        self.weight_hh.dims()[1]
    }

    /// A state of zeros, `[batch, hidden]`.
    fn zeros(&self, batch: usize) -> Result<Tensor> {
        let weight = &self.weight_hh;
        Ok(Tensor::zeros((batch, self.size()), weight.dtype(), weight.device())?)
    }
}

/// A map of a cell's input.
type Map<'a> = &'a dyn Fn(&Tensor) -> Result<Tensor>;

/// The input's share of the gates for every step, by each of the maps. They are applied to all steps at once; to one step alone where
/// all steps get the same tensor.
fn project<const N: usize>(inputs: &[Tensor], maps: [Map<'_>; N]) -> Result<[Vec<Tensor>; N]> {
    let mut shares = [const { Vec::new() }; N];
    let Some(first) = inputs.first() else { return Ok(shares) };
    let same = inputs.iter().all(|x| x.id() == first.id());
    let all = if same { first.clone() } else { settle(&Tensor::cat(inputs, 0)?)? };
    for (steps, map) in shares.iter_mut().zip(maps) {
        let share = map(&all)?;
        let mut start = 0;
        for x in inputs {
            let batch = x.dims()[0];
            steps.push(if same { share.clone() } else { part(&share, start, batch)? });
            start += batch;
        }
    }
    Ok(shares)
}
