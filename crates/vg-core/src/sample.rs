//! Drawing clips from a trained model.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::batch::Pixels;
use crate::{ClipSpec, Error, Result};

/// What a sampler makes and takes.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleSpec {
    /// Size of a clip when the request does not say otherwise.
    pub clip: ClipSpec,
    /// Pixel scale of the clips.
    pub pixels: Pixels,
    /// Most frames a request may ask for; 0 for a model that makes no clips (a classifier).
    pub max_frames: usize,
    /// Classes that may be asked for; 0 for an unconditional model.
    pub classes: usize,
    /// Frames of a given clip that the model continues; 0 for none.
    pub context_frames: usize,
    /// Condition maps needed, by name.
    pub maps: Vec<String>,
}

/// A request for clips.
#[derive(Clone, Debug, Default)]
pub struct SampleRequest {
    /// One clip per seed.
    pub seeds: Vec<u64>,
    /// Frames per clip; the model's own length when absent.
    pub frames: Option<usize>,
    /// Class of all clips; drawn from the seed when absent and the model has classes.
    pub class: Option<usize>,
    /// Given frames `[1 or B, C, context, H, W]`, for models that continue clips.
    pub context: Option<Tensor>,
    /// Condition maps by name, `[1 or B, C', T, H, W]`.
    pub maps: std::collections::BTreeMap<String, Tensor>,
}

impl SampleRequest {
    /// One clip for each of `seeds`, all else as the model's default.
    pub fn seeds(seeds: impl IntoIterator<Item = u64>) -> Self {
        Self { seeds: seeds.into_iter().collect(), ..Self::default() }
    }

    /// Frames per clip, checked against the sampler's limits.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when fewer than 1 or more than the model can make are asked for.
    pub fn frames_for(&self, spec: &SampleSpec) -> Result<usize> {
        let frames = self.frames.unwrap_or(spec.clip.frames);
        if frames == 0 || frames > spec.max_frames {
            return Err(Error::Unsupported(format!(
                "clips of {frames} frames cannot be sampled; this model makes 1 to {}",
                spec.max_frames
            )));
        }
        Ok(frames)
    }

    /// The class, checked against the sampler's number of classes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the model has no such class.
    pub fn class_for(&self, spec: &SampleSpec) -> Result<Option<usize>> {
        match self.class {
            Some(_) if spec.classes == 0 => {
                Err(Error::Unsupported("this model was trained without classes; leave the class out".into()))
            }
            Some(class) if class >= spec.classes => Err(Error::Unsupported(format!(
                "there is no class {class}; this model has the classes 0 to {}",
                spec.classes - 1
            ))),
            class => Ok(class),
        }
    }
}

/// Sampled clips.
#[derive(Clone, Debug)]
pub struct Clips {
    /// `[B, C, T, H, W]`, f32 on the scale of `pixels`.
    pub tensor: Tensor,
    /// The scale.
    pub pixels: Pixels,
}

/// Makes clips from weights that do not change.
pub trait Sampler {
    /// What this sampler makes and takes.
    fn spec(&self) -> SampleSpec;

    /// One clip per seed. Clip k depends on seed k alone, not on its neighbours in the batch.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for what the model cannot do: too many frames, an unknown class, missing context.
    fn sample(&self, request: &SampleRequest) -> Result<Clips>;

    /// The clips, and by name the parts that they were made of, one entry per seed: masks, backgrounds (clips of one frame) and the
    /// like. Models without parts have none.
    ///
    /// # Errors
    /// As [`Sampler::sample`].
    fn sample_parts(&self, request: &SampleRequest) -> Result<(Clips, BTreeMap<&'static str, Clips>)> {
        Ok((self.sample(request)?, BTreeMap::new()))
    }
}
