//! Training: the trainer of each variant, and what they share.

mod autoencoder;
mod finite;
mod image;
mod video;

use std::collections::BTreeMap;

use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::config::ModelConfig;
use vg_core::model::Init;
use vg_core::nn::ParamStore;
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, Result, Rng};

pub use self::autoencoder::{AutoencoderTrainer, Reconstructed};
pub use self::image::ImageTrainer;
pub use self::video::{Step, VideoTrainer};
use crate::config::{Config, Variant};

/// The trainer of whichever variant the configuration names.
pub enum SwganTrainer {
    /// PG-SWGAN-3D.
    Video(Box<VideoTrainer>),
    /// SWGAN.
    Image(Box<ImageTrainer>),
    /// SWAE.
    Autoencoder(Box<AutoencoderTrainer>),
}

impl SwganTrainer {
    /// Networks with fresh weights.
    ///
    /// # Errors
    /// [`vg_core::Error::Config`] for a configuration that does not make sense.
    pub fn new(config: &Config, init: &Init) -> Result<Self> {
        config.validate()?;
        let rng = Rng::new(init.seed).child("weights", 0);
        Self::over(ParamStore::init(rng, init.dtype, &init.device), config, init)
    }

    /// Networks over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        Ok(match config.variant {
            Variant::Video => Self::Video(Box::new(VideoTrainer::over(store, config, init)?)),
            Variant::Image => Self::Image(Box::new(ImageTrainer::over(store, config, init)?)),
            Variant::Autoencoder => {
                Self::Autoencoder(Box::new(AutoencoderTrainer::over(store, config, init)?))
            }
        })
    }

    fn inner(&self) -> &dyn Trainer {
        match self {
            Self::Video(t) => &**t,
            Self::Image(t) => &**t,
            Self::Autoencoder(t) => &**t,
        }
    }

    fn inner_mut(&mut self) -> &mut dyn Trainer {
        match self {
            Self::Video(t) => &mut **t,
            Self::Image(t) => &mut **t,
            Self::Autoencoder(t) => &mut **t,
        }
    }
}

impl Trainer for SwganTrainer {
    fn needs(&self) -> BatchSpec {
        self.inner().needs()
    }

    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        self.inner_mut().step(batch, cx)
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        self.inner().sampler()
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.inner().parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.inner().save(to)
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        self.inner_mut().load(from)
    }
}
