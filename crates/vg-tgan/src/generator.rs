//! The generators: one latent per frame, one image per latent; and the paper's 3-D baseline.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{BatchNorm, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, Linear, Mode, ParamSource};
use vg_core::ops::Activation;

use crate::config::{Config, FRAMES, GeneratorKind, WeightInit};
use crate::latent::interpolate;
use crate::layers::norm;

/// Whichever generator the configuration names.
pub enum Generator {
    /// The paper's two networks.
    Temporal(Box<TemporalGan>),
    /// The paper's baseline "3D model".
    Volume(Box<VolumeGenerator>),
}

impl Generator {
    /// Networks over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        Ok(match config.generator.kind {
            GeneratorKind::Temporal => Self::Temporal(Box::new(TemporalGan::new(source, config)?)),
            GeneratorKind::Volume => Self::Volume(Box::new(VolumeGenerator::new(source, config)?)),
        })
    }

    /// Clips `[B, C, frames, H, W]` in (-1, 1) from `latent` `[B, z0_dim + classes]`: z0, and the one-hot class behind it.
    ///
    /// # Errors
    /// The 3-D baseline makes 16 frames only; with others, [`vg_core::Error::Unsupported`].
    pub fn forward(&self, latent: &Tensor, frames: usize, mode: Mode) -> Result<Tensor> {
        match self {
            Self::Temporal(g) => g.forward(latent, frames, mode),
            Self::Volume(g) if frames == FRAMES => g.forward(latent, mode),
            Self::Volume(_) => {
                let problem = format!("the 3-D generator makes clips of {FRAMES} frames, not {frames}");
                Err(vg_core::Error::Unsupported(problem))
            }
        }
    }
}

/// G0 and G1 with the glue between them.
pub struct TemporalGan {
    /// G0.
    pub temporal: TemporalGenerator,
    /// G1.
    pub image: ImageGenerator,
}

impl TemporalGan {
    fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        Ok(Self {
            temporal: TemporalGenerator::new(&source.pp("temporal_generator"), config)?,
            image: ImageGenerator::new(&source.pp("image_generator"), config)?,
        })
    }

    fn forward(&self, z0: &Tensor, frames: usize, mode: Mode) -> Result<Tensor> {
        let z1 = interpolate(&self.temporal.forward(z0, mode)?, frames)?;
        let (batch, dim, _) = z1.dims3()?;
        let fast = z1.transpose(1, 2)?.reshape((batch * frames, dim))?;
        let slow = z0.unsqueeze(1)?.broadcast_as((batch, frames, z0.dim(1)?))?;
        let slow = slow.reshape((batch * frames, z0.dim(1)?))?;
        let images = self.image.forward(&slow, &fast, mode)?;
        let (_, channels, height, width) = images.dims4()?;
        Ok(images.reshape((batch, frames, channels, height, width))?.transpose(1, 2)?.contiguous()?)
    }
}

/// G0: z0 `[B, z0_dim + classes]` -> z1 `[B, z1_dim, 16]` in (-1, 1).
///
/// Source: paper, table 1; official `FrameSeedGenerator*`. Four stride-2 deconvolutions double the length from 1 to 16.
pub struct TemporalGenerator {
    layers: Vec<(ConvTranspose1d, BatchNorm)>,
    last: ConvTranspose1d,
}

impl TemporalGenerator {
    fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let w = config.init;
        let mut width = config.generator.z0_dim + config.classes;
        let mut layers = Vec::with_capacity(4);
        for (k, &out) in config.generator.temporal_channels.iter().enumerate() {
            let place = source.pp(format!("dc{k}"));
            let deconv =
                if k == 0 { w.point_deconv(&place, width, out)? } else { w.deconv1d(&place, width, out)? };
            layers.push((deconv, norm(&source.pp(format!("bn{k}")), out, config.use_beta, config)?));
            width = out;
        }
        let last = w.deconv1d(&source.pp("dc4"), width, config.generator.z1_dim)?;
        Ok(Self { layers, last })
    }

    /// See [`TemporalGenerator`].
    pub fn forward(&self, z0: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut h = z0.unsqueeze(2)?;
        for (deconv, norm) in &self.layers {
            h = norm.forward_with(&deconv.forward(&h, mode)?, Activation::Relu, mode)?;
        }
        self.last.forward_with(&h, Activation::Tanh, mode)
    }
}

