//! The decoder of frames.

use candle_core::Tensor;
use vg_core::nn::{ConvConfig, ConvTranspose2d, Linear, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::{Result, expect_dims};

use crate::config::Config;
use crate::layers::{UpBlock, linear};

/// phi_dec: latents `[N, latent]`, with `decoder_sees_h` followed by the map of h `[N, hidden]` -> frames `[N, C, S, S]`.
///
/// Source: specification, section 2.2. `output_padding` is what the encoder's layer leaves over.
#[derive(Clone, Debug)]
pub struct Decoder {
    fc1: Linear,
    fc2: Linear,
    blocks: Vec<UpBlock>,
    last: ConvTranspose2d,
    activation: Activation,
    start: [usize; 3],
    inputs: usize,
}

impl Decoder {
    /// A network over the parameters of `source`, named `dec.`.
    ///
    /// # Errors
    /// [`vg_core::Error::Unsupported`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (source, n, sizes) = (source.pp("dec"), &config.networks, config.sizes());
        let inputs = n.latent + if n.decoder_sees_h { n.hidden } else { 0 };
        let conv = |k: usize| ConvConfig {
            output_padding: [(sizes[k] - n.kernels[k]) % n.strides[k]; 2],
            ..ConvConfig::new(n.kernels[k]).stride(n.strides[k])
        };
        let block = |k: usize| {
            UpBlock::new(&source.pp(format!("convt{}", 6 - k)), [n.channels[k], n.channels[k - 1]], conv(k))
        };
        Ok(Self {
            fc1: linear(&source.pp("fc1"), [inputs, n.linear], n.small_linear_init)?,
            fc2: linear(&source.pp("fc2"), [n.linear, config.flat()], n.small_linear_init)?,
            blocks: [3, 2, 1].into_iter().map(block).collect::<Result<_>>()?,
            last: ConvTranspose2d::new(
                n.channels[0],
                config.clip.channels,
                conv(0).no_bias(),
                &source.pp("convt6"),
            )?,
            activation: if n.linear_output { Activation::Identity } else { Activation::Tanh },
            start: [n.channels[3], sizes[4], sizes[4]],
            inputs,
        })
    }

    /// See [`Decoder`].
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for an input of another size.
    pub fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        self.frames(&self.maps(input, mode)?, mode)
    }

    /// The first feature maps `[N, C', S', S']`; rows do not see each other.
    ///
    /// # Errors
    /// As [`Decoder::forward`].
    pub fn maps(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        let inputs = self.inputs;
        expect_dims!("decoder input", input.dims(), [N, (inputs)])?;
        let hidden = Activation::Relu.apply(&self.fc1.forward(input, mode)?)?;
        let [channels, height, width] = self.start;
        Ok(self.fc2.forward(&hidden, mode)?.reshape((input.dim(0)?, channels, height, width))?)
    }

    /// Frames of first feature maps. With batch statistics these are of the frames given together.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for maps of another size.
    pub fn frames(&self, maps: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = maps.clone();
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        self.last.forward_with(&x, self.activation, mode)
    }
}
