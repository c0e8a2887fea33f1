//! The generator of the image model.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Init, ParamSource, Weights};
use vg_core::ops::Activation;
use vg_core::ops::batch_norm::{batch_norm_eval, batch_norm_train};
use vg_core::ops::linear::linear;
use vg_core::ops::upsample::{Interpolation, upsample_by};

use super::{EPS, WIDTHS, glorot, he};
use crate::config::Config;
use crate::kernel::Resampling;
use crate::layers::Conv;

/// G: latents `[B, latent]` to images `[B, C, S, S]` in (-1, 1): a linear layer, four residual blocks that double the size, a convolution.
pub struct ImageGenerator {
    weight: Tensor,
    bias: Tensor,
    blocks: Vec<Block>,
    norm: Norm,
    last: Conv,
    side: usize,
}

struct Block {
    norms: [Norm; 2],
    up: Conv,
    plain: Conv,
    shortcut: Conv,
}

struct Norm {
    scale: Tensor,
    offset: Tensor,
}

/// Mean and variance of the channels before one norm, `[C]` each.
#[derive(Clone, Debug)]
pub struct Moments {
    mean: Tensor,
    var: Tensor,
}

/// What batch norms normalise by.
pub enum Statistics<'a> {
    /// The batch, as in all of the official code, sampling included.
    Batch,
    /// The batch, whose moments are noted norm by norm.
    Noted(&'a mut Vec<Moments>),
    /// Moments that were noted before.
    Given(std::slice::Iter<'a, Moments>),
}

impl Norm {
    fn new(source: &ParamSource, channels: usize) -> Result<Self> {
        Ok(Self {
            scale: source.var("scale", &[channels], Init::Ones)?,
            offset: source.var("offset", &[channels], Init::Zeros)?,
        })
    }

    /// With ReLU.
    fn forward(&self, x: &Tensor, weights: Weights, by: &mut Statistics<'_>) -> Result<Tensor> {
        let (scale, offset) = (weights.see(&self.scale), weights.see(&self.offset));
        if let Statistics::Given(moments) = by {
            let Moments { mean, var } = moments.next().expect("as many as norms");
            return batch_norm_eval(x, &scale, Some(&offset), mean, var, EPS, Activation::Relu);
        }
        let (y, found) = batch_norm_train(x, &scale, Some(&offset), EPS, Activation::Relu)?;
        if let Statistics::Noted(moments) = by {
            let vector = |v: &[f64]| -> Result<Tensor> {
                Ok(Tensor::from_slice(v, v.len(), x.device())?.to_dtype(x.dtype())?)
            };
            moments.push(Moments { mean: vector(&found.mean)?, var: vector(&found.var)? });
        }
        Ok(y)
    }
}

impl ImageGenerator {
    /// The network over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let source = source.pp("generator");
        let (d, colours, latent) = (config.image.width, config.clip.channels, config.networks.latent);
        let side = config.clip.side / 16;
        let units = WIDTHS[4] * d * side * side;
        let block = |k: usize| -> Result<Block> {
            let (place, a, b) = (source.pp(format!("Res{}", k + 1)), WIDTHS[4 - k] * d, WIDTHS[3 - k] * d);
            Ok(Block {
                norms: [Norm::new(&place.pp("BN1"), a)?, Norm::new(&place.pp("BN2"), b)?],
                up: Conv::square(
                    &place.pp("Conv1"),
                    [a, b],
                    Resampling::Up { time: false },
                    he(a, b),
                    false,
                )?,
                plain: Conv::square(&place.pp("Conv2"), [b, b], Resampling::None, he(b, b), true)?,
                shortcut: Conv::pixel(&place.pp("Shortcut"), a, b, glorot(a, b, 1))?,
            })
        };
        let input = source.pp("Input");
        Ok(Self {
            weight: input.var("weight", &[units, latent], glorot(latent, units, 1))?,
            bias: input.var("bias", &[units], Init::Zeros)?,
            blocks: (0..4).map(block).collect::<Result<_>>()?,
            norm: Norm::new(&source.pp("OutputN"), d)?,
            last: Conv::square(&source.pp("Output"), [d, colours], Resampling::None, he(d, colours), true)?,
            side,
        })
    }

    /// Images of latents `[B, latent]`.
    pub fn forward(&self, z: &Tensor, weights: Weights, mut by: Statistics<'_>) -> Result<Tensor> {
        let x = linear(z, &weights.see(&self.weight), Some(&weights.see(&self.bias)))?;
        let (rows, units) = x.dims2()?;
        let mut x = x.reshape((rows, units / (self.side * self.side), self.side, self.side))?;
        for block in &self.blocks {
            let h = block.norms[0].forward(&x, weights, &mut by)?;
            let h = block.up.prepare(weights)?.forward(&h, Activation::Identity)?;
            let h = block.norms[1].forward(&h, weights, &mut by)?;
            let h = block.plain.prepare(weights)?.forward(&h, Activation::Identity)?;
            // A 1x1 convolution may as well come before the enlarging.
            let small = block.shortcut.prepare(weights)?.forward(&x, Activation::Identity)?;
            x = (h + upsample_by(&small, &[2, 2], Interpolation::Nearest)?)?;
        }
        let h = self.norm.forward(&x, weights, &mut by)?;
        self.last.prepare(weights)?.forward(&h, Activation::Tanh)
    }
}
