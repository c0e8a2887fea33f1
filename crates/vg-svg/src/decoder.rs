//! The decoder of frames.

use candle_core::Tensor;
use vg_core::nn::{ConvTranspose2d, Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::ops::upsample::{Interpolation, upsample_by};
use vg_core::{Error, Result, expect_dims};

use crate::config::{BackboneKind, Config};
use crate::layers::{Block, HALVING, Layers, SAME, chain};

/// Dec: a vector and the feature maps of some frame -> frames `[B, C, H, W]` in (0, 1).
///
/// Source: official code, `models/dcgan_64.py`, `dcgan_128.py`, `vgg_64.py`, `vgg_128.py`; other sizes go on in the same way.
#[derive(Clone, Debug)]
pub struct Decoder {
    first: Block,
    /// Coarsest first; the blocks of the finest stand before the last layer.
    levels: Vec<Vec<Block>>,
    last: ConvTranspose2d,
    upsampled: bool,
    features: usize,
}

impl Decoder {
    /// A network over the parameters of `source`.
    ///
    /// # Errors
    /// [`vg_core::Error::Unsupported`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let source = source.pp("decoder");
        let layers = Layers(&config.backbone);
        let (widths, features) = (config.widths(), config.backbone.features);
        let coarsest = widths[widths.len() - 1];
        let first = layers.vector_to_map(&source.pp("upc1"), [features, coarsest])?;
        let mut levels = Vec::with_capacity(widths.len());
        for (n, level) in (1..widths.len()).rev().enumerate() {
            let source = source.pp(format!("upc{}", n + 2));
            let channels = [2 * widths[level], widths[level], widths[level - 1]];
            levels.push(level_blocks(layers, &source, config.backbone.kind, level, channels)?);
        }
        let (source, width) = (source.pp(format!("upc{}", widths.len() + 1)), widths[0]);
        let channels = config.clip.channels;
        let last = match config.backbone.kind {
            BackboneKind::Dcgan => {
                levels.push(Vec::new());
                layers.deconv(&source.pp(0), [2 * width, channels], HALVING)?
            }
            BackboneKind::Vgg => {
                levels.push(vec![layers.same(&source.pp(0).pp("main"), [2 * width, width])?]);
                layers.deconv(&source.pp(1), [width, channels], SAME)?
            }
        };
        let upsampled = config.backbone.kind == BackboneKind::Vgg;
        Ok(Self { first, levels, last, upsampled, features })
    }

    /// See [`Decoder`]; `vector` is `[B, features]`, `skips` are those of [`Encoded`](crate::Encoded), finest first.
    ///
    /// # Errors
    /// [`Error::Shape`] for a vector of another size, [`Error::Unsupported`] for another number of feature maps.
    pub fn forward(&self, vector: &Tensor, skips: &[Tensor], mode: Mode) -> Result<Tensor> {
        let features = self.features;
        expect_dims!("vector of a frame", vector.dims(), [B, (features)])?;
        if skips.len() != self.levels.len() {
            let (expected, found) = (self.levels.len(), skips.len());
            let problem = format!("the decoder needs {expected} feature maps, and there are {found}");
            return Err(Error::Unsupported(problem));
        }
        let mut x = self.first.forward(&vector.unsqueeze(2)?.unsqueeze(3)?, mode)?;
        for (blocks, skip) in self.levels.iter().zip(skips.iter().rev()) {
            if self.upsampled {
                x = upsample_by(&x, &[2, 2], Interpolation::Nearest)?;
            }
            x = chain(blocks, &Tensor::cat(&[&x, skip], 1)?, mode)?;
        }
        self.last.forward_with(&x, Activation::Sigmoid, mode)
    }
}

/// Blocks from a level's own and given channels, together `channels[0]`, to those of the next finer level, `channels[2]`.
fn level_blocks(
    layers: Layers<'_>,
    source: &ParamSource,
    kind: BackboneKind,
    level: usize,
    [both, own, finer]: [usize; 3],
) -> Result<Vec<Block>> {
    if kind == BackboneKind::Dcgan {
        return Ok(vec![layers.doubling(&source.pp("main"), [both, finer])?]);
    }
    // The two coarser levels of four, and all coarser ones, have three layers.
    let channels =
        if level < 2 { vec![[both, own], [own, finer]] } else { vec![[both, own], [own, own], [own, finer]] };
    let block = |(k, channels): (usize, [usize; 2])| layers.same(&source.pp(k).pp("main"), channels);
    channels.into_iter().enumerate().map(block).collect()
}
