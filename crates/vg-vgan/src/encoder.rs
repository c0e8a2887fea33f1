//! The encoder of the conditional variant.

use candle_core::Tensor;
use vg_core::nn::{BatchNorm, Conv2d, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::{Result, expect_dims};

use crate::config::{CHANNELS, Conditioning, Config};
use crate::layers::{DISCRIMINATOR_EPS, Initial};

/// Picture `[B, 3, H, W]` -> map `[B, 8 c, H / 16, W / 16]`, or a code `[B, z_dim, 1, 1]` of it.
///
/// Source: official `main_conditional.lua`; for the code, the paper's section 3.4 ("a five layer convolutional network").
/// The first layer has no batch norm.
#[derive(Clone, Debug)]
pub struct Encoder {
    convs: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    last: Option<Conv2d>,
    side: usize,
}

impl Encoder {
    /// An encoder over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (w, n) = (Initial::Narrow, config.generator.channels);
        let mut convs = Vec::with_capacity(4);
        let mut norms = Vec::with_capacity(3);
        let mut width = CHANNELS;
        for k in 0..4 {
            convs.push(w.halve(&source.pp(format!("conv{}", k + 1)), width, n << k)?);
            width = n << k;
            if k > 0 {
                norms.push(w.norm(&source.pp(format!("bn{}", k + 1)), width, DISCRIMINATOR_EPS)?);
            }
        }
        let [_, h, w_] = config.base();
        let last = match config.generator.conditioning {
            Conditioning::Map => None,
            Conditioning::Code => {
                Some(w.gather(&source.pp("conv5"), width, config.generator.z_dim, [h, w_])?)
            }
        };
        Ok(Self { convs, norms, last, side: config.clip.size })
    }

    /// See [`Encoder`].
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when the pictures are not of the configured size.
    pub fn forward(&self, pictures: &Tensor, mode: Mode) -> Result<Tensor> {
        expect_dims!("first frame", pictures.dims(), [B, (CHANNELS), (self.side), (self.side)])?;
        let mut h = self.convs[0].forward_with(pictures, Activation::Relu, mode)?;
        for (conv, norm) in self.convs[1..].iter().zip(&self.norms) {
            h = norm.forward_with(&conv.forward(&h, mode)?, Activation::Relu, mode)?;
        }
        match &self.last {
            Some(last) => last.forward(&h, mode),
            None => Ok(h),
        }
    }
}
