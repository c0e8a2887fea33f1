//! The encoder of frames.

use candle_core::Tensor;
use vg_core::grad::recompute;
use vg_core::nn::{Mode, ParamSource};
use vg_core::ops::pool::{PoolParams, max_pool};
use vg_core::{Result, expect_dims};

use crate::config::{BackboneKind, Config};
use crate::layers::{Block, Layers, chain};

/// A frame as the other networks see it.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// `[B, features]`, in (-1, 1).
    pub vector: Tensor,
    /// Feature maps `[B, C', H', W']`, finest first; channels as [`Config::widths`].
    pub skips: Vec<Tensor>,
}

/// Enc: frames `[B, C, H, W]` in [0, 1] -> a vector and feature maps.
///
/// Source: official code, `models/dcgan_64.py`, `dcgan_128.py`, `vgg_64.py`, `vgg_128.py`; other sizes go on in the same way.
#[derive(Clone, Debug)]
pub struct Encoder {
    levels: Vec<Vec<Block>>,
    last: Block,
    pooled: bool,
    recompute: bool,
    dims: [usize; 3],
}

impl Encoder {
    /// A network over the parameters of `source`.
    ///
    /// # Errors
    /// [`vg_core::Error::Unsupported`] when a name is taken.
    pub fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let source = source.pp("encoder");
        let layers = Layers(&config.backbone);
        let pooled = config.backbone.kind == BackboneKind::Vgg;
        let (mut levels, mut inputs) = (Vec::new(), config.clip.channels);
        for (level, width) in config.widths().into_iter().enumerate() {
            let source = source.pp(format!("c{}", level + 1));
            levels.push(match config.backbone.kind {
                BackboneKind::Dcgan => vec![layers.halving(&source.pp("main"), [inputs, width])?],
                BackboneKind::Vgg => {
                    let block = |k: usize| {
                        let inputs = if k == 0 { inputs } else { width };
                        layers.same(&source.pp(k).pp("main"), [inputs, width])
                    };
                    (0..if level < 2 { 2 } else { 3 }).map(block).collect::<Result<_>>()?
                }
            });
            inputs = width;
        }
        let last = source.pp(format!("c{}", levels.len() + 1));
        let last = layers.map_to_vector(&last, [inputs, config.backbone.features])?;
        let dims = [config.clip.channels, config.clip.side, config.clip.side];
        Ok(Self { levels, last, pooled, recompute: config.train.recompute, dims })
    }

    /// See [`Encoder`].
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when the frames are not of the configured size.
    pub fn forward(&self, frames: &Tensor, mode: Mode) -> Result<Encoded> {
        self.forward_steps(frames, 1, mode)
    }

    /// `steps` time steps at once, `[B * steps, C, H, W]`: the frames of the first clip, then those of the next. Equal to a call a step,
    /// in the order of time.
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and when the frames are no multiple of `steps`.
    pub fn forward_steps(&self, frames: &Tensor, steps: usize, mode: Mode) -> Result<Encoded> {
        let [channels, height, width] = self.dims;
        expect_dims!("frames", frames.dims(), [B, (channels), (height), (width)])?;
        let (mut x, mut skips) = (frames.contiguous()?, Vec::with_capacity(self.levels.len()));
        for (k, blocks) in self.levels.iter().enumerate() {
            // A skip is what a block gives before pooling.
            x = self.level(blocks, k > 0, &x, steps, mode)?;
            skips.push(x.clone());
        }
        let last = std::slice::from_ref(&self.last);
        Ok(Encoded { vector: self.level(last, true, &x, steps, mode)?.flatten_from(1)?, skips })
    }

    /// Pooling, where the network has one `between` levels, and blocks.
    fn level(&self, blocks: &[Block], between: bool, x: &Tensor, steps: usize, mode: Mode) -> Result<Tensor> {
        let (blocks, pooled) = (blocks.to_vec(), self.pooled && between);
        let run = move |[x]: [&Tensor; 1], mode: Mode| {
            let x = if pooled { max_pool(x, &PoolParams::per_axis([2, 2]))? } else { x.clone() };
            Ok([chain(&blocks, &x, steps, mode)?])
        };
        let [y] = if self.recompute { recompute([x], mode, run)? } else { run([x], mode)? };
        Ok(y)
    }
}
