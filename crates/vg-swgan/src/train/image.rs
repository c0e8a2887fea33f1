//! Training of the image model: some critic updates for one of the generator.

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::config::ModelConfig;
use vg_core::grad::backward;
use vg_core::model::Init;
use vg_core::nn::{ParamStore, Weights};
use vg_core::optim::{ParamGroup, step_all};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, Pixels, Result, expect_dims};

use super::finite::{Skips, all_finite};
use crate::config::Config;
use crate::draws::{CriticDraws, Draws};
use crate::dual::{DualBlocks, orthogonalise, project};
use crate::image::{ImageCritic, ImageGenerator, Statistics};
use crate::loss::{CriticLosses, critic_losses, generator_loss};
use crate::sample::ImageSampler;

/// Networks that only training needs.
const TRAINING: [&str; 2] = ["trunk", "dual"];
/// Where the number of steps lies in a checkpoint.
const STEPS: &str = "image.steps";

/// Networks and optimizers of a run of the image model.
pub struct ImageTrainer {
    config: Config,
    store: ParamStore,
    generator: ImageGenerator,
    trunk: ImageCritic,
    dual: DualBlocks,
    generator_params: ParamGroup,
    critic_params: ParamGroup,
    steps: u64,
    skips: Skips,
    init: Init,
}

impl ImageTrainer {
    /// Networks over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        config.validate()?;
        let source = store.source();
        let generator = ImageGenerator::new(&source, config)?;
        let trunk = ImageCritic::new(&source, config)?;
        let dual = DualBlocks::new(&source, config.networks.features, config.networks.dual_blocks)?;
        store.finish()?;
        let rule = config.train.adam(config.train.lr);
        let critic = store.vars("trunk.").into_iter().chain(store.vars("dual."));
        Ok(Self {
            config: config.clone(),
            generator_params: ParamGroup::new("generator", store.vars("generator."), rule)?,
            critic_params: ParamGroup::new("critic", critic, rule)?,
            store,
            generator,
            trunk,
            dual,
            steps: 0,
            skips: Skips::default(),
            init: init.clone(),
        })
    }

    /// The parameters by name.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// G.
    pub fn generator(&self) -> &ImageGenerator {
        &self.generator
    }

    /// D.
    pub fn trunk(&self) -> &ImageCritic {
        &self.trunk
    }

    /// The four dual blocks.
    pub fn dual(&self) -> &DualBlocks {
        &self.dual
    }

    /// Losses of the critic for real images `[B, C, S, S]`.
    pub fn critic_losses(&self, real: &Tensor, draws: &CriticDraws) -> Result<CriticLosses> {
        let fake = self.generator.forward(&draws.z, Weights::Constant, Statistics::Batch)?;
        let (trunk, dual) = (self.trunk.at(Weights::Tracked)?, self.dual.at(Weights::Tracked)?);
        critic_losses(&trunk, &dual, &self.config.penalties, (real, &fake), &draws.points, 1.0)
    }

    /// The generator's loss.
    pub fn generator_loss(&self, z: &Tensor) -> Result<Tensor> {
        let fake = self.generator.forward(z, Weights::Tracked, Statistics::Batch)?;
        generator_loss(&self.trunk.at(Weights::Constant)?, &self.dual.at(Weights::Constant)?, &fake)
    }

    /// One update of the critic; the losses before it, and whether it was made.
    pub fn update_critic(&mut self, real: &Tensor, draws: &CriticDraws) -> Result<(CriticLosses, bool)> {
        let losses = self.critic_losses(real, draws)?;
        let mut grads = backward(&losses.total)?;
        if !all_finite(&self.critic_params, &grads)? {
            step_all([])?;
            return Ok((losses, false));
        }
        project(&self.store, "dual.", &mut grads)?;
        step_all([(&mut self.critic_params, &grads)])?;
        orthogonalise(&self.store, "dual.")?;
        Ok((losses, true))
    }

    /// One update of the generator; the loss before it, and whether it was made.
    pub fn update_generator(&mut self, z: &Tensor) -> Result<(Tensor, bool)> {
        let loss = self.generator_loss(z)?;
        let grads = backward(&loss)?;
        let finite = all_finite(&self.generator_params, &grads)?;
        if finite {
            step_all([(&mut self.generator_params, &grads)])?;
        } else {
            step_all([])?;
        }
        Ok((loss, finite))
    }
}

impl Trainer for ImageTrainer {
    /// The images of all critic updates of a step.
    fn needs(&self) -> BatchSpec {
        let t = &self.config.train;
        let images = t.batch * t.critic_steps;
        BatchSpec { flip: t.flip, ..BatchSpec::clips(images, self.config.clip_spec(), Pixels::Symmetric) }
    }

    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let (n, updates) = (self.config.train.batch, self.config.train.critic_steps);
        let (side, channels) = (self.config.clip.side, self.config.clip.channels);
        expect_dims!("images", batch.clips.dims(), [(n * updates), (channels), 1, (side), (side)])?;
        let images = batch.clips.squeeze(2)?;
        let latent = self.config.networks.latent;
        let draws = Draws::new(&cx.rng, updates, n, latent, self.init.dtype, &self.init.device)?;
        let mut kept = true;
        // The official code's first iteration has no update of the generator.
        let generator = if self.steps > 0 {
            let (loss, made) = self.update_generator(&draws.z)?;
            kept &= made;
            Some(loss)
        } else {
            None
        };
        let mut critic = None;
        for (k, draws) in draws.critic.iter().enumerate() {
            let real = images.narrow(0, k * n, n)?.contiguous()?;
            let (losses, made) = self.update_critic(&real, draws)?;
            kept &= made;
            critic = Some(losses);
        }
        self.steps += 1;
        self.skips.note(!kept);
        let critic = critic.expect("a configuration has at least one critic update");
        let losses = [Some(("critic", &critic.total)), generator.as_ref().map(|loss| ("generator", loss))];
        self.skips.log(cx.log, !kept, &losses.into_iter().flatten().collect::<Vec<_>>());
        cx.log.tensor("wasserstein", &critic.wasserstein);
        cx.log.tensor("gradient_penalty", &critic.gradient_penalty);
        cx.log.tensor("feature_penalty", &critic.feature_penalty);
        Ok(())
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        Ok(Box::new(ImageSampler::borrowed(&self.config, &self.generator, &self.init)?))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.store.parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, &TRAINING)?;
        to.value(STEPS, &self.steps)?;
        self.skips.save(to)?;
        self.generator_params.save(to)?;
        self.critic_params.save(to)
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        let (steps, skips) = (from.value(STEPS)?, Skips::load(from)?);
        self.store.load_from(from, &TRAINING)?;
        self.generator_params.load(from)?;
        self.critic_params.load(from)?;
        (self.steps, self.skips) = (steps, skips);
        Ok(())
    }
}
