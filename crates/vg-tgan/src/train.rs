//! One simultaneous update of generators and critic.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::grad::{Grads, backward, backward_from};
use vg_core::loss::one_hot;
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::optim::{ParamGroup, RmsProp, step_all};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, Pixels, Result, Rng};

use crate::config::{Config, FRAMES, Loss};
use crate::constraint::constrain;
use crate::discriminator::{Critic, noise_shapes};
use crate::generator::Generator;
use crate::latent::draw_z0;
use crate::loss::{critic_loss, generator_loss};
use crate::sample::TganSampler;

/// Label group of the conditional model.
pub(crate) const LABELS: &str = "class";
/// The network that only training needs.
const CRITIC: &str = "critic";

/// All random numbers of one step.
#[derive(Clone, Debug)]
pub struct Draws {
    /// `[B, z0_dim]`, uniform in [-1, 1).
    pub z0: Tensor,
    /// Classes of the generated clips, `[B]` u32; absent without classes.
    pub classes: Option<Tensor>,
    /// Standard normal tensors for the critic's layers on the generated clips; empty without noise.
    pub noise_fake: Vec<Tensor>,
    /// The same on the real clips.
    pub noise_real: Vec<Tensor>,
    /// Order of frames of the generated and of the real clips, when they are shuffled.
    pub frame_order: Option<[Vec<u32>; 2]>,
}

impl Draws {
    /// Draws for a batch of `n` clips. Generated clips take the real batch's classes, so that the critic sees both alike.
    pub fn new(
        config: &Config,
        n: usize,
        classes: Option<Tensor>,
        rng: &Rng,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let z0 = draw_z0(&mut rng.stream("z0"), n, config.generator.z0_dim, dtype, device)?;
        let noise = |name: &str| -> Result<Vec<Tensor>> {
            if config.critic.noise_std == 0.0 {
                return Ok(Vec::new());
            }
            let mut stream = rng.stream(name);
            noise_shapes(config, n).iter().map(|s| stream.normal_tensor(&s[..], dtype, device)).collect()
        };
        let mut order = rng.stream("frame order");
        let shuffled = order.unit() < config.train.shuffle_time;
        let frame_order = shuffled
            .then(|| [(); 2].map(|()| order.permutation(FRAMES).into_iter().map(|k| k as u32).collect()));
        Ok(Self {
            z0,
            classes,
            noise_fake: noise("noise fake")?,
            noise_real: noise("noise real")?,
            frame_order,
        })
    }
}

/// Losses and gradients at one set of weights.
pub struct Gradients {
    /// The generators' loss, a scalar.
    pub generator_loss: Tensor,
    /// The critic's loss, a scalar.
    pub critic_loss: Tensor,
    /// Gradients of the generators' loss for their variables.
    pub generator: Grads,
    /// Gradients of the critic's loss for its variables.
    pub critic: Grads,
}

/// Networks and optimizers of a run.
pub struct TganTrainer {
    config: Config,
    store: ParamStore,
    generator: Generator,
    critic: Critic,
    generator_params: ParamGroup,
    critic_params: ParamGroup,
    init: Init,
}

