//! The encoder: a linear layer and primal blocks.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Init, ParamSource, Weights};
use vg_core::ops::linear::linear;
use vg_core::ops::upsample::{Interpolation, upsample};

use super::SHRINK;
use super::transport::transport;
use crate::config::Config;

/// E: images `[B, C, S, S]`, of which every eighth pixel is seen, to codes `[B, code]` that are distributed like given ones.
pub struct Encoder {
    weight: Tensor,
    bias: Tensor,
    /// Orthogonal matrices, one a primal block.
    blocks: Vec<Tensor>,
    side: usize,
    bins: usize,
    shifted: bool,
}

impl Encoder {
    /// The network over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (source, a) = (source.pp("encoder"), &config.autoencoder);
        let side = config.clip.side / SHRINK;
        let inputs = config.clip.channels * side * side;
        let bound = (6.0 / (inputs + a.code) as f64).sqrt();
        let place = source.pp("Linear");
        let block = |k: usize| source.pp(k).var("proj", &[a.code, a.code], Init::Orthogonal { gain: 1.0 });
        Ok(Self {
            weight: place.var("weight", &[a.code, inputs], Init::Uniform { bound })?,
            bias: place.var("bias", &[a.code], Init::Zeros)?,
            blocks: (0..a.blocks).map(block).collect::<Result<_>>()?,
            side,
            bins: a.bins,
            shifted: a.shifted,
        })
    }

    /// Codes before the primal blocks, `[B, code]`.
    pub fn linear(&self, images: &Tensor, weights: Weights) -> Result<Tensor> {
        let small = upsample(images, &[self.side, self.side], Interpolation::Nearest)?;
        linear(&small.flatten_from(1)?, &weights.see(&self.weight), Some(&weights.see(&self.bias)))
    }

    /// Codes behind each primal block, which moves them along the columns of its matrix onto the distribution of `prior` `[M, code]`.
    pub fn blocks(&self, code: &Tensor, prior: &Tensor, weights: Weights) -> Result<Vec<Tensor>> {
        let mut codes = Vec::with_capacity(self.blocks.len());
        let mut code = code.clone();
        for matrix in &self.blocks {
            let matrix = weights.see(matrix);
            // Rows of P^T x^T are the coordinates along the columns of P.
            let columns = matrix.t()?.contiguous()?;
            let (x, t) = (linear(&columns, &code, None)?, linear(&columns, prior, None)?);
            let moved = transport(&x, &t, self.bins, self.shifted)?.t()?.contiguous()?;
            code = linear(&moved, &matrix, None)?;
            codes.push(code.clone());
        }
        Ok(codes)
    }

    /// Codes of images, distributed like `prior`.
    pub fn forward(&self, images: &Tensor, prior: &Tensor, weights: Weights) -> Result<Tensor> {
        let code = self.linear(images, weights)?;
        Ok(self.blocks(&code, prior, weights)?.pop().unwrap_or(code))
    }
}
