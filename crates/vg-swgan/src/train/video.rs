//! Training of the video model: one update of the critic, one of the generator, at a size that grows.

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::config::ModelConfig;
use vg_core::grad::{Grads, backward};
use vg_core::model::Init;
use vg_core::nn::{ParamStore, Weights};
use vg_core::ops::pool::{PoolParams, avg_pool};
use vg_core::ops::upsample::{Interpolation, upsample_by};
use vg_core::optim::{Ema, ParamGroup, Warmup, step_all};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, ClipSpec, Pixels, Result, Rng, expect_dims};

use super::finite::{Skips, all_finite};
use crate::config::Config;
use crate::discriminator::Trunk;
use crate::draws::{CriticDraws, Draws};
use crate::dual::{DualBlocks, orthogonalise, project};
use crate::generator::Generator;
use crate::growth::{Position, Stage, resets};
use crate::loss::{CriticLosses, critic_losses, generator_loss};
use crate::sample::VideoSampler;
use crate::sizes::{enlargement, frames, time_factor};

/// Networks that only training needs: all in training, since the generator's average is what samples.
const TRAINING: [&str; 3] = ["generator", "trunk", "dual"];
/// Where the position in the schedule lies in a checkpoint.
const POSITION: &str = "growth.position";

/// Networks, optimizers and position of a run of the video model.
pub struct VideoTrainer {
    config: Config,
    store: ParamStore,
    generator: Generator,
    trunk: Trunk,
    dual: DualBlocks,
    generator_params: ParamGroup,
    critic_params: ParamGroup,
    average: Ema,
    averages: ParamStore,
    averaged: Generator,
    position: Position,
    skips: Skips,
    init: Init,
}

/// Losses of one step and what of it was left out.
pub struct Step {
    /// The critic's.
    pub critic: CriticLosses,
    /// The generator's, against the updated critic.
    pub generator: Tensor,
    /// Whether an update was skipped because its gradients were not finite.
    pub skipped: bool,
}

