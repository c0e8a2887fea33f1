//! From given frames to states of the recurrent units (DVD-GAN-FP).

use candle_core::Tensor;
use vg_core::nn::{Mode, ParamSource, SpectralConv};
use vg_core::ops::Activation;
use vg_core::{Error, Result};

use crate::config::{Config, Recurrence};
use crate::discriminator_block::DiscriminatorBlock;
use crate::layers::conv;

/// The conditioning stack: every given frame goes through residual blocks like those of the spatial discriminator; at each resolution the
/// frames' feature maps lie on each other as channels, and a convolution and a ReLU make a recurrent unit's state of them.
///
/// Source: paper, figure of DVD-GAN-FP; with one recurrent unit (version 1) a 1x1 convolution of the smallest maps makes its state.
#[derive(Clone, Debug)]
pub struct ConditioningStack {
    blocks: Vec<DiscriminatorBlock<2>>,
    /// One for each recurrent unit, from 4x4 upwards.
    convs: Vec<SpectralConv<2>>,
    frames: usize,
}

impl ConditioningStack {
    /// A stack over the parameters of `source`.
    pub(crate) fn new(config: &Config, source: &ParamSource) -> Result<Self> {
        let (given, stages) = (config.clip.given, config.stages());
        let (widths, states) = (config.discriminator_widths(), config.generator_widths());
        let kernel = match config.generator.recurrence {
            Recurrence::EveryStage => 3,
            Recurrence::FirstStage => 1,
        };
        let block = |i: usize| {
            let source = source.pp("blocks").pp(i);
            DiscriminatorBlock::new([widths[i], widths[i + 1]], i == 0, true, config, &source)
        };
        let of_stage = |s: usize| {
            let source = source.pp("convs").pp(s);
            conv(given * widths[stages - s], states[s], kernel, config, &source)
        };
        let recurrent = (0..stages).filter(|s| config.is_recurrent(*s));
        Ok(Self {
            blocks: (0..stages).map(block).collect::<Result<_>>()?,
            convs: recurrent.map(of_stage).collect::<Result<_>>()?,
            frames: given,
        })
    }

    /// States of the recurrent units, `[B, C, H, W]` from 4x4 upwards, of given frames `[B * given, C, H, W]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for rows that are no multiple of the given frames.
    pub fn forward(&self, frames: &Tensor, mode: Mode) -> Result<Vec<Tensor>> {
        let rows = frames.dim(0)?;
        if !rows.is_multiple_of(self.frames) {
            return Err(Error::shape(
                "given frames",
                format!("[B * {}, C, H, W]", self.frames),
                frames.dims(),
            ));
        }
        let mut maps = vec![frames.clone()];
        for block in &self.blocks {
            maps.push(block.forward(&maps[maps.len() - 1], mode)?);
        }
        let state = |(conv, map): (&SpectralConv<2>, &Tensor)| {
            let (_, channels, height, width) = map.dims4()?;
            let together = map.reshape((rows / self.frames, self.frames * channels, height, width))?;
            conv.forward_with(&together, Activation::Relu, mode)
        };
        self.convs.iter().zip(maps.iter().rev()).map(state).collect()
    }
}
