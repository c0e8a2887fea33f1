//! The random numbers of a training step.

use candle_core::{DType, Device, Tensor};
use vg_core::train::Part;
use vg_core::{Result, Rng};

use crate::config::Config;

/// All random numbers of one step.
#[derive(Clone, Debug)]
pub struct Draws {
    /// Standard normal, `[T - 1, B, latent]`, one row for each predicted frame; nothing in the deterministic variant.
    pub eps: Option<Tensor>,
}

impl Draws {
    /// Draws for a step of `config`.
    ///
    /// # Errors
    /// Those of the tensors.
    pub fn new(config: &Config, rng: &Rng, dtype: DType, device: &Device) -> Result<Self> {
        let steps = config.clip_spec().frames - 1;
        let dims = (steps, config.train.batch, config.latent());
        let draw = || rng.stream("latent").normal_tensor(dims, dtype, device);
        Ok(Self { eps: (config.latent() > 0).then(draw).transpose()? })
    }

    /// Those of some clips.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for draws for another number of clips.
    pub fn part(&self, part: Part) -> Result<Self> {
        Ok(Self { eps: self.eps.as_ref().map(|eps| part.narrow(eps, 1)).transpose()? })
    }
}