impl VideoTrainer {
    /// Networks over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        config.validate()?;
        let source = store.source();
        let generator = Generator::new(&source, config)?;
        let trunk = Trunk::new(&source, config)?;
        let dual = DualBlocks::new(&source, config.networks.features, config.networks.dual_blocks)?;
        store.finish()?;
        let averages = ParamStore::init(Rng::new(0), init.dtype, &init.device);
        let averaged = Generator::new(&averages.source(), config)?;
        let position = Position::start(config);
        let rule = config.train.adam(Stage::at(config, position.lod).lr);
        let critic = store.vars("trunk.").into_iter().chain(store.vars("dual."));
        let trainer = Self {
            config: config.clone(),
            generator_params: ParamGroup::new("generator", store.vars("generator."), rule)?,
            critic_params: ParamGroup::new("critic", critic, rule)?,
            average: Ema::new(config.train.average, Warmup::Copy(0), averages.clone(), &store)?,
            averages,
            averaged,
            store,
            generator,
            trunk,
            dual,
            position,
            skips: Skips::default(),
            init: init.clone(),
        };
        trainer.note_lod()?;
        Ok(trainer)
    }

    /// The parameters by name.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// G.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// Gs, the average of G.
    pub fn averaged(&self) -> &Generator {
        &self.averaged
    }

    /// The tensors of Gs by the names of G's.
    pub fn averaged_tensors(&self) -> BTreeMap<String, Tensor> {
        self.averages.tensors("")
    }

    /// D.
    pub fn trunk(&self) -> &Trunk {
        &self.trunk
    }

    /// R.
    pub fn dual(&self) -> &DualBlocks {
        &self.dual
    }

    /// Where the run stands in the schedule.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What the schedule says there.
    pub fn stage(&self) -> Stage {
        Stage::at(&self.config, self.position.lod)
    }

    /// Real clips with all frames, `[B, C, T(R), 2^r, 2^r]`, as the critic sees them: time averaged to the size of the stage, and in a fade
    /// mixed with their averages of the size below.
    ///
    /// Source: specification, section 2.4; where time does not change, the fade does not blur it.
    pub fn shown(&self, clips: &Tensor) -> Result<Tensor> {
        let Stage { size, fade, .. } = self.stage();
        let times = frames(self.config.levels()) / frames(size);
        let clips = match times {
            1 => clips.clone(),
            _ => avg_pool(clips, &PoolParams::per_axis([times, 1, 1]))?,
        };
        if fade == 0.0 {
            return Ok(clips);
        }
        let factors = [time_factor(size), 2, 2];
        let small = avg_pool(&clips, &PoolParams::per_axis(factors))?;
        let blurred = upsample_by(&small, &factors, Interpolation::Nearest)?;
        Ok(((clips * (1.0 - fade))? + (blurred * fade)?)?)
    }

    /// Losses of the critic for real clips as it sees them.
    pub fn critic_losses(&self, real: &Tensor, draws: &CriticDraws) -> Result<CriticLosses> {
        let lod = self.position.lod;
        let fake = self.generator.forward(&draws.z, lod, Weights::Constant)?;
        let (trunk, dual) = (self.trunk.at(lod, Weights::Tracked)?, self.dual.at(Weights::Tracked)?);
        let pixels = enlargement(self.config.levels(), self.stage().size);
        critic_losses(&trunk, &dual, &self.config.penalties, (real, &fake), &draws.points, pixels)
    }

    /// The generator's loss.
    pub fn generator_loss(&self, z: &Tensor) -> Result<Tensor> {
        let lod = self.position.lod;
        let fake = self.generator.forward(z, lod, Weights::Tracked)?;
        let (trunk, dual) = (self.trunk.at(lod, Weights::Constant)?, self.dual.at(Weights::Constant)?);
        generator_loss(&trunk, &dual, &fake)
    }

    /// Updates critic, average and generator, in this order, for real clips as the critic sees them.
    pub fn train(&mut self, real: &Tensor, draws: &Draws) -> Result<Step> {
        let critic = self.critic_losses(real, &draws.critic[0])?;
        let kept = self.update_critic(backward(&critic.total)?)?;
        self.average.update(&self.store)?;
        self.note_lod()?;
        let generator = self.generator_loss(&draws.z)?;
        let grads = backward(&generator)?;
        let finite = all_finite(&self.generator_params, &grads)?;
        if finite {
            step_all([(&mut self.generator_params, &grads)])?;
        } else {
            step_all([])?;
        }
        let skipped = !(kept && finite);
        self.skips.note(skipped);
        Ok(Step { critic, generator, skipped })
    }

    /// The critic's update with orthogonal matrices that stay so; false where it was skipped.
    fn update_critic(&mut self, mut grads: Grads) -> Result<bool> {
        if !all_finite(&self.critic_params, &grads)? {
            step_all([])?;
            return Ok(false);
        }
        project(&self.store, "dual.", &mut grads)?;
        step_all([(&mut self.critic_params, &grads)])?;
        orthogonalise(&self.store, "dual.")?;
        Ok(true)
    }

    /// The level of detail is part of the weights: a sampler reads it.
    fn note_lod(&self) -> Result<()> {
        self.generator.set_lod(self.position.lod)?;
        self.averaged.set_lod(self.position.lod)
    }

    /// Goes on in the schedule.
    fn advance(&mut self, clips: usize) -> Result<()> {
        let before = self.position.lod;
        self.position.advance(&self.config, clips);
        if resets(before, self.position.lod) {
            self.generator_params.reset()?;
            self.critic_params.reset()?;
        }
        self.set_lr();
        self.note_lod()
    }

    fn set_lr(&mut self) {
        let lr = self.stage().lr;
        self.generator_params.set_lr(lr);
        self.critic_params.set_lr(lr);
    }

    /// All frames of a clip, at the width and height of the stage, as the official data have them: means of the full size.
    fn clip(&self) -> ClipSpec {
        let side = 1 << self.stage().size;
        ClipSpec { height: side, width: side, ..self.config.clip_spec() }
    }
}

impl Trainer for VideoTrainer {
    fn needs(&self) -> BatchSpec {
        let clip = self.clip();
        let averaged = self.config.clip.side / clip.height;
        let spec = BatchSpec::clips(self.stage().batch, clip, Pixels::Symmetric);
        BatchSpec { flip: self.config.train.flip, averaged, ..spec }
    }

    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let (n, ClipSpec { frames, height, width, channels }) = (self.stage().batch, self.clip());
        expect_dims!("clips", batch.clips.dims(), [(n), (channels), (frames), (height), (width)])?;
        let latent = self.config.networks.latent;
        let draws = Draws::new(&cx.rng, 1, n, latent, self.init.dtype, &self.init.device)?;
        let lod = self.position.lod;
        let step = self.train(&self.shown(&batch.clips)?, &draws)?;
        self.skips.log(
            cx.log,
            step.skipped,
            &[("critic", &step.critic.total), ("generator", &step.generator)],
        );
        cx.log.tensor("wasserstein", &step.critic.wasserstein);
        cx.log.tensor("gradient_penalty", &step.critic.gradient_penalty);
        cx.log.tensor("feature_penalty", &step.critic.feature_penalty);
        cx.log.number("lod", lod);
        cx.log.number("side", height as f64);
        self.advance(n)
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        Ok(Box::new(VideoSampler::borrowed(&self.config, &self.averaged, &self.init)))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.store.parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, &TRAINING)?;
        self.average.save(to)?;
        to.value(POSITION, &self.position)?;
        self.skips.save(to)?;
        self.generator_params.save(to)?;
        self.critic_params.save(to)
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        let (position, skips) = (from.value(POSITION)?, Skips::load(from)?);
        self.store.load_from(from, &TRAINING)?;
        self.average.load(from)?;
        self.generator_params.load(from)?;
        self.critic_params.load(from)?;
        (self.position, self.skips) = (position, skips);
        self.set_lr();
        Ok(())
    }
}