/// G1: z0 `[N, z0_dim + classes]`, z1 `[N, z1_dim]` -> frames `[N, C, H, W]` in (-1, 1).
///
/// Source: paper, table 1; official `VideoGenerator*`. Batch norm statistics run over all frames of all clips.
pub struct ImageGenerator {
    slow: Option<(Linear, BatchNorm)>,
    fast: (Linear, BatchNorm),
    layers: Vec<(ConvTranspose2d, BatchNorm)>,
    last: ConvTranspose2d,
    bottom_width: usize,
}

impl ImageGenerator {
    fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let w = WeightInit::Uniform;
        let (g, bottom_width) = (&config.generator, config.clip.bottom_width);
        let (n, area) = (g.image_channels, bottom_width * bottom_width);
        let fast_units = if g.z0_to_frames { n / 2 } else { n } * area;
        let project = |linear: &str, bn: &str, inputs: usize, units: usize| -> Result<_> {
            let linear = w.linear(&source.pp(linear), inputs, units)?;
            Ok((linear, norm(&source.pp(bn), units, true, config)?))
        };
        let slow = match g.z0_to_frames {
            true => Some(project("l0s", "bn0s", g.z0_dim + config.classes, n / 2 * area)?),
            false => None,
        };
        let fast = project("l0f", "bn0f", g.z1_dim, fast_units)?;
        let mut layers = Vec::with_capacity(4);
        for k in 1..=4 {
            let deconv = w.deconv2d(&source.pp(format!("dc{k}")), n >> (k - 1), n >> k)?;
            layers.push((deconv, norm(&source.pp(format!("bn{k}")), n >> k, true, config)?));
        }
        let last = w.image_deconv(&source.pp("dc5"), n >> 4, config.clip.channels)?;
        Ok(Self { slow, fast, layers, last, bottom_width })
    }

    /// See [`ImageGenerator`].
    pub fn forward(&self, z0: &Tensor, z1: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut h = self.project(&self.fast, z1, mode)?;
        if let Some(slow) = &self.slow {
            h = Tensor::cat(&[self.project(slow, z0, mode)?, h], 1)?;
        }
        for (deconv, norm) in &self.layers {
            h = norm.forward_with(&deconv.forward(&h, mode)?, Activation::Relu, mode)?;
        }
        self.last.forward_with(&h, Activation::Tanh, mode)
    }

    fn project(&self, (linear, norm): &(Linear, BatchNorm), z: &Tensor, mode: Mode) -> Result<Tensor> {
        let h = norm.forward_with(&linear.forward(z, mode)?, Activation::Relu, mode)?;
        let (rows, units) = h.dims2()?;
        let side = self.bottom_width;
        Ok(h.reshape((rows, units / (side * side), side, side))?)
    }
}

/// The paper's baseline "3D model": z0 -> linear -> `[B, n, 1, s, s]` -> four 3-D deconvolutions (4/2/1) -> `[B, C, 16, 16 s, 16 s]`.
///
/// Source: paper, section 5 ("one linear and four 3-D deconvolution layers"); widths, norms and activations are this project's choice, after G1.
pub struct VolumeGenerator {
    first: (Linear, BatchNorm),
    layers: Vec<(ConvTranspose3d, BatchNorm)>,
    last: ConvTranspose3d,
    bottom_width: usize,
}

impl VolumeGenerator {
    fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let source = source.pp("volume_generator");
        let w = WeightInit::Uniform;
        let (n, side) = (config.generator.image_channels, config.clip.bottom_width);
        let units = n * side * side;
        let linear = w.linear(&source.pp("l0"), config.generator.z0_dim + config.classes, units)?;
        let first = (linear, norm(&source.pp("bn0"), units, true, config)?);
        let mut layers = Vec::with_capacity(3);
        for k in 1..=3 {
            let deconv = w.deconv3d(&source.pp(format!("dc{k}")), n >> (k - 1), n >> k, false)?;
            layers.push((deconv, norm(&source.pp(format!("bn{k}")), n >> k, true, config)?));
        }
        let last = w.deconv3d(&source.pp("dc4"), n >> 3, config.clip.channels, true)?;
        Ok(Self { first, layers, last, bottom_width: side })
    }

    fn forward(&self, z0: &Tensor, mode: Mode) -> Result<Tensor> {
        let (linear, norm) = &self.first;
        let h = norm.forward_with(&linear.forward(z0, mode)?, Activation::Relu, mode)?;
        let (rows, units) = h.dims2()?;
        let side = self.bottom_width;
        let mut h = h.reshape((rows, units / (side * side), 1, side, side))?;
        for (deconv, norm) in &self.layers {
            h = norm.forward_with(&deconv.forward(&h, mode)?, Activation::Relu, mode)?;
        }
        self.last.forward_with(&h, Activation::Tanh, mode)
    }
}
