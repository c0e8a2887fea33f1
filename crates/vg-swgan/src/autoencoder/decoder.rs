//! The decoder.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Init, ParamSource, Weights};
use vg_core::ops::Activation;
use vg_core::ops::linear::linear;

use super::SHRINK;
use crate::config::Config;
use crate::kernel::Resampling;
use crate::layers::Conv;

/// Layers, counted from 1, that enlarge their input first.
const ENLARGING: [usize; 3] = [3, 5, 7];
/// Layers.
const LAYERS: usize = 9;

/// codes `[B, code]` to images `[B, C, S, S]` in (-1, 1): a linear layer and nine convolutions with ELUs.
pub struct Decoder {
    weight: Tensor,
    bias: Tensor,
    layers: Vec<Conv>,
    side: usize,
}

impl Decoder {
    /// The network over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (source, a) = (source.pp("decoder"), &config.autoencoder);
        let (side, n) = (config.clip.side / SHRINK, a.width);
        let units = n * side * side;
        let glorot = |inputs: usize, outputs: usize, taps: usize| Init::Uniform {
            bound: (6.0 / ((inputs + outputs) * taps) as f64).sqrt(),
        };
        let layer = |k: usize| {
            let outputs = if k < LAYERS { n } else { config.clip.channels };
            let enlarges = ENLARGING.contains(&k);
            let resampling = if enlarges { Resampling::Up { time: false } } else { Resampling::None };
            let place = source.pp(format!("Input{k}"));
            Conv::square(&place, [n, outputs], resampling, glorot(n, outputs, 9), true)
        };
        let place = source.pp("Linear");
        Ok(Self {
            weight: place.var("weight", &[units, a.code], glorot(a.code, units, 1))?,
            bias: place.var("bias", &[units], Init::Zeros)?,
            layers: (1..=LAYERS).map(layer).collect::<Result<_>>()?,
            side,
        })
    }

    /// Images of codes.
    pub fn forward(&self, code: &Tensor, weights: Weights) -> Result<Tensor> {
        let x = linear(code, &weights.see(&self.weight), Some(&weights.see(&self.bias)))?;
        let (rows, units) = x.dims2()?;
        let mut x = x.reshape((rows, units / (self.side * self.side), self.side, self.side))?;
        for (k, layer) in self.layers.iter().enumerate() {
            let activation = if k + 1 < LAYERS { Activation::Elu } else { Activation::Tanh };
            x = layer.prepare(weights)?.forward(&x, activation)?;
        }
        Ok(x)
    }
}
