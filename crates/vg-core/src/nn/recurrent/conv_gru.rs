//! The convolutional GRU cell.

use candle_core::Tensor;

use super::super::{Init, Mode, ParamSource};
use super::project;
use crate::grad::{join, part, settle};
use crate::ops::Activation;
use crate::ops::conv::{ConvParams, Epilogue, Precision, conv_fused, keep_weights};
use crate::ops::gates::{activated_sum, conv_gru_blend, conv_gru_reset};
use crate::{Error, Result};

/// Settings of a [`ConvGru2dCell`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConvGruConfig {
    /// Side of the square kernels: odd, so that the state keeps its size.
    pub kernel: usize,
    /// Of the candidate state.
    pub activation: Activation,
    /// Whether the three convolutions have biases.
    pub bias: bool,
    /// Initial weights.
    pub weight_init: Init,
    /// Initial biases; `None` is PyTorch's default for convolutions.
    pub bias_init: Option<Init>,
}

impl Default for ConvGruConfig {
    /// 3x3 kernels with biases, ReLU candidate (DVD-GAN), PyTorch's initial values.
    fn default() -> Self {
        Self {
            kernel: 3,
            activation: Activation::Relu,
            bias: true,
            weight_init: Init::KaimingUniform,
            bias_init: None,
        }
    }
}

/// Convolutional GRU over `[B, C, H, W]`.
///
/// `r = sigmoid(W_r * [x, h])`, `u = sigmoid(W_u * [x, h])`, `c = activation(W_c * [x, r h])`, `h' = u h + (1 - u) c`, each convolution
/// with its bias. Parameters `read`, `update` and `out`, each `.weight` `[C, I + C, k, k]` (the input's channels first) and `.bias`
/// `[C]`.
///
/// Source: Clark et al., "Adversarial Video Generation on Complex Datasets", 2019; the form of the last line is DGMR's.
#[derive(Clone, Debug)]
pub struct ConvGru2dCell {
    weights: [Tensor; 3],
    biases: Option<[Tensor; 3]>,
    activation: Activation,
    precision: Precision,
}

impl ConvGru2dCell {
    /// Makes the cell's parameters at `source`.
    ///
    /// # Errors
    /// [`Error::Config`] when the kernel is even, [`Error::Weights`] when a name is taken.
    pub fn new(inputs: usize, hidden: usize, config: ConvGruConfig, source: &ParamSource) -> Result<Self> {
        let k = config.kernel;
        if k.is_multiple_of(2) {
            return Err(Error::config(
                source.path(),
                format!("the kernel of a ConvGRU must be odd, not {k}"),
            ));
        }
        let weight =
            |gate: &str| source.pp(gate).var("weight", &[hidden, inputs + hidden, k, k], config.weight_init);
        let init = config.bias_init.unwrap_or(Init::BiasFor { fan_in: (inputs + hidden) * k * k });
        let bias = |gate: &str| source.pp(gate).var("bias", &[hidden], init);
        Ok(Self {
            weights: [weight("read")?, weight("update")?, weight("out")?],
            biases: if config.bias { Some([bias("read")?, bias("update")?, bias("out")?]) } else { None },
            activation: config.activation,
            precision: source.precision(),
        })
    }

    /// The weights of the read gate, the update gate and the candidate.
    pub fn raw_weights(&self) -> &[Tensor; 3] {
        &self.weights
    }

    /// What the steps through a clip use, made once a forward pass.
    ///
    /// # Errors
    /// [`Error::Tensor`] when the tensor library fails.
    pub fn weights(&self, mode: Mode) -> Result<ConvGruWeights> {
        self.weights_from(&self.weights.each_ref().map(|w| mode.weights.see(w)), mode)
    }

    /// The same from other weights of the same shapes, such as the spectrally normalised ones.
    ///
    /// # Errors
    /// [`Error::Shape`] when a shape differs.
    pub fn weights_from(&self, weights: &[Tensor; 3], mode: Mode) -> Result<ConvGruWeights> {
        for (own, other) in self.weights.iter().zip(weights) {
            if own.dims() != other.dims() {
                return Err(Error::shape("ConvGRU weight", format!("{:?}", own.dims()), other.dims()));
            }
        }
        let biases = self.biases.as_ref().map(|b| b.each_ref().map(|b| mode.weights.see(b)));
        ConvGruWeights::new(weights, biases.as_ref(), self.activation, self.precision)
    }

    /// One step: `x` `[B, I, H, W]` and `h` `[B, C, H, W]` to the new `h`. Make the [`weights`](Self::weights) once for several
    /// steps.
    ///
    /// # Errors
    /// As [`ConvGruWeights::step`].
    pub fn step(&self, x: &Tensor, h: &Tensor, mode: Mode) -> Result<Tensor> {
        self.weights(mode)?.step(x, h)
    }

    /// As [`ConvGruWeights::sequence`].
    pub fn sequence(&self, inputs: &[Tensor], h: &Tensor, mode: Mode) -> Result<Vec<Tensor>> {
        self.weights(mode)?.sequence(inputs, h)
    }
}

/// Weights of a [`ConvGru2dCell`], cut into the input's and the state's share: the former then takes all frames at once.
#[derive(Clone, Debug)]
pub struct ConvGruWeights {
    input: Share,
    hidden: Share,
    gate_bias: Option<Tensor>,
    out_bias: Option<Tensor>,
    activation: Activation,
    params: ConvParams,
}

/// What one of the two operands is convolved with.
#[derive(Clone, Debug)]
struct Share {
    /// Of both gates, `[2 C, ., k, k]`.
    gates: Tensor,
    /// Of the candidate, `[C, ., k, k]`.
    out: Tensor,
}

