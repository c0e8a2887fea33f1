//! Batches from a data set: seeded order, crops in time, labels, prefetch.

mod assemble;
mod plan;
mod prefetch;

use std::sync::Arc;

use vg_core::{Batch, BatchSource, BatchSpec, Result, SourceInfo};

use self::{plan::Plan, prefetch::Ahead};
use crate::dataset::{Dataset, Report};

/// Serves batches of a data set; made by [`source`].
///
/// A batch is a pure function of (data set, seed, spec, position): prefetching, threads and what was asked before change nothing.
pub struct Loader {
    plan: Arc<Plan>,
    prefetch: usize,
    ahead: Option<Ahead>,
}

/// Batches of `dataset` in an order that `seed` fixes, with up to two batches prepared ahead.
pub fn source(dataset: impl Dataset + 'static, seed: u64) -> Loader {
    Loader { plan: Arc::new(Plan::new(Arc::new(dataset), seed)), prefetch: 2, ahead: None }
}

impl Loader {
    /// The same loader with `batches` prepared ahead on another thread (0: none).
    pub fn with_prefetch(mut self, batches: usize) -> Self {
        self.prefetch = batches;
        self.ahead = None;
        self
    }

    /// The same loader, drawing only clips that have room for the frame stride. Otherwise shorter ones give consecutive frames, as
    /// MoCoGAN's training takes them; measurements want one distance between frames.
    pub fn with_whole_stride(self) -> Self {
        Self { plan: Arc::new(self.plan.whole_stride()), ahead: None, ..self }
    }

    /// Number of clips that are too short for `spec` and never drawn.
    pub fn excluded(&self, spec: &BatchSpec) -> u64 {
        self.plan.info().clips - self.plan.eligible(spec).len() as u64
    }

    /// What was left out when the data set was opened.
    pub fn report(&self) -> &Report {
        self.plan.dataset().report()
    }

    /// The data set.
    pub fn dataset(&self) -> &dyn Dataset {
        self.plan.dataset()
    }
}

impl BatchSource for Loader {
    fn info(&self) -> &SourceInfo {
        self.plan.info()
    }

    fn batch(&mut self, spec: &BatchSpec, position: u64) -> Result<Batch> {
        if self.prefetch == 0 {
            return assemble::batch(&self.plan, spec, position);
        }
        let mut ahead = match self.ahead.take() {
            Some(ahead) if ahead.serves(spec, position) => ahead,
            _ => Ahead::start(Arc::clone(&self.plan), spec.clone(), position, self.prefetch)?,
        };
        let batch = ahead.next()?;
        self.ahead = Some(ahead);
        Ok(batch)
    }
}