impl TganTrainer {
    /// Networks with fresh weights.
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
        let source = store.source();
        let generator = Generator::new(&source, config)?;
        let critic = Critic::new(&source, config)?;
        store.finish()?;
        let t = &config.train;
        let rule = RmsProp { lr: t.lr, alpha: t.alpha, eps: t.eps, placement: t.eps_placement };
        let (critics, generators) =
            store.vars("").into_iter().partition::<Vec<_>, _>(|(k, _)| k.starts_with("critic."));
        Ok(Self {
            config: config.clone(),
            generator,
            critic,
            generator_params: ParamGroup::new("generator", generators, rule)?,
            critic_params: ParamGroup::new("critic", critics, rule)?,
            store,
            init: init.clone(),
        })
    }

    /// The parameters and running statistics by name.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// The generators.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// The critic.
    pub fn critic(&self) -> &Critic {
        &self.critic
    }

    /// Losses and gradients for real clips `[B, C, 16, H, W]`, all batch norms in training mode.
    ///
    /// The critic sees the generated clips first, as its running statistics are updated in that order. Its pass over them serves
    /// both losses: the clips enter it as a variable of their own, whose gradient is handed on to the generators.
    pub fn gradients(&self, real: &Tensor, draws: &Draws) -> Result<Gradients> {
        let labels = self.one_hot(draws.classes.as_ref())?;
        let latent = with_label(&draws.z0, labels.as_ref())?;
        let fake = self.generator.forward(&latent, FRAMES, Mode::TRAIN)?;
        let (fake, real) = match &draws.frame_order {
            Some([of_fake, of_real]) => (reorder(&fake, of_fake)?, reorder(real, of_real)?),
            None => (fake, real.clone()),
        };
        let leaf = Var::from_tensor(&fake.detach())?;
        let score_fake =
            self.critic.forward(leaf.as_tensor(), labels.as_ref(), &draws.noise_fake, Mode::TRAIN)?;
        let score_real = self.critic.forward(&real, labels.as_ref(), &draws.noise_real, Mode::TRAIN)?;
        let loss = self.config.train.loss;
        let generator_loss = generator_loss(loss, &score_fake)?;
        let critic_loss = critic_loss(loss, &score_fake, &score_real)?;

        let critic = backward(&critic_loss)?;
        let through = self.gradient_of_clips(&generator_loss, &critic, &leaf)?;
        let generator = backward_from(&fake, &through)?;
        Ok(Gradients { generator_loss, critic_loss, generator, critic })
    }

    /// Gradient of the generators' loss for the generated clips.
    ///
    /// In a WGAN the critic's loss holds the same term with the opposite sign, so that its backward pass has already made it.
    fn gradient_of_clips(&self, generator_loss: &Tensor, critic: &Grads, leaf: &Var) -> Result<Tensor> {
        let taken = "the generated clips enter both losses";
        if self.config.train.loss == Loss::Wgan {
            return Ok(critic.get(leaf.as_tensor()).expect(taken).neg()?);
        }
        Ok(backward(generator_loss)?.remove(leaf.as_tensor()).expect(taken))
    }

    /// Updates both networks from gradients taken before, then applies the critic's constraint. `step` counts from 1.
    pub fn apply(&mut self, gradients: &Gradients, step: u64) -> Result<()> {
        let (generator, critic) = (&gradients.generator, &gradients.critic);
        step_all([(&mut self.generator_params, generator), (&mut self.critic_params, critic)])?;
        constrain(&self.store, &self.config.train, step)
    }

    fn one_hot(&self, classes: Option<&Tensor>) -> Result<Option<Tensor>> {
        match classes {
            Some(c) => Ok(Some(one_hot(c, self.config.classes, self.init.dtype)?)),
            None => Ok(None),
        }
    }
}

/// z0 with the one-hot class behind it.
pub(crate) fn with_label(z0: &Tensor, one_hot: Option<&Tensor>) -> Result<Tensor> {
    Ok(match one_hot {
        Some(label) => Tensor::cat(&[z0, label], 1)?,
        None => z0.clone(),
    })
}

fn reorder(clips: &Tensor, order: &[u32]) -> Result<Tensor> {
    let order = Tensor::new(order, clips.device())?;
    Ok(clips.index_select(&order, 2)?)
}

impl Trainer for TganTrainer {
    fn needs(&self) -> BatchSpec {
        let labels = if self.config.classes > 0 { vec![LABELS.to_owned()] } else { Vec::new() };
        let t = &self.config.train;
        BatchSpec {
            labels,
            flip: t.flip,
            ..BatchSpec::clips(t.batch, self.config.clip_spec(), Pixels::Centered128)
        }
    }

    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let classes = if self.config.classes > 0 { Some(batch.label(LABELS)?.clone()) } else { None };
        let n = batch.clips.dim(0)?;
        let draws = Draws::new(&self.config, n, classes, &cx.rng, self.init.dtype, &self.init.device)?;
        let gradients = self.gradients(&batch.clips, &draws)?;
        cx.log.loss("generator", &gradients.generator_loss);
        cx.log.loss("critic", &gradients.critic_loss);
        self.apply(&gradients, cx.step)
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        Ok(Box::new(TganSampler::borrowed(&self.config, &self.generator, &self.init)))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.store.parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, &[CRITIC])?;
        self.generator_params.save(to)?;
        self.critic_params.save(to)
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        self.store.load_from(from, &[CRITIC])?;
        self.generator_params.load(from)?;
        self.critic_params.load(from)
    }
}
