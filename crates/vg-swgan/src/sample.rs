//! Sampling.

mod autoencoder;
mod image;
mod video;

use std::collections::BTreeMap;
use std::ops::Deref;

use candle_core::{DType, Tensor};
use vg_core::checkpoint::Weights;
use vg_core::model::Init;
use vg_core::nn::ParamStore;
use vg_core::sample::{Clips, SampleRequest, SampleSpec, Sampler};
use vg_core::{Pixels, Result, Rng};

pub use self::autoencoder::AutoencoderSampler;
pub use self::image::ImageSampler;
pub use self::video::VideoSampler;
use crate::config::{Config, Variant};
use crate::draws::latents;

/// The sampler of whichever variant the configuration names.
pub enum SwganSampler {
    /// PG-SWGAN-3D.
    Video(Box<VideoSampler<'static>>),
    /// SWGAN.
    Image(Box<ImageSampler<'static>>),
    /// SWAE.
    Autoencoder(Box<AutoencoderSampler<'static>>),
}

impl SwganSampler {
    /// A sampler over saved weights.
    ///
    /// # Errors
    /// [`vg_core::Error::Weights`] that lists every missing, unexpected or misshapen tensor.
    pub fn new(config: &Config, weights: &Weights, init: &Init) -> Result<Self> {
        let store = ParamStore::load(weights.tensors().clone(), weights.source(), init.dtype, &init.device)?;
        Ok(match config.variant {
            Variant::Video => Self::Video(Box::new(VideoSampler::over(&store, config, init)?)),
            Variant::Image => Self::Image(Box::new(ImageSampler::over(&store, config, init)?)),
            Variant::Autoencoder => {
                Self::Autoencoder(Box::new(AutoencoderSampler::over(&store, config, init)?))
            }
        })
    }

    fn inner(&self) -> &dyn Sampler {
        match self {
            Self::Video(s) => &**s,
            Self::Image(s) => &**s,
            Self::Autoencoder(s) => &**s,
        }
    }
}

impl Sampler for SwganSampler {
    fn spec(&self) -> SampleSpec {
        self.inner().spec()
    }

    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        self.inner().sample(request)
    }

    fn sample_parts(&self, request: &SampleRequest) -> Result<(Clips, BTreeMap<&'static str, Clips>)> {
        self.inner().sample_parts(request)
    }
}

/// A network of its own, or a trainer's.
enum Held<'a, N> {
    Owned(N),
    Borrowed(&'a N),
}

impl<N> Deref for Held<'_, N> {
    type Target = N;

    fn deref(&self) -> &N {
        match self {
            Self::Owned(network) => network,
            Self::Borrowed(network) => network,
        }
    }
}

/// What all variants make: clips without conditions.
fn spec(config: &Config) -> SampleSpec {
    let clip = config.clip_spec();
    SampleSpec {
        clip,
        pixels: Pixels::Symmetric,
        max_frames: clip.frames,
        classes: 0,
        context_frames: 0,
        maps: Vec::new(),
    }
}

/// The latent of a seed, `[1, dim]`.
fn latent(seed: u64, dim: usize, init: &Init) -> Result<Tensor> {
    latents(&Rng::new(seed), 1, dim, init.dtype, &init.device)
}

/// Results of seeds one by one, so that memory does not grow with their number and each is the same bit for bit in any company.
fn one_by_one(seeds: &[u64], make: impl Fn(u64) -> Result<Tensor>) -> Result<Clips> {
    let clip =
        |seed: &u64| -> Result<Tensor> { Ok(make(*seed)?.detach().clamp(-1.0, 1.0)?.to_dtype(DType::F32)?) };
    let clips = seeds.iter().map(clip).collect::<Result<Vec<_>>>()?;
    Ok(Clips { tensor: Tensor::cat(&clips, 0)?, pixels: Pixels::Symmetric })
}
