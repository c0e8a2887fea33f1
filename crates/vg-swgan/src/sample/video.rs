//! Clips of the video model.

use vg_core::Result;
use vg_core::model::Init;
use vg_core::nn::{ParamStore, Weights};
use vg_core::sample::{Clips, SampleRequest, SampleSpec, Sampler};

use super::{Held, latent, one_by_one, spec};
use crate::config::Config;
use crate::generator::Generator;

/// The averaged generator. Clips always have the full size; while a run still grows, pixels are as large as those it is trained at.
pub struct VideoSampler<'a> {
    config: Config,
    generator: Held<'a, Generator>,
    init: Init,
}

impl VideoSampler<'static> {
    pub(super) fn over(store: &ParamStore, config: &Config, init: &Init) -> Result<Self> {
        let generator = Generator::new(&store.source(), config)?;
        store.finish()?;
        Ok(Self { config: config.clone(), generator: Held::Owned(generator), init: init.clone() })
    }
}

impl<'a> VideoSampler<'a> {
    pub(crate) fn borrowed(config: &Config, generator: &'a Generator, init: &Init) -> Self {
        Self { config: config.clone(), generator: Held::Borrowed(generator), init: init.clone() }
    }
}

impl Sampler for VideoSampler<'_> {
    fn spec(&self) -> SampleSpec {
        spec(&self.config)
    }

    /// Clips of T(R) frames; of fewer, the first ones.
    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        let spec = self.spec();
        request.check(&spec, self.controls())?;
        let (frames, lod) = (request.frames_for(&spec)?, self.generator.lod()?);
        one_by_one(&request.seeds, |seed| {
            let z = latent(seed, self.config.networks.latent, &self.init)?;
            let clip = self.generator.full_size(&z, lod, Weights::Constant)?;
            Ok(clip.narrow(2, 0, frames)?.contiguous()?)
        })
    }
}
