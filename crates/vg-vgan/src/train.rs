//! Training: the trainer of each variant, and what they share.

mod adversarial;
mod classification;
mod reconstruction;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::config::ModelConfig;
use vg_core::model::Init;
use vg_core::nn::ParamStore;
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, Pixels, Result, Rng};

pub use self::adversarial::{AdversarialTrainer, Draws, GeneratorLosses, Losses};
pub use self::classification::ClassifierTrainer;
pub use self::reconstruction::AutoencoderTrainer;
use crate::config::{Config, Variant};

/// The trainer of whichever variant the configuration names.
pub enum VganTrainer {
    /// Generator and discriminator: two streams, one stream, conditional.
    Adversarial(Box<AdversarialTrainer>),
    /// The action classifier.
    Classifier(Box<ClassifierTrainer>),
    /// The baseline.
    Autoencoder(Box<AutoencoderTrainer>),
}

impl VganTrainer {
    /// Networks with fresh weights.
    ///
    /// # Errors
    /// [`vg_core::Error::Config`] for a configuration that does not make sense.
    pub fn new(config: &Config, init: &Init) -> Result<Self> {
        config.validate()?;
        let rng = Rng::new(init.seed).child("weights", 0);
        let store = ParamStore::init(rng, init.dtype, &init.device).precision(config.train.precision);
        Ok(match config.variant {
            Variant::TwoStream | Variant::OneStream | Variant::Conditional => {
                Self::Adversarial(Box::new(AdversarialTrainer::over(store, config, init)?))
            }
            Variant::Classifier => Self::Classifier(Box::new(ClassifierTrainer::over(store, config, init)?)),
            Variant::Autoencoder => {
                Self::Autoencoder(Box::new(AutoencoderTrainer::over(store, config, init)?))
            }
        })
    }

    fn inner(&self) -> &dyn Trainer {
        match self {
            Self::Adversarial(t) => &**t,
            Self::Classifier(t) => &**t,
            Self::Autoencoder(t) => &**t,
        }
    }

    fn inner_mut(&mut self) -> &mut dyn Trainer {
        match self {
            Self::Adversarial(t) => &mut **t,
            Self::Classifier(t) => &mut **t,
            Self::Autoencoder(t) => &mut **t,
        }
    }
}

impl Trainer for VganTrainer {
    fn needs(&self) -> BatchSpec {
        self.inner().needs()
    }

    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        self.inner_mut().step(batch, cx)
    }

    fn evaluate(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        self.inner_mut().evaluate(batch, cx)
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

    fn start_from(&mut self, from: &CheckpointReader) -> Result<()> {
        self.inner_mut().start_from(from)
    }
}

/// Clips of the configured size.
fn clips(config: &Config) -> BatchSpec {
    let t = &config.train;
    BatchSpec { flip: t.flip, ..BatchSpec::clips(t.batch, config.clip_spec(), Pixels::Symmetric) }
}

/// z: `[n, dim]`, standard normal.
pub(crate) fn draw_z(rng: &Rng, n: usize, dim: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    rng.stream("z").normal_tensor((n, dim), dtype, device)
}
