//! The generator: motion network and image generator.

use candle_core::Tensor;
use vg_core::nn::{BatchNorm, ConvConfig, ConvTranspose2d, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::{Result, expect_dims};

use crate::config::{Config, Task};
use crate::motion::MotionNetwork;

/// What a video starts from.
#[derive(Clone, Debug)]
pub struct Start {
    /// z_C: `[B, content]`.
    pub content: Tensor,
    /// h^(0), the state of the motion network before its first step: `[B, motion]`.
    pub state: Tensor,
}

/// R_M and G_I.
pub struct Generator {
    /// R_M.
    pub motion: MotionNetwork,
    /// G_I.
    pub image: ImageGenerator,
    class_to_image: bool,
    starts_with_state: bool,
}

impl Generator {
    /// Networks over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let source = source.pp("generator");
        Ok(Self {
            motion: MotionNetwork::new(&source, config)?,
            image: ImageGenerator::new(&source, config)?,
            class_to_image: config.class_to_image(),
            starts_with_state: config.task == Task::ImageToVideo,
        })
    }

    /// Latents of the frames, `[B, K, z]`: content, class if it goes here, motion.
    ///
    /// `noise` is `[B, K, motion]`, `categories` the one-hot class of every frame, `[B, K, classes]`. In the image-to-video model the
    /// first frame is decoded from the given state itself, and the noise of the last frame is not used.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when the sizes do not fit.
    pub fn codes(
        &self,
        start: &Start,
        noise: &Tensor,
        categories: Option<&Tensor>,
        mode: Mode,
    ) -> Result<Tensor> {
        let motion = self.path(start, noise, categories, mode)?;
        self.latents(&start.content, categories, &motion)
    }

    /// The motion part of [`codes`](Self::codes), `[B, K, motion]`.
    ///
    /// # Errors
    /// As [`codes`](Self::codes).
    pub fn path(
        &self,
        start: &Start,
        noise: &Tensor,
        categories: Option<&Tensor>,
        mode: Mode,
    ) -> Result<Tensor> {
        if self.starts_with_state {
            self.path_from(start, noise, categories, mode)
        } else {
            self.motion.forward(&start.state, noise, categories, mode)
        }
    }

    /// Puts the parts of [`codes`](Self::codes) together: content `[B, content]`, one-hot classes and motion codes of every frame.
    ///
    /// # Errors
    /// Those of the concatenation when the sizes do not fit.
    pub fn latents(&self, content: &Tensor, categories: Option<&Tensor>, motion: &Tensor) -> Result<Tensor> {
        let (batch, width) = content.dims2()?;
        let content = content.unsqueeze(1)?.broadcast_as((batch, motion.dim(1)?, width))?;
        Ok(match categories.filter(|_| self.class_to_image) {
            Some(classes) => Tensor::cat(&[&content, classes, motion], 2)?,
            None => Tensor::cat(&[&content, motion], 2)?,
        })
    }

    /// Motion codes that begin with the given state.
    fn path_from(
        &self,
        start: &Start,
        noise: &Tensor,
        categories: Option<&Tensor>,
        mode: Mode,
    ) -> Result<Tensor> {
        let first = start.state.unsqueeze(1)?;
        let later = noise.dim(1)?.saturating_sub(1);
        if later == 0 {
            return Ok(first);
        }
        let noise = noise.narrow(1, 0, later)?;
        let categories = categories.map(|c| c.narrow(1, 1, later)).transpose()?;
        let motion = self.motion.forward(&start.state, &noise, categories.as_ref(), mode)?;
        Ok(Tensor::cat(&[first, motion], 1)?)
    }

    /// Clips `[B, C, T, H, W]` in (-1, 1) of latents `[B, T, z]`.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when the latents have another size.
    pub fn decode(&self, codes: &Tensor, mode: Mode) -> Result<Tensor> {
        let (batch, frames, width) = codes.dims3()?;
        let images = self.image.forward(&codes.reshape((batch * frames, width))?, mode)?;
        let (_, channels, height, width) = images.dims4()?;
        Ok(images.reshape((batch, frames, channels, height, width))?.transpose(1, 2)?.contiguous()?)
    }
}

/// G_I: latents `[N, z]` -> frames `[N, C, H, W]` in (-1, 1).
///
/// Source: official `VideoGenerator.main`. Batch norm statistics run over all frames of all clips.
pub struct ImageGenerator {
    layers: Vec<(ConvTranspose2d, BatchNorm)>,
    last: ConvTranspose2d,
    activation: Activation,
    latent: usize,
}

impl ImageGenerator {
    fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let (init, n, latent) = (config.init, config.generator.width, config.frame_latent());
        let source = source.pp("main");
        let doubling = ConvConfig::new(4).stride(2).padding(1);
        let mut layers = Vec::with_capacity(4);
        let mut width = latent;
        for k in 0..4 {
            let outputs = (8 * n) >> k;
            let shape = if k == 0 { ConvConfig::new(config.base()) } else { doubling };
            // Positions in the official Sequential: convolution, batch norm, ReLU.
            let deconv = init.deconv(&source.pp(3 * k), width, outputs, shape)?;
            layers.push((deconv, init.norm(&source.pp(3 * k + 1), outputs)?));
            width = outputs;
        }
        let last = init.deconv(&source.pp(12), width, config.clip.channels, doubling)?;
        let slope = config.generator.slope;
        let activation = if slope == 0.0 { Activation::Relu } else { Activation::LeakyRelu(slope) };
        Ok(Self { layers, last, activation, latent })
    }

    /// See [`ImageGenerator`].
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when the latents have another size.
    pub fn forward(&self, latents: &Tensor, mode: Mode) -> Result<Tensor> {
        expect_dims!("latents", latents.dims(), [N, (self.latent)])?;
        let mut h = latents.unsqueeze(2)?.unsqueeze(3)?;
        for (deconv, norm) in &self.layers {
            h = norm.forward_with(&deconv.forward(&h, mode)?, self.activation, mode)?;
        }
        self.last.forward_with(&h, Activation::Tanh, mode)
    }
}
