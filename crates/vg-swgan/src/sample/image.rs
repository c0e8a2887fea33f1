//! Images of the image model, as clips of one frame.

use vg_core::model::Init;
use vg_core::nn::{ParamStore, Weights};
use vg_core::sample::{Clips, SampleRequest, SampleSpec, Sampler};
use vg_core::{Result, Rng};

use super::{Held, latent, one_by_one, spec};
use crate::config::Config;
use crate::draws::latents;
use crate::image::{ImageGenerator, Moments, Statistics};

/// Latents whose batch statistics serve all samples.
const COMPANIONS: usize = 64;

/// The generator. The official code normalises by the statistics of whatever batch is sampled; here those of one fixed batch serve all, so
/// that an image does not depend on its neighbours.
pub struct ImageSampler<'a> {
    config: Config,
    generator: Held<'a, ImageGenerator>,
    moments: Vec<Moments>,
    init: Init,
}

impl ImageSampler<'static> {
    pub(super) fn over(store: &ParamStore, config: &Config, init: &Init) -> Result<Self> {
        let generator = ImageGenerator::new(&store.source(), config)?;
        store.finish()?;
        Self::new(config, Held::Owned(generator), init)
    }
}

impl<'a> ImageSampler<'a> {
    pub(crate) fn borrowed(config: &Config, generator: &'a ImageGenerator, init: &Init) -> Result<Self> {
        Self::new(config, Held::Borrowed(generator), init)
    }

    fn new(config: &Config, generator: Held<'a, ImageGenerator>, init: &Init) -> Result<Self> {
        let mut moments = Vec::new();
        let rng = Rng::new(0).child("companions", 0);
        let z = latents(&rng, COMPANIONS, config.networks.latent, init.dtype, &init.device)?;
        generator.forward(&z, Weights::Constant, Statistics::Noted(&mut moments))?;
        Ok(Self { config: config.clone(), generator, moments, init: init.clone() })
    }
}

impl Sampler for ImageSampler<'_> {
    fn spec(&self) -> SampleSpec {
        spec(&self.config)
    }

    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        request.check(&self.spec(), self.controls())?;
        one_by_one(&request.seeds, |seed| {
            let z = latent(seed, self.config.networks.latent, &self.init)?;
            let by = Statistics::Given(self.moments.iter());
            Ok(self.generator.forward(&z, Weights::Constant, by)?.unsqueeze(2)?)
        })
    }
}
