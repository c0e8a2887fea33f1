//! Images of the auto-encoder, as clips of one frame.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use vg_core::model::Init;
use vg_core::nn::{ParamStore, Weights};
use vg_core::sample::{Clips, SampleRequest, SampleSpec, Sampler};
use vg_core::{Pixels, Result};

use super::{Held, latent, one_by_one, spec};
use crate::autoencoder::{Decoder, Encoder};
use crate::config::Config;

/// The decoder of codes from the prior, and the encoder for codes of images.
pub struct AutoencoderSampler<'a> {
    config: Config,
    encoder: Held<'a, Encoder>,
    decoder: Held<'a, Decoder>,
    shown: Option<[Tensor; 2]>,
    init: Init,
}

impl AutoencoderSampler<'static> {
    pub(super) fn over(store: &ParamStore, config: &Config, init: &Init) -> Result<Self> {
        let source = store.source();
        let (encoder, decoder) = (Encoder::new(&source, config)?, Decoder::new(&source, config)?);
        store.finish()?;
        let (encoder, decoder) = (Held::Owned(encoder), Held::Owned(decoder));
        Ok(Self { config: config.clone(), encoder, decoder, shown: None, init: init.clone() })
    }
}

impl<'a> AutoencoderSampler<'a> {
    /// A trainer's networks, and `shown` images with their reconstructions, which reports show.
    pub(crate) fn borrowed(
        config: &Config,
        (encoder, decoder): (&'a Encoder, &'a Decoder),
        shown: Option<[Tensor; 2]>,
        init: &Init,
    ) -> Self {
        let (encoder, decoder) = (Held::Borrowed(encoder), Held::Borrowed(decoder));
        Self { config: config.clone(), encoder, decoder, shown, init: init.clone() }
    }

    /// Reconstructions of images `[B, C, S, S]` whose codes are moved onto `prior` `[M, code]`, both of at least two samples: the encoder
    /// knows a code only by its place among others.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for images of another size, [`vg_core::Error::Unsupported`] for a single one.
    pub fn reconstruct(&self, images: &Tensor, prior: &Tensor) -> Result<Tensor> {
        let codes = self.encoder.forward(images, prior, Weights::Constant)?;
        self.decoder.forward(&codes, Weights::Constant)
    }
}

impl Sampler for AutoencoderSampler<'_> {
    fn spec(&self) -> SampleSpec {
        spec(&self.config)
    }

    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        request.check(&self.spec(), self.controls())?;
        one_by_one(&request.seeds, |seed| {
            let z = latent(seed, self.config.autoencoder.code, &self.init)?;
            Ok(self.decoder.forward(&z, Weights::Constant)?.unsqueeze(2)?)
        })
    }

    /// While a run trains, images of its last batch and their reconstructions are beside the samples.
    fn sample_parts(&self, request: &SampleRequest) -> Result<(Clips, BTreeMap<&'static str, Clips>)> {
        let stills = |images: &Tensor| -> Result<Clips> {
            let tensor = images.clamp(-1.0, 1.0)?.to_dtype(DType::F32)?.unsqueeze(2)?;
            Ok(Clips { tensor, pixels: Pixels::Symmetric })
        };
        let mut parts = BTreeMap::new();
        if let Some([images, made]) = &self.shown {
            parts.insert("images", stills(images)?);
            parts.insert("reconstructions", stills(made)?);
        }
        Ok((self.sample(request)?, parts))
    }
}
