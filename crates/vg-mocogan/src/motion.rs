//! The motion network.

use candle_core::Tensor;
use vg_core::nn::{GruCell, Mode, ParamSource, RecurrentConfig};
use vg_core::{Result, expect_dims};

use crate::config::Config;

/// R_M: a GRU cell that makes one motion code a frame out of fresh noise.
///
/// Source: paper, section 3.1; official `VideoGenerator.sample_z_m`. There is no output layer: the codes are the cell's states.
pub struct MotionNetwork {
    cell: GruCell,
    /// Classes that it is told of; 0 where the class goes elsewhere.
    classes: usize,
}

impl MotionNetwork {
    pub(crate) fn new(source: &ParamSource, config: &Config) -> Result<Self> {
        let classes = if config.class_to_motion() { config.categories.count } else { 0 };
        let size = config.latent.motion;
        let cell = GruCell::new(classes + size, size, RecurrentConfig::default(), &source.pp("recurrent"))?;
        Ok(Self { cell, classes })
    }

    /// Motion codes `[B, K, motion]` from the state before the first frame `[B, motion]` and the noise `[B, K, motion]`.
    ///
    /// `categories` holds one-hot classes for every frame, `[B, K, classes]`; it is not looked at where the class goes to the image
    /// generator.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] when the sizes do not fit.
    pub fn forward(
        &self,
        state: &Tensor,
        noise: &Tensor,
        categories: Option<&Tensor>,
        mode: Mode,
    ) -> Result<Tensor> {
        let size = self.cell.hidden();
        expect_dims!("motion noise", noise.dims(), [B, K, (size)])?;
        let steps = noise.dim(1)?;
        let inputs = match categories.filter(|_| self.classes > 0) {
            Some(classes) => {
                expect_dims!("classes", classes.dims(), [B, (steps), (self.classes)])?;
                Tensor::cat(&[classes, noise], 2)?
            }
            None => noise.clone(),
        };
        let inputs: Vec<Tensor> =
            (0..steps).map(|k| Ok(inputs.narrow(1, k, 1)?.squeeze(1)?)).collect::<Result<_>>()?;
        Ok(Tensor::stack(&self.cell.sequence(&inputs, state, mode)?, 1)?)
    }
}
