//! The decoder of frames.

use candle_core::Tensor;
use vg_core::grad::recompute;
use vg_core::nn::{Mode, ParamSource};
use vg_core::ops::Activation;
use vg_core::ops::rows::add_rows;
use vg_core::ops::upsample::{Interpolation, upsample_by};
use vg_core::{Error, Result, expect_dims};

use crate::config::{BackboneKind, Config};
use crate::layers::{Block, HALVING, Kernel, Layers, SAME, chain};

/// The share of given feature maps in the first layer of every level, coarsest first.
///
/// These layers are linear, so what many frames take from the same feature maps is computed once.
#[derive(Clone, Debug)]
pub struct Given(Vec<Tensor>);

/// Dec: a vector and the feature maps of some frame -> frames `[B, C, H, W]` in (0, 1).
///
/// Source: official code, `models/dcgan_64.py`, `dcgan_128.py`, `vgg_64.py`, `vgg_128.py`; other sizes go on in the same way.
#[derive(Clone, Debug)]
pub struct Decoder {
    first: Block,
    /// Coarsest first; the blocks of the finest stand before the last layer.
    levels: Vec<Vec<Block>>,
    last: Kernel,
    upsampled: bool,
    recompute: bool,
    features: usize,
    /// Channels of the feature maps, finest first.
    widths: Vec<usize>,
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
        let (last, recompute) = (Kernel::Transposed(last), config.train.recompute);
        Ok(Self { first, levels, last, upsampled, recompute, features, widths })
    }

    /// What feature maps add to the frames that are decoded beside them; `skips` are those of [`Encoded`](crate::Encoded), finest first.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another number of feature maps, [`Error::Shape`] for other channels.
    pub fn given(&self, skips: &[Tensor], mode: Mode) -> Result<Given> {
        if skips.len() != self.levels.len() {
            let (expected, found) = (self.levels.len(), skips.len());
            let problem = format!("the decoder needs {expected} feature maps, and there are {found}");
            return Err(Error::Unsupported(problem));
        }
        for (skip, width) in skips.iter().zip(&self.widths) {
            expect_dims!("feature maps beside a frame", skip.dims(), [B, (*width), H, W])?;
        }
        let share = |(blocks, skip): (&Vec<Block>, &Tensor)| self.joint(blocks).skip(skip, mode);
        Ok(Given(self.levels.iter().zip(skips.iter().rev()).map(share).collect::<Result<_>>()?))
    }

    /// The layer that sees a level's feature map.
    fn joint<'a>(&'a self, blocks: &'a [Block]) -> &'a Kernel {
        blocks.first().map_or(&self.last, Block::kernel)
    }

    /// See [`Decoder`]; `vector` is `[B, features]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for a vector or feature maps of another size.
    pub fn forward(&self, vector: &Tensor, given: &Given, mode: Mode) -> Result<Tensor> {
        let of: Vec<usize> = (0..vector.dims().first().copied().unwrap_or(0)).collect();
        self.forward_steps(vector, given, &of, 1, mode)
    }

    /// `steps` time steps at once, `[B * steps, features]`: those of the first clip, then those of the next. Row n is decoded beside row
    /// `of[n]` of the feature maps.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and when the vectors are no multiple of `steps`.
    pub fn forward_steps(
        &self,
        vector: &Tensor,
        given: &Given,
        of: &[usize],
        steps: usize,
        mode: Mode,
    ) -> Result<Tensor> {
        let features = self.features;
        expect_dims!("vector of a frame", vector.dims(), [B, (features)])?;
        let mut x = self.first.forward(&vector.unsqueeze(2)?.unsqueeze(3)?, steps, mode)?;
        for (blocks, share) in self.levels.iter().zip(&given.0) {
            let level = Level {
                joint: self.joint(blocks).clone(),
                blocks: blocks.clone(),
                upsampled: self.upsampled,
                of: of.to_vec(),
                steps,
            };
            let run = move |[x, share]: [&Tensor; 2], mode: Mode| Ok([level.forward(x, share, mode)?]);
            let inputs = [&x, share];
            [x] = if self.recompute { recompute(inputs, mode, run)? } else { run(inputs, mode)? };
        }
        // The last layer is the last level's, where that has no blocks.
        if self.levels.last().is_some_and(Vec::is_empty) {
            return Activation::Sigmoid.apply(&x);
        }
        self.last.forward(&x, Activation::Sigmoid, mode)
    }
}

/// One level of a pass.
struct Level {
    /// The layer that sees the given feature map: that of the first block, or the last of all.
    joint: Kernel,
    blocks: Vec<Block>,
    upsampled: bool,
    /// Row of `share` for each row of `x`.
    of: Vec<usize>,
    steps: usize,
}

impl Level {
    fn forward(&self, x: &Tensor, share: &Tensor, mode: Mode) -> Result<Tensor> {
        let upsampled =
            self.upsampled.then(|| upsample_by(x, &[2, 2], Interpolation::Nearest)).transpose()?;
        let y = self.joint.own(upsampled.as_ref().unwrap_or(x), mode)?;
        let y = add_rows(&y, share, &self.of)?;
        match self.blocks.split_first() {
            Some((first, rest)) => chain(rest, &first.finish(&y, self.steps, mode)?, self.steps, mode),
            None => Ok(y),
        }
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
