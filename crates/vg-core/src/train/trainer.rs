//! What a model does with a batch.

use std::collections::BTreeMap;

use super::log::StepLog;
use crate::checkpoint::{CheckpointReader, CheckpointWriter};
use crate::sample::Sampler;
use crate::{Batch, BatchSpec, Error, Result, Rng};

/// What a step is given besides its batch.
pub struct StepCx<'a> {
    /// Random numbers of this step: a function of the run's seed and the step alone.
    pub rng: Rng,
    /// Takes losses and other numbers.
    pub log: &'a mut StepLog,
    /// This step, counted from 1.
    pub step: u64,
    /// Clips drawn before this step.
    pub clips_seen: u64,
    /// Clips in the data set, for schedules in epochs.
    pub epoch_clips: u64,
}

impl StepCx<'_> {
    /// Passes over the data before this step, as a fraction.
    pub fn epoch(&self) -> f64 {
        self.clips_seen as f64 / self.epoch_clips.max(1) as f64
    }
}

/// Everything a run changes: networks, optimizers, averages. No files, no printing, no clock.
pub trait Trainer {
    /// The batch wanted next; may change between steps (growing resolution, longer clips), and may ask for images drawn apart
    /// from the clips (MoCoGAN), labels (DVD-GAN), condition maps (vid2vid) or the clips of several updates at once.
    fn needs(&self) -> BatchSpec;

    /// Consumes one batch and makes all updates it calls for.
    ///
    /// Draws all its random numbers first; what follows is a pure function of weights, batch and those numbers.
    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()>;

    /// Logs figures on held-out data without changing anything.
    fn evaluate(&mut self, _batch: &Batch, _cx: &mut StepCx<'_>) -> Result<()> {
        Ok(())
    }

    /// A sampler from the current weights, averaged ones if there are any.
    fn sampler(&self) -> Result<Box<dyn Sampler + '_>>;

    /// Trainable scalars per network.
    fn parameters(&self) -> BTreeMap<String, usize>;

    /// Writes everything that [`Trainer::step`] depends on or changes.
    fn save(&self, to: &mut CheckpointWriter) -> Result<()>;

    /// Restores what [`Trainer::save`] wrote, bit for bit.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) that lists every missing, unexpected or misshapen tensor.
    fn load(&mut self, from: &CheckpointReader) -> Result<()>;

    /// Takes the weights that this model starts from out of a checkpoint of another run (VGAN's classifier: a discriminator). Optimizers
    /// start afresh.
    ///
    /// # Errors
    /// [`Error::Unsupported`] from models that start from nothing, [`Error::Weights`] or [`Error::Data`] for a checkpoint that does
    /// not fit.
    fn start_from(&mut self, from: &CheckpointReader) -> Result<()> {
        let text =
            format!("this model cannot start from {}: it begins with fresh weights", from.path().display());
        Err(Error::Unsupported(text))
    }

    /// What a run that starts with fresh weights should know, where it would better start from another run's
    /// ([`start_from`](Self::start_from)); nothing for most models.
    fn missing_start(&self) -> Option<&'static str> {
        None
    }
}
