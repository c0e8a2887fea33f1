//! A stage of the generator: a recurrent unit and two residual blocks.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::nn::{Mode, ParamSource};
use vg_core::ops::fold::swap_rows;

use crate::attention::{FrameAttention, Reach};
use crate::config::Config;
use crate::generator_block::GeneratorBlock;
use crate::layers::{Run, SpectralGru, pass};

/// One stage: from 4 * 2^s pixels to twice as many.
#[derive(Clone, Debug)]
pub struct Stage {
    gru: Option<SpectralGru>,
    attention_full: Option<FrameAttention>,
    block_a: GeneratorBlock,
    attention_separable: Vec<FrameAttention>,
    block_b: GeneratorBlock,
    /// Whether every frame has the same input.
    first: bool,
    frames: usize,
    recompute: bool,
}

impl Stage {
    /// Stage `stage` over the parameters of `source`.
    pub(crate) fn new(stage: usize, config: &Config, source: &ParamSource) -> Result<Self> {
        let widths = config.generator_widths();
        let (inputs, outputs) = (widths[stage], widths[stage + 1]);
        let attention = |name: &str, reach| FrameAttention::new(inputs, reach, config, &source.pp(name));
        let full = stage == 0 && config.generator.attention_full;
        let separable = stage + 1 == config.stages() && config.generator.attention_separable;
        let along =
            [("attention_h", Reach::Height), ("attention_w", Reach::Width), ("attention_t", Reach::Time)];
        let along = along.iter().filter(|_| separable);
        let gru = || SpectralGru::new(inputs, config, &source.pp("gru"));
        Ok(Self {
            gru: config.is_recurrent(stage).then(gru).transpose()?,
            attention_full: full.then(|| attention("attention_full", Reach::Clip)).transpose()?,
            block_a: GeneratorBlock::new(inputs, inputs, false, config, &source.pp("block_a"))?,
            attention_separable: along.map(|(name, reach)| attention(name, *reach)).collect::<Result<_>>()?,
            block_b: GeneratorBlock::new(inputs, outputs, true, config, &source.pp("block_b"))?,
            first: stage == 0,
            frames: config.generated(),
            recompute: config.train.recompute,
        })
    }

    /// The stage's frames.
    ///
    /// # Shapes
    /// - `x` `[B * T, C, H, W]`, the frames of a clip one after the other; of the first stage `[B, C, H, W]`, the input of every frame
    /// - `state` `[B, C, H, W]`, the recurrent unit's at the start; zeros if there is none
    /// - `condition` `[B, noise + embedding]`
    /// - returns `[B * T, C', 2 H, 2 W]`
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when they do not fit.
    pub fn forward(
        &self,
        x: &Tensor,
        state: Option<&Tensor>,
        condition: &Tensor,
        run: Run,
    ) -> Result<Tensor> {
        let clips = condition.dim(0)?;
        let mut h = self.recur(x, state, clips, run.mode)?;
        if let Some(attention) = &self.attention_full {
            h = self.attend(attention, &h, clips, run.mode)?;
        }
        h = self.block(&self.block_a, &h, condition, run)?;
        for attention in &self.attention_separable {
            h = self.attend(attention, &h, clips, run.mode)?;
        }
        self.block(&self.block_b, &h, condition, run)
    }

    fn recur(&self, x: &Tensor, state: Option<&Tensor>, clips: usize, mode: Mode) -> Result<Tensor> {
        let Some(gru) = self.gru.clone() else { return Ok(x.clone()) };
        let (first, frames, state) = (self.first, self.frames, state.cloned());
        pass(self.recompute, x, mode, move |x, mode| {
            // The unit goes step by step through all clips.
            let steps = if first { x.clone() } else { swap_rows(x, clips)? };
            swap_rows(&gru.forward(&steps, frames, first, state.as_ref(), mode)?, frames)
        })
    }

    fn attend(&self, attention: &FrameAttention, x: &Tensor, clips: usize, mode: Mode) -> Result<Tensor> {
        let attention = attention.clone();
        pass(self.recompute, x, mode, move |x, mode| attention.forward(x, clips, mode))
    }

    fn block(&self, block: &GeneratorBlock, x: &Tensor, condition: &Tensor, run: Run) -> Result<Tensor> {
        let (block, condition) = (block.clone(), condition.clone());
        pass(self.recompute, x, run.mode, move |x, mode| block.forward(x, &condition, Run { mode, ..run }))
    }
}
