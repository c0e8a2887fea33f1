//! Generator against discriminator: one update of each on the same generated clips.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::grad::{Grads, backward, mark, rewind};
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::optim::{ParamGroup, step_all, step_since};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, Result, Rng};

use super::{clips, draw_z};
use crate::config::{Config, Variant};
use crate::discriminator::Discriminator;
use crate::generator::{Generator, Streams};
use crate::loss::{Verdict, first_frame_loss, mask_penalty, verdict_loss};
use crate::sample::VganSampler;

/// All random numbers of one step.
#[derive(Clone, Debug)]
pub struct Draws {
    /// `[B, z_dim]`, standard normal; absent in the conditional variant, which is deterministic.
    pub z: Option<Tensor>,
}

impl Draws {
    /// Draws for a batch of `n` clips.
    pub fn new(config: &Config, n: usize, rng: &Rng, dtype: DType, device: &Device) -> Result<Self> {
        let z = match config.variant {
            Variant::Conditional => None,
            _ => Some(draw_z(rng, n, config.generator.z_dim, dtype, device)?),
        };
        Ok(Self { z })
    }
}

/// What the generator minimises, all of them scalars.
#[derive(Clone, Debug)]
pub struct GeneratorLosses {
    /// Cross-entropy of the generated clips' logits against the class real.
    pub adversarial: Tensor,
    /// The weighted sparsity of the masks, where it has a weight.
    pub mask: Option<Tensor>,
    /// The weighted reconstruction of the given frame, in the conditional variant.
    pub reconstruction: Option<Tensor>,
}

impl GeneratorLosses {
    /// Their sum.
    pub fn total(&self) -> Result<Tensor> {
        let mut sum = self.adversarial.clone();
        for penalty in [&self.mask, &self.reconstruction].into_iter().flatten() {
            sum = (sum + penalty)?;
        }
        Ok(sum)
    }
}

/// The network that only training needs.
const DISCRIMINATOR: &str = "discriminator";

/// Losses of one step as they occur: each before the update that it leads to.
#[derive(Clone, Debug)]
pub struct Losses {
    /// Cross-entropy of the real clips' logits against the class real.
    pub real: Tensor,
    /// Cross-entropy of the generated clips' logits against the class fake.
    pub fake: Tensor,
    /// Against the updated discriminator.
    pub generator: GeneratorLosses,
}

/// Networks and optimizers of a run.
pub struct AdversarialTrainer {
    config: Config,
    store: ParamStore,
    generator: Generator,
    discriminator: Discriminator,
    generator_params: ParamGroup,
    discriminator_params: ParamGroup,
    init: Init,
}

impl AdversarialTrainer {
    /// Networks over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        let source = store.source();
        let generator = Generator::new(&source.pp("generator"), config)?;
        let discriminator = Discriminator::new(&source.pp("discriminator"), config)?;
        store.finish()?;
        let group =
            |name: &'static str, prefix: &str| ParamGroup::new(name, store.vars(prefix), config.train.adam());
        Ok(Self {
            config: config.clone(),
            generator,
            discriminator,
            generator_params: group("generator", "generator.")?,
            discriminator_params: group("discriminator", "discriminator.")?,
            store,
            init: init.clone(),
        })
    }

    /// The parameters and running statistics by name.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// The generator.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// The discriminator.
    pub fn discriminator(&self) -> &Discriminator {
        &self.discriminator
    }

    /// What the generator starts from: z, or the first frames of the real clips.
    pub fn source(&self, real: &Tensor, draws: &Draws) -> Result<Tensor> {
        match &draws.z {
            Some(z) => Ok(z.clone()),
            None => first_frame(real),
        }
    }

    /// The discriminator's loss on clips of one kind, in training mode.
    pub fn verdict(&self, clips: &Tensor, kind: Verdict) -> Result<Tensor> {
        verdict_loss(&self.discriminator.forward(clips, Mode::TRAIN)?, kind)
    }

    /// The generator's losses on its clips, against the discriminator as it is, whose weights are constants here.
    pub fn generator_losses(&self, streams: &Streams, real: &Tensor) -> Result<GeneratorLosses> {
        let (t, conditional) = (&self.config.train, self.config.variant == Variant::Conditional);
        let logits = self.discriminator.forward(&streams.video, Mode::TRAIN.frozen())?;
        let mask = match &streams.parts {
            Some(parts) if t.mask_weight > 0.0 => {
                Some(mask_penalty(&parts.mask, t.mask_weight, t.mask_reduction)?)
            }
            _ => None,
        };
        let reconstruction = if conditional {
            let frame = first_frame(real)?;
            Some(first_frame_loss(&streams.video, &frame, t.reconstruction_weight, t.reconstruction)?)
        } else {
            None
        };
        Ok(GeneratorLosses { adversarial: verdict_loss(&logits, Verdict::Real)?, mask, reconstruction })
    }

    /// One step: the discriminator on real and on generated clips, then the generator on the same generated clips against the updated
    /// discriminator.
    ///
    /// Source: paper, section 3; official `main.lua`. Real and generated clips are normalised by their own statistics.
    pub fn update(&mut self, real: &Tensor, draws: &Draws) -> Result<Losses> {
        let start = mark();
        let (loss_real, mut grads) = self.judge(real, Verdict::Real)?;
        rewind(start);
        let streams = self.generator.forward(&self.source(real, draws)?, Mode::TRAIN)?;
        let generated = mark();
        let (loss_fake, more) = self.judge(&streams.video.detach(), Verdict::Fake)?;
        grads.accumulate(more)?;
        step_since(generated, [(&mut self.discriminator_params, &grads)])?;
        drop(grads);

        let generator = self.generator_losses(&streams, real)?;
        let grads = backward(&generator.total()?)?;
        step_all([(&mut self.generator_params, &grads)])?;
        Ok(Losses { real: loss_real, fake: loss_fake, generator })
    }

    fn judge(&self, clips: &Tensor, kind: Verdict) -> Result<(Tensor, Grads)> {
        let loss = self.verdict(clips, kind)?;
        let grads = backward(&loss)?;
        Ok((loss, grads))
    }
}

/// `[B, 3, T, H, W]` -> `[B, 3, H, W]`.
pub(crate) fn first_frame(clips: &Tensor) -> Result<Tensor> {
    Ok(clips.narrow(2, 0, 1)?.squeeze(2)?.contiguous()?)
}

impl Trainer for AdversarialTrainer {
    fn needs(&self) -> BatchSpec {
        clips(&self.config)
    }

    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let n = batch.clips.dim(0)?;
        let draws = Draws::new(&self.config, n, &cx.rng, self.init.dtype, &self.init.device)?;
        let losses = self.update(&batch.clips, &draws)?;
        cx.log.loss("real", &losses.real);
        cx.log.loss("fake", &losses.fake);
        cx.log.loss("generator", &losses.generator.adversarial);
        if let Some(mask) = &losses.generator.mask {
            cx.log.loss("mask", mask);
        }
        if let Some(reconstruction) = &losses.generator.reconstruction {
            cx.log.loss("reconstruction", reconstruction);
        }
        Ok(())
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        Ok(Box::new(VganSampler::of_generator(&self.config, &self.generator, &self.init)))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.store.parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, &[DISCRIMINATOR])?;
        self.generator_params.save(to)?;
        self.discriminator_params.save(to)
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        self.store.load_from(from, &[DISCRIMINATOR])?;
        self.generator_params.load(from)?;
        self.discriminator_params.load(from)
    }
}
