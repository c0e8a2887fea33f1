//! The generator: a moving foreground over a still background, or the foreground alone.

use candle_core::Tensor;
use vg_core::nn::{BatchNorm, ConvTranspose2d, ConvTranspose3d, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::ops::blend::blend;
use vg_core::{Result, expect_dims};

use crate::config::{CHANNELS, Conditioning, Config, Variant};
use crate::encoder::Encoder;
use crate::layers::{GENERATOR_EPS, Initial};

/// Initial values of all layers here.
const W: Initial = Initial::Narrow;

/// What a generator makes.
#[derive(Clone, Debug)]
pub struct Streams {
    /// `[B, 3, T, H, W]` in [-1, 1].
    pub video: Tensor,
    /// What the clip was put together from; the one-stream generator has none.
    pub parts: Option<Parts>,
}

impl Streams {
    /// The first `n` clips.
    pub(crate) fn first(&self, n: usize) -> Result<Self> {
        let parts = self.parts.as_ref().map(|p| {
            let [foreground, mask, background] =
                [&p.foreground, &p.mask, &p.background].map(|t| t.narrow(0, 0, n));
            Ok::<_, vg_core::Error>(Parts { foreground: foreground?, mask: mask?, background: background? })
        });
        Ok(Self { video: self.video.narrow(0, 0, n)?, parts: parts.transpose()? })
    }

    /// The same without the way to gradients, which would keep every layer's result.
    pub(crate) fn detach(self) -> Self {
        let parts = self.parts.map(|p| Parts {
            foreground: p.foreground.detach(),
            mask: p.mask.detach(),
            background: p.background.detach(),
        });
        Self { video: self.video.detach(), parts }
    }
}

/// The parts of a clip.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The moving pictures, `[B, 3, T, H, W]` in (-1, 1).
    pub foreground: Tensor,
    /// Where they are seen, `[B, 1, T, H, W]` in (0, 1).
    pub mask: Tensor,
    /// The still picture behind them, `[B, 3, H, W]` in (-1, 1).
    pub background: Tensor,
}

impl Parts {
    /// `mask * foreground + (1 - mask) * background`: `[B, 3, T, H, W]`.
    ///
    /// Source: paper, eq. 2. Backgrounds can be exchanged by composing the parts of different clips.
    pub fn compose(&self) -> Result<Tensor> {
        blend(&self.mask, &self.foreground, &self.background)
    }
}

/// z `[B, z_dim]`, or in the conditional variant a picture `[B, 3, H, W]`, to clips.
#[derive(Clone, Debug)]
pub struct Generator {
    encoder: Option<Encoder>,
    foreground: Foreground,
    background: Option<Background>,
    z_dim: usize,
}

impl Generator {
    /// Networks over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let conditional = config.variant == Variant::Conditional;
        let from_map = conditional && config.generator.conditioning == Conditioning::Map;
        let encoder = conditional.then(|| Encoder::new(&source.pp("encoder"), config)).transpose()?;
        let two = config.variant != Variant::OneStream;
        let foreground = Foreground::new(&source.pp("fg"), config, from_map, two)?;
        let background = two.then(|| Background::new(&source.pp("bg"), config, from_map)).transpose()?;
        Ok(Self { encoder, foreground, background, z_dim: config.generator.z_dim })
    }

    /// See [`Generator`].
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when the input is not of the configured size.
    pub fn forward(&self, source: &Tensor, mode: Mode) -> Result<Streams> {
        let code = match &self.encoder {
            Some(encoder) => encoder.forward(source, mode)?,
            None => {
                expect_dims!("z", source.dims(), [B, (self.z_dim)])?;
                source.reshape((source.dim(0)?, self.z_dim, 1, 1))?
            }
        };
        let (foreground, mask) = self.foreground.forward(&code.unsqueeze(2)?, mode)?;
        match (&self.background, mask) {
            (Some(background), Some(mask)) => {
                let parts = Parts { foreground, mask, background: background.forward(&code, mode)? };
                Ok(Streams { video: parts.compose()?, parts: Some(parts) })
            }
            _ => Ok(Streams { video: foreground, parts: None }),
        }
    }
}

/// Moving pictures and their mask, which share all layers but the last.
///
/// Source: paper, section 3.1; official `main.lua`, `net_video`.
#[derive(Clone, Debug)]
struct Foreground {
    layers: Vec<(ConvTranspose3d, BatchNorm)>,
    head_video: ConvTranspose3d,
    head_mask: Option<ConvTranspose3d>,
}

impl Foreground {
    fn new(source: &ParamSource, config: &Config, from_map: bool, mask: bool) -> Result<Self> {
        let n = config.generator.channels;
        let [t, h, w] = config.base();
        let first = source.pp("conv1");
        let first = if from_map {
            W.spread(&first, 8 * n, 8 * n, [t, 1, 1])?
        } else {
            W.spread(&first, config.generator.z_dim, 8 * n, [t, h, w])?
        };
        let mut layers = vec![(first, W.norm(&source.pp("bn1"), 8 * n, GENERATOR_EPS)?)];
        for (k, width) in [(2, 4 * n), (3, 2 * n), (4, n)] {
            let conv = W.double(&source.pp(format!("conv{k}")), 2 * width, width)?;
            layers.push((conv, W.norm(&source.pp(format!("bn{k}")), width, GENERATOR_EPS)?));
        }
        let head_mask = mask.then(|| W.double(&source.pp("head_mask"), n, 1)).transpose()?;
        Ok(Self { layers, head_video: W.double(&source.pp("head_video"), n, CHANNELS)?, head_mask })
    }

    fn forward(&self, code: &Tensor, mode: Mode) -> Result<(Tensor, Option<Tensor>)> {
        let mut h = code.clone();
        for (conv, norm) in &self.layers {
            h = norm.forward_with(&conv.forward(&h, mode)?, Activation::Relu, mode)?;
        }
        let mask =
            self.head_mask.as_ref().map(|m| m.forward_with(&h, Activation::Sigmoid, mode)).transpose()?;
        Ok((self.head_video.forward_with(&h, Activation::Tanh, mode)?, mask))
    }
}

/// The still picture.
///
/// Source: paper, section 3.1; official `main.lua`, `net_static`.
#[derive(Clone, Debug)]
struct Background {
    layers: Vec<(ConvTranspose2d, BatchNorm)>,
    last: ConvTranspose2d,
}

impl Background {
    fn new(source: &ParamSource, config: &Config, from_map: bool) -> Result<Self> {
        let n = config.generator.channels;
        let [_, h, w] = config.base();
        let mut layers = Vec::with_capacity(4);
        // From a map, the first layer doubles it already.
        let mut width = if from_map { 8 * n } else { config.generator.z_dim };
        for k in 1..=if from_map { 3 } else { 4 } {
            let conv = source.pp(format!("conv{k}"));
            let (conv, out) = if k == 1 && !from_map {
                (W.spread(&conv, width, 8 * n, [h, w])?, 8 * n)
            } else {
                (W.double(&conv, width, width / 2)?, width / 2)
            };
            layers.push((conv, W.norm(&source.pp(format!("bn{k}")), out, GENERATOR_EPS)?));
            width = out;
        }
        let last = W.double(&source.pp(format!("conv{}", layers.len() + 1)), width, CHANNELS)?;
        Ok(Self { layers, last })
    }

    fn forward(&self, code: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut h = code.clone();
        for (conv, norm) in &self.layers {
            h = norm.forward_with(&conv.forward(&h, mode)?, Activation::Relu, mode)?;
        }
        self.last.forward_with(&h, Activation::Tanh, mode)
    }
}
