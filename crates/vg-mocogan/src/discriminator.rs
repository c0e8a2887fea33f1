//! The discriminators of images and of clips.

use candle_core::Tensor;
use vg_core::nn::{BatchNorm, Conv, Mode, ParamSource};
use vg_core::{Error, Result};

use crate::config::{Config, ImageKind, VideoKind};
use crate::layers::{LEAKY, halving, whole};
use crate::noise::Noise;

/// What a discriminator says.
pub struct Logits {
    /// Real or generated: `[B]`, or one a patch, `[B, h, w]` or `[B, t, h, w]`.
    pub real: Tensor,
    /// Classes `[B, classes]`, from the categorical video discriminator alone.
    pub classes: Option<Tensor>,
}

/// D_I on images `[B, C, H, W]` (`D` = 2) or D_V on clips `[B, C, T, H, W]` (`D` = 3).
///
/// Source: official `ImageDiscriminator`, `VideoDiscriminator`, their patch variants and `CategoricalVideoDiscriminator`. The first
/// layer has no batch norm. In training, noise is added to the inputs of the layers.
pub struct Discriminator<const D: usize> {
    layers: Vec<(Conv<D>, Option<BatchNorm>)>,
    last: Conv<D>,
    noisy_last: bool,
    noise: f64,
    head: Head,
    what: &'static str,
    dims: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Head {
    Patch,
    Full { classes: usize },
}

/// D_I.
pub type ImageDiscriminator = Discriminator<2>;
/// D_V.
pub type VideoDiscriminator = Discriminator<3>;

impl ImageDiscriminator {
    /// A network over the parameters of `source`.
    ///
    /// # Errors
    /// [`Error::Config`] in the model without it.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let head = match config.discriminator.image {
            ImageKind::Patch => Head::Patch,
            ImageKind::Full => Head::Full { classes: 0 },
            ImageKind::None => return Err(Error::config("discriminator.image", "is \"none\"")),
        };
        Self::build(&source.pp("image_discriminator"), config, head)
    }

    /// The network, where the model has one.
    pub(crate) fn of(source: &ParamSource, config: &Config) -> Result<Option<Self>> {
        config.judges_images().then(|| Self::new(source, config)).transpose()
    }
}

impl VideoDiscriminator {
    /// A network over the parameters of `source`.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let head = match config.discriminator.video {
            VideoKind::Patch => Head::Patch,
            VideoKind::Full => Head::Full { classes: 0 },
            VideoKind::Categorical => Head::Full { classes: config.categories.count },
        };
        Self::build(&source.pp("video_discriminator"), config, head)
    }
}

impl<const D: usize> Discriminator<D> {
    fn build(source: &ParamSource, config: &Config, head: Head) -> Result<Self> {
        let source = source.pp("main");
        let (init, n) = (config.init, config.discriminator.width);
        let levels = if head == Head::Patch { 3 } else { 4 };
        let mut layers = Vec::with_capacity(levels);
        let mut width = config.clip.channels;
        // Positions in the official Sequential; a place for noise, a convolution, batch norm but in the first level, a leaky ReLU.
        let mut place = 1;
        for k in 0..levels {
            let conv = init.conv(&source.pp(place), width, n << k, halving())?;
            let norm = if k > 0 { Some(init.norm(&source.pp(place + 1), n << k)?) } else { None };
            place += if k > 0 { 4 } else { 3 };
            layers.push((conv, norm));
            width = n << k;
        }
        let video = D == 3;
        // The noise of the last layer is the patch image discriminator's alone.
        let noisy_last = head == Head::Patch && !video;
        let last = source.pp(if noisy_last { place } else { place - 1 });
        let last = match head {
            Head::Patch => init.conv(&last, width, 1, halving())?,
            Head::Full { classes } => init.conv(&last, width, 1 + classes, whole(config.base()))?,
        };
        let (side, frames) = (config.clip.side, config.clip.frames);
        let mut dims = vec![config.clip.channels, side, side];
        if video {
            dims.insert(1, frames);
        }
        let what = if video { "clips" } else { "images" };
        Ok(Self { layers, last, noisy_last, noise: config.discriminator.noise, head, what, dims })
    }

    /// See [`Discriminator`].
    ///
    /// # Errors
    /// [`Error::Shape`] when images or clips are not of the configured size.
    pub fn forward(&self, x: &Tensor, noise: &Noise, mode: Mode) -> Result<Logits> {
        if x.dims().get(1..) != Some(&self.dims) {
            return Err(Error::shape(self.what, format!("[B, {}]", list(&self.dims)), x.dims()));
        }
        let mut h = x.clone();
        for (k, (conv, norm)) in self.layers.iter().enumerate() {
            h = noise.add(&h, k, self.noise)?;
            h = match norm {
                None => conv.forward_with(&h, LEAKY, mode)?,
                Some(norm) => norm.forward_with(&conv.forward(&h, mode)?, LEAKY, mode)?,
            };
        }
        if self.noisy_last {
            h = noise.add(&h, self.layers.len(), self.noise)?;
        }
        let out = self.last.forward(&h, mode)?;
        Ok(match self.head {
            Head::Patch => Logits { real: out.squeeze(1)?, classes: None },
            Head::Full { classes: 0 } => Logits { real: out.flatten_all()?, classes: None },
            Head::Full { classes } => {
                let out = out.flatten_from(1)?;
                let class_logits = Some(out.narrow(1, 1, classes)?);
                Logits { real: out.narrow(1, 0, 1)?.squeeze(1)?, classes: class_logits }
            }
        })
    }

    /// Shapes of the inputs of the layers that take noise, for a batch of `n`, in order.
    pub fn noise_shapes(&self, n: usize) -> Vec<Vec<usize>> {
        let mut shape = [&[n], &self.dims[..]].concat();
        let mut shapes = Vec::new();
        for (conv, _) in &self.layers {
            shapes.push(shape.clone());
            shape[1] = conv.weight().dims()[0];
            let axes = shape.len();
            shape[axes - 2..].iter_mut().for_each(|side| *side /= 2);
            if axes == 5 {
                shape[2] -= 3;
            }
        }
        if self.noisy_last {
            shapes.push(shape);
        }
        shapes
    }
}

fn list(dims: &[usize]) -> String {
    dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
