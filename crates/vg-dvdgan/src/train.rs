//! Networks, optimizers and state of a run; an iteration is in `train/step.rs`.

mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::config::ModelConfig;
use vg_core::model::Init;
use vg_core::nn::ParamStore;
use vg_core::ops::fold::fold_frames;
use vg_core::optim::{Adam, Ema, ParamGroup, Warmup};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, Pixels, Result, Rng, expect_dims};

pub use self::step::{Losses, Real};
use crate::config::Config;
use crate::discriminator::Discriminator;
use crate::draws::Draws;
use crate::generator::Generator;
use crate::sample::DvdganSampler;

/// Networks in training, by the start of their tensors' names: samples are made with the generator's average.
const TRAINED: [&str; 3] = ["generator", "spatial", "temporal"];

/// Networks and optimizers of a run.
pub struct DvdganTrainer {
    config: Config,
    store: ParamStore,
    generator: Generator,
    spatial: Discriminator,
    temporal: Discriminator,
    generator_params: ParamGroup,
    spatial_params: ParamGroup,
    temporal_params: ParamGroup,
    average: Ema,
    averaged: ParamStore,
    init: Init,
}

impl DvdganTrainer {
    /// Networks with fresh weights.
    ///
    /// # Errors
    /// [`vg_core::Error::Config`] for a configuration that does not make sense.
    pub fn new(config: &Config, init: &Init) -> Result<Self> {
        config.validate()?;
        let rng = Rng::new(init.seed).child("weights", 0);
        Self::over(ParamStore::init(rng, init.dtype, &init.device), config, init)
    }

    /// Networks over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        config.validate()?;
        let source = store.source();
        let generator = Generator::new(&source, config)?;
        let spatial = Discriminator::spatial(&source, config)?;
        let temporal = Discriminator::temporal(&source, config)?;
        store.finish()?;
        let t = &config.train;
        let group = |name: &'static str, lr| {
            ParamGroup::new(name, store.vars(&format!("{name}.")), Adam::new(lr, t.beta1, t.beta2))
        };
        let averaged = copy_of(&store, init)?;
        Generator::new(&averaged.source(), config)?;
        let warmup = Warmup::Copy(t.average_start);
        Ok(Self {
            config: config.clone(),
            generator,
            spatial,
            temporal,
            generator_params: group("generator", t.lr_generator)?,
            spatial_params: group("spatial", t.lr_discriminator)?,
            temporal_params: group("temporal", t.lr_discriminator)?,
            average: Ema::new(t.average, warmup, averaged.clone(), &store)?,
            averaged,
            store,
            init: init.clone(),
        })
    }

    /// The parameters, vectors of power iterations and running statistics by name.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// The same of the generator's average, which samples are made with.
    pub fn averaged(&self) -> &ParamStore {
        &self.averaged
    }

    /// G.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// D_S.
    pub fn spatial(&self) -> &Discriminator {
        &self.spatial
    }

    /// D_T.
    pub fn temporal(&self) -> &Discriminator {
        &self.temporal
    }

    /// The clips of every update, checked.
    fn real(&self, batch: &Batch) -> Result<Vec<Real>> {
        let (clip, count, each) = (&self.config.clip, self.config.clips_of_a_step(), self.config.train.batch);
        let (frames, side, channels) = (clip.frames, clip.side, clip.channels);
        expect_dims!("clips", batch.clips.dims(), [(count), (channels), (frames), (side), (side)])?;
        let classes = self.config.classes.of_batch(batch, count)?;
        let of_update = |k: usize| -> Result<Real> {
            let clips = batch.clips.narrow(0, k * each, each)?.contiguous()?;
            Ok(Real { frames: fold_frames(&clips)?, classes: classes[k * each..(k + 1) * each].to_vec() })
        };
        (0..count / each).map(of_update).collect()
    }
}

/// The store of a generator whose tensors are those of another store, by value.
fn copy_of(store: &ParamStore, init: &Init) -> Result<ParamStore> {
    let tensors: BTreeMap<String, Tensor> = store.tensors("generator.");
    ParamStore::load(tensors, "the generator in training", init.dtype, &init.device)
}

impl Trainer for DvdganTrainer {
    fn needs(&self) -> BatchSpec {
        let (config, t) = (&self.config, &self.config.train);
        BatchSpec {
            frame_stride: t.frame_stride,
            flip: t.flip,
            labels: config.classes.groups.clone(),
            classes: config.classes.wanted(),
            ..BatchSpec::clips(config.clips_of_a_step(), config.clip_spec(), Pixels::Symmetric)
        }
    }

    /// Logs the losses of the discriminators, means over their updates, and of the generator on each of them.
    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let real = self.real(batch)?;
        let draws = Draws::new(&self.config, &cx.rng, self.init.dtype, &self.init.device)?;
        let losses = self.train(&real, &draws)?;
        let mean = |of: fn(&[Tensor; 2]) -> &Tensor| -> Result<Tensor> {
            let all: Vec<Tensor> = losses.discriminators.iter().map(|pair| of(pair).detach()).collect();
            Ok(Tensor::stack(&all, 0)?.mean_all()?)
        };
        cx.log.loss("spatial", &mean(|pair| &pair[0])?);
        cx.log.loss("temporal", &mean(|pair| &pair[1])?);
        let [spatial, temporal] = &losses.generator;
        cx.log.loss("generator_spatial", spatial);
        cx.log.loss("generator_temporal", temporal);
        Ok(())
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        let tensors = self.averaged.tensors("");
        Ok(Box::new(DvdganSampler::over(&self.config, tensors, "the average in training", &self.init)?))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.store.parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, &TRAINED)?;
        self.average.save(to)?;
        [&self.generator_params, &self.spatial_params, &self.temporal_params]
            .into_iter()
            .try_for_each(|group| group.save(to))
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        let mut saved = BTreeMap::new();
        for network in TRAINED {
            let tensors = from.train_all(network).into_iter();
            saved.extend(tensors.map(|(name, tensor)| (format!("{network}.{name}"), tensor)));
        }
        self.store.restore(&saved, &from.path().display().to_string())?;
        self.average.load(from)?;
        let groups = [&mut self.generator_params, &mut self.spatial_params, &mut self.temporal_params];
        groups.into_iter().try_for_each(|group| group.load(from))
    }
}
