//! Training of the auto-encoder: reconstruction alone, since codes are distributed like the prior by construction.

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::config::ModelConfig;
use vg_core::grad::backward;
use vg_core::model::Init;
use vg_core::nn::{ParamStore, Weights};
use vg_core::ops::difference::squared_differences;
use vg_core::optim::{ParamGroup, step_all};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, Pixels, Result, expect_dims};

use super::finite::{Skips, all_finite};
use crate::autoencoder::marginals::kolmogorov_smirnov;
use crate::autoencoder::{Decoder, Encoder};
use crate::config::Config;
use crate::draws::latents;
use crate::dual::{orthogonalise, project};
use crate::sample::AutoencoderSampler;

/// Images of the last batch that reports show with their reconstructions.
const SHOWN: usize = 16;

/// Networks and optimizer of a run of the auto-encoder.
pub struct AutoencoderTrainer {
    config: Config,
    store: ParamStore,
    encoder: Encoder,
    decoder: Decoder,
    params: ParamGroup,
    skips: Skips,
    /// Of the last batch, and their reconstructions before its update.
    shown: Option<[Tensor; 2]>,
    init: Init,
}

/// What one step computes.
pub struct Reconstructed {
    /// Mean squared error, a scalar.
    pub loss: Tensor,
    /// Codes `[B, code]`.
    pub codes: Tensor,
    /// Decoded codes, `[B, C, S, S]`.
    pub images: Tensor,
}

impl AutoencoderTrainer {
    /// Networks over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        config.validate()?;
        let source = store.source();
        let (encoder, decoder) = (Encoder::new(&source, config)?, Decoder::new(&source, config)?);
        store.finish()?;
        Ok(Self {
            config: config.clone(),
            params: ParamGroup::new("all", store.vars(""), config.train.adam(config.train.lr))?,
            store,
            encoder,
            decoder,
            skips: Skips::default(),
            shown: None,
            init: init.clone(),
        })
    }

    /// The parameters by name.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// E with its primal blocks.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Reconstructions of images `[B, C, S, S]` whose codes are moved onto `prior` `[B, code]`.
    pub fn reconstruct(&self, images: &Tensor, prior: &Tensor) -> Result<Reconstructed> {
        let codes = self.encoder.forward(images, prior, Weights::Tracked)?;
        let made = self.decoder.forward(&codes, Weights::Tracked)?;
        let loss = (squared_differences(&made, images)? / images.elem_count() as f64)?;
        Ok(Reconstructed { loss, codes: codes.detach(), images: made.detach() })
    }

    /// One update; false where it was skipped because its gradients were not finite.
    pub fn update(&mut self, loss: &Tensor) -> Result<bool> {
        let mut grads = backward(loss)?;
        if !all_finite(&self.params, &grads)? {
            step_all([])?;
            return Ok(false);
        }
        project(&self.store, "encoder.", &mut grads)?;
        step_all([(&mut self.params, &grads)])?;
        orthogonalise(&self.store, "encoder.")?;
        Ok(true)
    }
}

impl Trainer for AutoencoderTrainer {
    fn needs(&self) -> BatchSpec {
        let t = &self.config.train;
        BatchSpec { flip: t.flip, ..BatchSpec::clips(t.batch, self.config.clip_spec(), Pixels::Symmetric) }
    }

    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let (n, side, channels) = (self.config.train.batch, self.config.clip.side, self.config.clip.channels);
        expect_dims!("images", batch.clips.dims(), [(n), (channels), 1, (side), (side)])?;
        let images = batch.clips.squeeze(2)?;
        let prior = latents(&cx.rng, n, self.config.autoencoder.code, self.init.dtype, &self.init.device)?;
        let made = self.reconstruct(&images, &prior)?;
        let kept = self.update(&made.loss)?;
        self.skips.note(!kept);
        self.skips.log(cx.log, !kept, &[("reconstruction", &made.loss)]);
        cx.log.number("marginals", kolmogorov_smirnov(&made.codes)?);
        let first = |t: &Tensor| -> Result<Tensor> { Ok(t.narrow(0, 0, n.min(SHOWN))?.contiguous()?) };
        self.shown = Some([first(&images)?, first(&made.images)?]);
        Ok(())
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        let networks = (&self.encoder, &self.decoder);
        let sampler = AutoencoderSampler::borrowed(&self.config, networks, self.shown.clone(), &self.init);
        Ok(Box::new(sampler))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.store.parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, &[])?;
        self.skips.save(to)?;
        self.params.save(to)
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        let skips = Skips::load(from)?;
        self.store.load_from(from, &[])?;
        self.params.load(from)?;
        self.skips = skips;
        Ok(())
    }
}
