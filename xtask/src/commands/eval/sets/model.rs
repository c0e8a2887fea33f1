//! Clips that a model makes.

use anyhow::Result;
use candle_core::DType;
use vg_core::BatchSource;
use vg_core::BatchSpec;
use vg_core::sample::{Clips, SampleRequest, Sampler};
use vg_data::Frames;
use vg_metrics::Clip;

use super::{DataClips, clip};
use crate::failure::Failure;

/// Clips that a model makes, one a seed.
pub struct Generated {
    sampler: Box<dyn Sampler>,
    pub(super) name: String,
    pub(super) num: usize,
    seed: u64,
    /// Frames that the model is asked for.
    asked: usize,
    /// Of these the first so many are taken, with a distance.
    taken: usize,
    every: usize,
    /// For models that continue clips.
    context: Option<DataClips>,
}

impl Generated {
    /// `num` clips with the seeds from `seed` on, of `frames` frames with `every - 1` left out between two.
    ///
    /// A model is never asked for fewer frames than it makes by itself: some make no others, some would make them faster.
    ///
    /// # Errors
    /// [`Failure`] for a model that makes no clips, or none of that length without more than is given here.
    pub fn new(
        sampler: Box<dyn Sampler>,
        name: String,
        num: usize,
        seed: u64,
        [frames, every]: [usize; 2],
        context: Option<DataClips>,
    ) -> Result<Self> {
        let spec = sampler.spec();
        if spec.max_frames == 0 {
            let text = format!("{name} makes no clips: it is a classifier");
            return Err(Failure::new(text).hint("give a run of a model that makes clips").into());
        }
        if !spec.maps.is_empty() {
            let text =
                format!("{name} needs condition maps ({}), which eval cannot give", spec.maps.join(", "));
            return Err(Failure::new(text)
                .hint("write its clips to a folder and give that with --fake")
                .into());
        }
        if spec.context_frames > 0 && context.is_none() {
            let text = format!("{name} continues clips of {} frames", spec.context_frames);
            return Err(Failure::new(text).hint("say which with --data SET").into());
        }
        if seed.checked_add(num as u64).is_none() {
            let text = format!("--seed {seed}: there are no {num} seeds from it on");
            return Err(Failure::new(text).hint("give a smaller --seed").into());
        }
        let asked = ((frames - 1) * every + 1).max(spec.clip.frames);
        SampleRequest { frames: Some(asked), ..SampleRequest::default() }.frames_for(&spec)?;
        Ok(Self { sampler, name, num, seed, asked, taken: frames, every, context })
    }

    pub(super) fn chunk(&self, start: usize, clips: usize) -> vg_metrics::Result<Vec<Clip>> {
        let first = self.seed + start as u64;
        let request = SampleRequest {
            frames: Some(self.asked),
            context: self.context(start, clips)?,
            ..SampleRequest::seeds(first..first + clips as u64)
        };
        let made = self.sampler.sample(&request)?;
        self.check_finite(&made)?;
        let frames = Frames::from_tensor(&made.tensor, made.pixels)?;
        let named = frames.into_iter().zip(first..);
        named
            .map(|(frames, seed)| {
                let name = format!("clip of seed {seed} of {}", self.name);
                clip(name, frames)?.every(self.every, self.taken)
            })
            .collect()
    }

    /// A network that has diverged would otherwise count as one that makes black clips.
    fn check_finite(&self, made: &Clips) -> vg_metrics::Result<()> {
        let sum = made.tensor.sum_all().and_then(|sum| sum.to_dtype(DType::F64)?.to_scalar::<f64>());
        match sum.map_err(vg_core::Error::from)?.is_finite() {
            true => Ok(()),
            false => {
                Err(vg_metrics::Error::NotFinite { what: format!("a pixel in the clips of {}", self.name) })
            }
        }
    }

    /// Given frames, on the model's pixel scale.
    fn context(&self, start: usize, clips: usize) -> vg_metrics::Result<Option<candle_core::Tensor>> {
        let spec = self.sampler.spec();
        let Some(data) = self.context.as_ref().filter(|_| spec.context_frames > 0) else { return Ok(None) };
        let wanted = BatchSpec { pixels: spec.pixels, ..data.spec(clips) };
        let batch = data.loader.borrow_mut().batch(&wanted, start as u64)?;
        Ok(Some(batch.clips.narrow(2, 0, spec.context_frames).map_err(vg_core::Error::from)?))
    }
}
