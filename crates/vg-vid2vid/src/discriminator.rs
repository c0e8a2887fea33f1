//! Patch discriminators on an image pyramid.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::ParamSource;
use vg_core::ops::Activation;

use crate::config::Config;
use crate::layers::{Patch, Run, halve};

/// Negative slope of the leaky ReLUs.
const LEAKY: Activation = Activation::LeakyRelu(0.2);
/// Widest layer.
const WIDEST: usize = 512;
/// Widest first layer.
const WIDEST_FIRST: usize = 64;

/// D_I on frames with their maps, D_V on frames with the flows between them, or D_f on faces.
///
/// Source: paper, section 3.1; layers of the official code's `MultiscaleDiscriminator`.
#[derive(Clone, Debug)]
pub struct Discriminator {
    /// The last sees the full size.
    columns: Vec<Vec<Patch>>,
}

/// Outputs of all layers at each size, full size first; the last layer's are the scores.
pub type Features = Vec<Vec<Tensor>>;

impl Discriminator {
    /// A discriminator of `scales` sizes over the parameters of `source`, below `name`.
    ///
    /// # Errors
    /// [`vg_core::Error::Weights`] when a name is taken.
    pub fn new(
        source: &ParamSource,
        config: &Config,
        name: &str,
        inputs: usize,
        scales: usize,
    ) -> Result<Self> {
        let (d, source) = (&config.discriminator, source.pp(name));
        let column = |k: usize| {
            let width = WIDEST_FIRST.min(d.width << (scales - 1 - k));
            patches(width, inputs, d.layers, |layer| source.pp(format!("scale{k}_layer{layer}")))
        };
        Ok(Self { columns: (0..scales).map(column).collect::<Result<_>>()? })
    }

    /// What all layers make of `x` `[N, C, H, W]`.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for other channels.
    pub fn forward(&self, x: &Tensor, run: Run) -> Result<Features> {
        let mut x = x.clone();
        let mut found = Vec::with_capacity(self.columns.len());
        for (k, column) in self.columns.iter().enumerate().rev() {
            let mut outputs = Vec::with_capacity(column.len());
            for layer in column {
                outputs.push(layer.forward(outputs.last().unwrap_or(&x), run)?);
            }
            found.push(outputs);
            if k > 0 {
                x = halve(&x)?;
            }
        }
        Ok(found)
    }
}

/// The layers of one size: the first without a norm, the last the scores.
fn patches(
    first: usize,
    inputs: usize,
    layers: usize,
    place: impl Fn(usize) -> ParamSource,
) -> Result<Vec<Patch>> {
    let mut made = vec![Patch::new([inputs, first], 2, false, LEAKY, &place(0))?];
    let mut width = first;
    for layer in 1..=layers {
        let next = (2 * width).min(WIDEST);
        let stride = if layer < layers { 2 } else { 1 };
        made.push(Patch::new([width, next], stride, true, LEAKY, &place(layer))?);
        width = next;
    }
    made.push(Patch::new([width, 1], 1, false, Activation::Identity, &place(layers + 1))?);
    Ok(made)
}
