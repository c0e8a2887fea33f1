//! The recurrent networks: frame predictor, posterior and learned prior.

use candle_core::Tensor;
use vg_core::nn::{Linear, LstmCell, LstmState, Mode, ParamSource, RecurrentConfig};
use vg_core::ops::Activation;
use vg_core::{Error, Result, expect_dims};

use crate::config::Config;
use crate::gaussian::Gaussian;
use crate::layers::Layers;

/// The states of a stack of cells, lowest first.
pub type States = Vec<LstmState>;

/// A linear map and LSTM cells, each above the new state of the one below.
#[derive(Clone, Debug)]
struct Stack {
    embed: Linear,
    cells: Vec<LstmCell>,
}

impl Stack {
    fn new(source: &ParamSource, config: &Config, inputs: usize, layers: usize) -> Result<Self> {
        let hidden = config.recurrent.hidden;
        let cell =
            |k: usize| LstmCell::new(hidden, hidden, RecurrentConfig::default(), &source.pp("lstm").pp(k));
        Ok(Self {
            embed: Layers(&config.backbone).linear(&source.pp("embed"), [inputs, hidden])?,
            cells: (0..layers).map(cell).collect::<Result<_>>()?,
        })
    }

    fn start(&self, batch: usize) -> Result<States> {
        self.cells.iter().map(|cell| cell.zero_state(batch)).collect()
    }

    /// One step; returns what the top cell shows, `[B, hidden]`.
    fn advance(&self, x: &Tensor, states: &mut States, mode: Mode) -> Result<Tensor> {
        let (cells, found) = (self.cells.len(), states.len());
        if found != cells {
            let problem = format!("{found} states for {cells} LSTM cells; take those of `start`");
            return Err(Error::Unsupported(problem));
        }
        let inputs = self.embed.weight().dims()[1];
        expect_dims!("input of a recurrent network", x.dims(), [B, (inputs)])?;
        let mut x = self.embed.forward(x, mode)?;
        for (cell, state) in self.cells.iter().zip(states) {
            *state = cell.step(&x, state, mode)?;
            x = state.h.clone();
        }
        Ok(x)
    }
}

/// LSTM_theta: the vector of the frame before and the latent -> the vector of a frame, in (-1, 1).
///
/// Source: official code, `models/lstm.py`, `lstm`.
#[derive(Clone, Debug)]
pub struct FramePredictor {
    stack: Stack,
    output: Linear,
}

impl FramePredictor {
    /// A network over the parameters of `source`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let source = source.pp("frame_predictor");
        let (r, features) = (&config.recurrent, config.backbone.features);
        Ok(Self {
            stack: Stack::new(&source, config, features + config.latent(), r.predictor_layers)?,
            output: Layers(&config.backbone).linear(&source.pp("output").pp(0), [r.hidden, features])?,
        })
    }

    /// States of zeros, from which every clip starts.
    ///
    /// # Errors
    /// Those of the tensors.
    pub fn start(&self, batch: usize) -> Result<States> {
        self.stack.start(batch)
    }

    /// One step: `vector` `[B, features]`, `latent` `[B, latent]` but for the deterministic variant; returns `[B, features]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for inputs of another size, [`Error::Unsupported`] for another number of states.
    pub fn step(
        &self,
        vector: &Tensor,
        latent: Option<&Tensor>,
        states: &mut States,
        mode: Mode,
    ) -> Result<Tensor> {
        let input = match latent {
            Some(z) => Tensor::cat(&[vector, z], 1)?,
            None => vector.clone(),
        };
        let top = self.stack.advance(&input, states, mode)?;
        Activation::Tanh.apply(&self.output.forward(&top, mode)?)
    }
}

/// LSTM_phi or LSTM_psi: the vectors of the frames so far -> a Gaussian of a latent.
///
/// Source: official code, `models/lstm.py`, `gaussian_lstm`.
#[derive(Clone, Debug)]
pub struct GaussianLstm {
    stack: Stack,
    mu: Linear,
    log_var: Linear,
}

impl GaussianLstm {
    /// A network of `layers` cells over the parameters of `source`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config, layers: usize) -> Result<Self> {
        let sizes = [config.recurrent.hidden, config.recurrent.latent];
        let head = |name: &str| Layers(&config.backbone).linear(&source.pp(name), sizes);
        Ok(Self {
            stack: Stack::new(source, config, config.backbone.features, layers)?,
            mu: head("mu_net")?,
            log_var: head("logvar_net")?,
        })
    }

    /// States of zeros, from which every clip starts.
    ///
    /// # Errors
    /// Those of the tensors.
    pub fn start(&self, batch: usize) -> Result<States> {
        self.stack.start(batch)
    }

    /// One step: `vector` `[B, features]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for a vector of another size, [`Error::Unsupported`] for another number of states.
    pub fn step(&self, vector: &Tensor, states: &mut States, mode: Mode) -> Result<Gaussian> {
        let top = self.stack.advance(vector, states, mode)?;
        Ok(Gaussian { mu: self.mu.forward(&top, mode)?, log_var: self.log_var.forward(&top, mode)? })
    }
}
