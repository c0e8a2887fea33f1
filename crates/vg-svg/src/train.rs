//! Networks, optimizer and state of a run.

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::config::ModelConfig;
use vg_core::grad::{Grads, backward};
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::optim::{Adam, ParamGroup, step_all};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer, accumulate};
use vg_core::{Batch, BatchSpec, Pixels, Result, Rng, expect_dims};

use crate::config::Config;
use crate::draws::Draws;
use crate::loss::Losses;
use crate::networks::Networks;
use crate::sample::SvgSampler;
use crate::unroll::{Unrolled, unroll};

/// Networks and optimizer of a run.
pub struct SvgTrainer {
    config: Config,
    store: ParamStore,
    networks: Networks,
    params: ParamGroup,
    init: Init,
}

impl SvgTrainer {
    /// Networks with fresh weights.
    ///
    /// # Errors
    /// [`vg_core::Error::Config`] for a configuration that does not make sense.
    pub fn new(config: &Config, init: &Init) -> Result<Self> {
        let rng = Rng::new(init.seed).child("weights", 0);
        Self::over(
            ParamStore::init(rng, init.dtype, &init.device).precision(config.train.precision),
            config,
            init,
        )
    }

    /// Networks over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        config.validate()?;
        let networks = Networks::new(&store.source(), config)?;
        store.finish()?;
        let t = &config.train;
        // The official code has an optimizer for each network, all with the same settings on the same loss: one does the same.
        let rule = Adam { eps: t.eps, ..Adam::new(t.lr, t.beta1, t.beta2) };
        let params = ParamGroup::new("networks", store.vars(""), rule)?;
        Ok(Self { config: config.clone(), store, networks, params, init: init.clone() })
    }

    /// The parameters and running statistics by name.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// The networks.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// The pass over clips `[B, C, T, H, W]` that a step makes: [`unroll`] in training mode.
    ///
    /// # Errors
    /// As [`unroll`].
    pub fn unroll(&self, clips: &Tensor, draws: &Draws) -> Result<Unrolled> {
        unroll(&self.networks, &self.config, clips, draws.eps.as_ref(), Mode::TRAIN)
    }

    /// Gradients of all networks and the losses, from `train.micro_batch` clips at a time.
    ///
    /// # Errors
    /// As [`unroll`], and those of the backward pass.
    pub fn gradients(&self, clips: &Tensor, draws: &Draws, mode: Mode) -> Result<(Grads, Losses)> {
        let t = &self.config.train;
        let latent = draws.eps.is_some();
        let (grads, [total, mse, kl]) = accumulate(clips.dim(0)?, t.micro_batch, |part| {
            let (clips, draws) = (part.narrow(clips, 0)?, draws.part(part)?);
            let out = unroll(&self.networks, &self.config, &clips, draws.eps.as_ref(), mode)?;
            let Losses { total, mse, kl } = out.losses(t.beta)?;
            let kl = kl.map_or_else(|| mse.zeros_like(), Ok)?;
            Ok((backward(&total)?, [total, mse, kl]))
        })?;
        Ok((grads, Losses { total, mse, kl: latent.then_some(kl) }))
    }

    /// One update of all networks; the losses are those before it.
    ///
    /// # Errors
    /// As [`gradients`](Self::gradients).
    pub fn train(&mut self, clips: &Tensor, draws: &Draws) -> Result<Losses> {
        let (grads, losses) = self.gradients(clips, draws, Mode::TRAIN)?;
        step_all([(&mut self.params, &grads)])?;
        Ok(losses)
    }
}

impl Trainer for SvgTrainer {
    fn needs(&self) -> BatchSpec {
        let t = &self.config.train;
        BatchSpec {
            frame_stride: t.frame_stride,
            flip: t.flip,
            ..BatchSpec::clips(t.batch, self.config.clip_spec(), Pixels::Unit)
        }
    }

    /// Logs `loss`, which is minimised, and `mse` and `kl` as the official code does: their sums over the predicted frames, divided by
    /// the number of all frames.
    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let (clip, count) = (self.config.clip_spec(), self.config.train.batch);
        let (channels, frames, height, width) = (clip.channels, clip.frames, clip.height, clip.width);
        expect_dims!("clips", batch.clips.dims(), [(count), (channels), (frames), (height), (width)])?;
        let draws = Draws::new(&self.config, &cx.rng, self.init.dtype, &self.init.device)?;
        let losses = self.train(&batch.clips, &draws)?;
        let a_frame = |sum: &Tensor| sum.detach() / frames as f64;
        cx.log.loss("loss", &losses.total);
        cx.log.tensor("mse", &a_frame(&losses.mse)?);
        if let Some(kl) = &losses.kl {
            cx.log.tensor("kl", &a_frame(kl)?);
        }
        Ok(())
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        Ok(Box::new(SvgSampler::over(&self.config, &self.networks, &self.init)))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.store.parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, &[])?;
        self.params.save(to)
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        self.store.load_from(from, &[])?;
        self.params.load(from)
    }
}