impl Share {
    fn cut([read, update, out]: &[Tensor; 3], start: usize, len: usize) -> Result<Self> {
        let columns = |w: &Tensor| w.narrow(1, start, len);
        Ok(Self {
            gates: settle(&Tensor::cat(&[columns(read)?, columns(update)?], 0)?)?,
            out: settle(&columns(out)?.contiguous()?)?,
        })
    }
}

impl ConvGruWeights {
    fn new(
        weights: &[Tensor; 3],
        biases: Option<&[Tensor; 3]>,
        activation: Activation,
        precision: Precision,
    ) -> Result<Self> {
        let [hidden, both, kernel, _] = weights[0].dims4().map(|(a, b, c, d)| [a, b, c, d])?;
        let gate_bias = match biases {
            Some([read, update, _]) => Some(settle(&Tensor::cat(&[read, update], 0)?)?),
            None => None,
        };
        Ok(Self {
            input: Share::cut(weights, 0, both - hidden)?,
            hidden: Share::cut(weights, both - hidden, hidden)?,
            gate_bias,
            out_bias: biases.map(|[_, _, out]| out.clone()),
            activation,
            params: ConvParams::per_axis([1, 1], [kernel / 2; 2]).precision(precision),
        })
    }

    /// One step: `x` `[B, I, H, W]` and `h` `[B, C, H, W]` to the new `h`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the shapes do not fit, [`Error::Unsupported`] for types other than f32 and f64.
    pub fn step(&self, x: &Tensor, h: &Tensor) -> Result<Tensor> {
        self.advance(&self.input_gates(x)?, &self.input_out(x)?, h)
    }

    /// Steps through the frames of a clip, each `[B, I, H, W]`; returns `h` after every step. All frames share the convolutions of
    /// the input; they are made for one frame alone where every step gets the same tensor (clones of one, as the first cell of
    /// DVD-GAN does).
    ///
    /// # Errors
    /// As [`ConvGruWeights::step`]; also when the frames' sizes differ.
    pub fn sequence(&self, inputs: &[Tensor], h: &Tensor) -> Result<Vec<Tensor>> {
        let [gates, outs] = project(inputs, [&|x| self.input_gates(x), &|x| self.input_out(x)])?;
        let mut h = h.clone();
        let mut shown = Vec::with_capacity(inputs.len());
        for (gates, out) in gates.iter().zip(&outs) {
            h = self.advance(gates, out, &h)?;
            shown.push(h.clone());
        }
        Ok(shown)
    }

    /// Steps through the frames of clips that lie step by step; returns the state after every step in the same order.
    ///
    /// Without a state `h` the first step starts from zeros, whose convolutions are left out.
    ///
    /// # Shapes
    /// - `x` `[steps * B, I, H, W]`, or with `same` `[B, I, H, W]`, the input of every step; `h` `[B, C, H, W]`
    /// - returns `[steps * B, C, H, W]`
    ///
    /// # Errors
    /// As [`ConvGruWeights::step`]; [`Error::Shape`] for rows that are no multiple of `steps`.
    pub fn run(&self, x: &Tensor, steps: usize, same: bool, h: Option<&Tensor>) -> Result<Tensor> {
        let rows = x.dims().first().copied().unwrap_or(0);
        if steps == 0 || !same && !rows.is_multiple_of(steps) {
            return Err(Error::shape("input of a ConvGRU", format!("[{steps} * B, I, H, W]"), x.dims()));
        }
        let batch = if same { rows } else { rows / steps };
        // The same kernels at every step.
        let _kept = keep_weights();
        let (gates, out) = (settle(&self.input_gates(x)?)?, settle(&self.input_out(x)?)?);
        let of_step = |all: &Tensor, step: usize| -> Result<Tensor> {
            if same { Ok(all.clone()) } else { Ok(part(all, step * batch, batch)?) }
        };
        let mut states: Vec<Tensor> = Vec::with_capacity(steps);
        for step in 0..steps {
            let (gates, out) = (of_step(&gates, step)?, of_step(&out, step)?);
            let state = match states.last().or(h) {
                Some(h) => self.advance(&gates, &out, h)?,
                None => {
                    let candidate = self.activation.apply(&out)?;
                    conv_gru_blend(&gates, &candidate, &out.zeros_like()?.detach())?
                }
            };
            states.push(state);
        }
        join(&states)
    }

    fn input_gates(&self, x: &Tensor) -> Result<Tensor> {
        self.conv(x, &self.input.gates, self.gate_bias.as_ref())
    }

    fn input_out(&self, x: &Tensor) -> Result<Tensor> {
        self.conv(x, &self.input.out, self.out_bias.as_ref())
    }

    fn conv(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        conv_fused(x, weight, Epilogue { bias, activation: Activation::Identity }, &self.params)
    }

    fn advance(&self, input_gates: &Tensor, input_out: &Tensor, h: &Tensor) -> Result<Tensor> {
        let of_state = self.conv(h, &self.hidden.gates, None)?;
        let gates = activated_sum(input_gates, &of_state, Activation::Identity)?;
        let kept = conv_gru_reset(&gates, h)?;
        let candidate =
            activated_sum(input_out, &self.conv(&kept, &self.hidden.out, None)?, self.activation)?;
        conv_gru_blend(&gates, &candidate, h)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;
    use crate::Rng;
    use crate::nn::ParamStore;

    #[test]
    fn the_precision_is_that_of_the_store() {
        for precision in [Precision::Full, Precision::Bf16] {
            let store = ParamStore::init(Rng::new(1), DType::F32, &Device::Cpu).precision(precision);
            let cell = ConvGru2dCell::new(2, 3, ConvGruConfig::default(), &store.source()).unwrap();
            assert_eq!(cell.weights(Mode::TRAIN).unwrap().params.precision, precision);
        }
    }
}
