//! The critic's trunk of the image model.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Init, ParamSource, Weights};
use vg_core::ops::Activation;
use vg_core::ops::linear::linear;
use vg_core::ops::pool::{PoolParams, avg_pool};
use vg_core::ops::upsample::{Interpolation, upsample_by};

use super::norm::Norm;
use super::{WIDTHS, glorot, he};
use crate::config::Config;
use crate::features::Features;
use crate::kernel::Resampling;
use crate::layers::{Conv, Map};

/// D: images `[B, C, S, S]` to features `[B, features]`: a convolution, four residual blocks that halve the size, a linear layer.
pub struct ImageCritic {
    first: Conv,
    blocks: Vec<Block>,
    weight: Tensor,
    bias: Tensor,
}

struct Block {
    norms: [Norm; 2],
    plain: Conv,
    down: Conv,
    shortcut: Conv,
}

impl ImageCritic {
    /// The network over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let source = source.pp("trunk");
        let (d, colours, features) = (config.image.width, config.clip.channels, config.networks.features);
        let block = |k: usize| -> Result<Block> {
            let (place, a, b) = (source.pp(format!("Res{}", k + 1)), WIDTHS[k] * d, WIDTHS[k + 1] * d);
            Ok(Block {
                norms: [Norm::new(&place.pp("BN1"), a)?, Norm::new(&place.pp("BN2"), a)?],
                plain: Conv::square(&place.pp("Conv1"), [a, a], Resampling::None, he(a, a), false)?,
                down: Conv::square(
                    &place.pp("Conv2"),
                    [a, b],
                    Resampling::Down { time: false },
                    he(a, b),
                    true,
                )?,
                shortcut: Conv::pixel(&place.pp("Shortcut"), a, b, glorot(a, b, 1))?,
            })
        };
        let (output, inputs) = (source.pp("Output"), WIDTHS[4] * d * (config.clip.side / 16).pow(2));
        Ok(Self {
            first: Conv::square(
                &source.pp("Input"),
                [colours, d],
                Resampling::None,
                glorot(colours, d, 9),
                true,
            )?,
            blocks: (0..4).map(block).collect::<Result<_>>()?,
            weight: output.var("weight", &[features, inputs], glorot(inputs, features, 1))?,
            bias: output.var("bias", &[features], Init::Zeros)?,
        })
    }

    /// The network with weights for any number of passes.
    pub fn at(&self, weights: Weights) -> Result<ImageCriticAt> {
        let block = |b: &Block| -> Result<BlockAt> {
            Ok(BlockAt {
                norms: [b.norms[0].at(weights), b.norms[1].at(weights)],
                plain: b.plain.prepare(weights)?,
                down: b.down.prepare(weights)?,
                shortcut: b.shortcut.prepare(weights)?,
            })
        };
        Ok(ImageCriticAt {
            first: self.first.prepare(weights)?,
            blocks: self.blocks.iter().map(block).collect::<Result<_>>()?,
            weight: weights.see(&self.weight),
            bias: weights.see(&self.bias),
        })
    }
}

/// An [`ImageCritic`] in use.
pub struct ImageCriticAt {
    first: Map,
    blocks: Vec<BlockAt>,
    weight: Tensor,
    bias: Tensor,
}

struct BlockAt {
    norms: [Norm; 2],
    plain: Map,
    down: Map,
    shortcut: Map,
}

/// The activations of a pass: of each block its input, its middle and both behind their norms; the shape of the last map.
pub struct ImagePass {
    blocks: Vec<[Tensor; 4]>,
    last: Vec<usize>,
}

const HALVES: [usize; 2] = [2, 2];

impl Features for ImageCriticAt {
    type Pass = ImagePass;

    fn forward(&self, x: &Tensor) -> Result<(Tensor, ImagePass)> {
        let mut x = self.first.forward(x, Activation::Identity)?;
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let a = block.norms[0].forward(&x)?;
            let middle = block.plain.forward(&a, Activation::Identity)?;
            let b = block.norms[1].forward(&middle)?;
            let small = avg_pool(&x, &PoolParams::per_axis(HALVES))?;
            let sum = (block.down.forward(&b, Activation::Identity)?
                + block.shortcut.forward(&small, Activation::Identity)?)?;
            blocks.push([std::mem::replace(&mut x, sum), a, middle, b]);
        }
        let features = linear(&x.flatten_from(1)?, &self.weight, Some(&self.bias))?;
        Ok((features, ImagePass { blocks, last: x.dims().to_vec() }))
    }

    fn adjoint(&self, pass: &ImagePass, grad: &Tensor) -> Result<Tensor> {
        let mut g = linear(grad, &self.weight.t()?.contiguous()?, None)?.reshape(&pass.last[..])?;
        for (block, [x, a, middle, b]) in self.blocks.iter().zip(&pass.blocks).rev() {
            let h = block.norms[1].adjoint(middle, b, &block.down.adjoint(&g)?)?;
            let main = block.norms[0].adjoint(x, a, &block.plain.adjoint(&h)?)?;
            let small = (block.shortcut.adjoint(&g)? * 0.25)?;
            g = (main + upsample_by(&small, &HALVES, Interpolation::Nearest)?)?;
        }
        self.first.adjoint(&g)
    }
}
