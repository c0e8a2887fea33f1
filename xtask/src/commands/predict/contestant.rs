//! What continues clips: a model, or the copy of the last given frame.

use anyhow::Result;
use candle_core::Tensor;
use vg_core::model::Init;
use vg_core::sample::{SampleRequest, SampleSpec, Sampler};

use super::Task;
use crate::commands::{eval, sample};
use crate::failure::Failure;

/// Seeds of futures: future n of the k-th clip has `first + n step + k`, so that asking for more futures keeps the first ones.
#[derive(Clone, Copy)]
pub(super) struct Seeds {
    pub first: u64,
    pub step: u64,
}

/// Something that continues clips.
pub(super) trait Contestant {
    fn name(&self) -> &str;

    /// How many futures of the `wanted` ones differ.
    fn samples(&self, wanted: u64) -> u64;

    /// Whether its futures are worth a picture.
    fn is_shown(&self) -> bool {
        true
    }

    /// Future `n` of clips `[B, C, T, H, W]`: whole clips of the same size; another one for every `n`.
    fn future(&self, truth: &Tensor, task: &Task, seeds: Seeds, n: u64) -> Result<Tensor>;

    /// How open it holds the future of true clips to be: [`Sampler::uncertainty`].
    fn uncertainty(&self, _truth: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }
}

/// The copy of the last given frame.
pub(super) struct Copy;

impl Contestant for Copy {
    fn name(&self) -> &'static str {
        "copy of the last given frame"
    }

    fn samples(&self, _wanted: u64) -> u64 {
        1
    }

    fn is_shown(&self) -> bool {
        false
    }

    fn future(&self, truth: &Tensor, task: &Task, _seeds: Seeds, _n: u64) -> Result<Tensor> {
        let given = truth.narrow(2, 0, task.past)?;
        let last = given.narrow(2, task.past - 1, 1)?;
        let mut frames = vec![given];
        frames.extend((task.past..task.clip.frames).map(|_| last.clone()));
        Ok(Tensor::cat(&frames, 2)?)
    }
}

/// A trained model.
pub(super) struct Model {
    name: String,
    sampler: Box<dyn Sampler>,
    /// Distance between frames in its training.
    pub(super) stride: usize,
}

impl Model {
    pub(super) fn open(name: &str) -> Result<Self> {
        let weights = sample::open(name)?;
        let experiment = sample::experiment(&weights)?;
        let sampler = experiment.sampler(&weights, &Init::cpu(0))?;
        Ok(Self { name: name.to_owned(), sampler, stride: eval::trained_stride(&*experiment)? })
    }

    pub(super) fn spec(&self) -> SampleSpec {
        self.sampler.spec()
    }

    /// Frames that it is given: as few as it takes, but one.
    pub(super) fn past(&self) -> Result<usize> {
        let range = self.sampler.context_range();
        if *range.end() == 0 {
            let text = format!("{} makes clips from noise alone and continues none", self.name);
            return Err(Failure::new(text).hint("measure it with `cargo xtask eval`").into());
        }
        Ok((*range.start()).max(1))
    }
}

impl Contestant for Model {
    fn name(&self) -> &str {
        &self.name
    }

    fn samples(&self, wanted: u64) -> u64 {
        if self.sampler.varies() { wanted } else { 1 }
    }

    fn future(&self, truth: &Tensor, task: &Task, seeds: Seeds, n: u64) -> Result<Tensor> {
        let (clips, context) = (truth.dim(0)? as u64, truth.narrow(2, 0, task.past)?.contiguous()?);
        let first = seeds.first.wrapping_add(n.wrapping_mul(seeds.step));
        let request = SampleRequest {
            context: Some(context),
            frames: Some(task.clip.frames),
            ..SampleRequest::seeds((0..clips).map(|k| first.wrapping_add(k)))
        };
        Ok(self.sampler.sample(&request)?.tensor)
    }

    fn uncertainty(&self, truth: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.sampler.uncertainty(truth)?)
    }
}
