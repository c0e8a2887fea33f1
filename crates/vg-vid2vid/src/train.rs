//! Networks, optimizers and state of a run; an update is in `train/update.rs`, its losses in `train/losses.rs`.

mod clip;
mod losses;
mod schedule;
#[cfg(test)]
mod tests;
mod update;

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::config::ModelConfig;
use vg_core::model::Init;
use vg_core::nn::ParamStore;
use vg_core::optim::{Adam, ParamGroup};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, ClassCount, ClipSpec, Error, Pixels, Result, Rng};

pub use self::clip::Chunk;
pub use self::losses::{Term, Whose};
use self::schedule::Plan;
pub use self::update::{Carry, Outcome};
use crate::config::Config;
use crate::networks::{Judges, Makers, TEMPORAL, TRAINING};
use crate::perceptual::Vgg;
use crate::sample::Vid2vidSampler;
use crate::source::{SEGMENTATION, flow_name};

/// Networks and optimizers of a run.
pub struct Vid2vidTrainer {
    config: Config,
    store: ParamStore,
    makers: Makers,
    judges: Judges,
    vgg: Option<Vgg>,
    generator_params: ParamGroup,
    image_params: ParamGroup,
    temporal_params: Vec<ParamGroup>,
    progress: Progress,
    init: Init,
}

/// Where the schedules are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// Whole passes over the data.
    epochs: u64,
    /// Whether the coarse generators stayed as they were in the last step.
    fixed: bool,
}

impl Vid2vidTrainer {
    /// Networks with fresh weights.
    ///
    /// # Errors
    /// [`Error::Config`] for a configuration that does not make sense.
    pub fn new(config: &Config, init: &Init) -> Result<Self> {
        config.validate()?;
        let rng = Rng::new(init.seed).child("weights", 0);
        Self::over(ParamStore::init(rng, init.dtype, &init.device), config, init)
    }

    /// Networks over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        config.validate()?;
        let store = store.precision(config.train.precision);
        let source = store.source();
        let makers = Makers::new(&source, config)?;
        let judges = Judges::new(&source, config)?;
        store.finish()?;
        let plan = Plan::new(config, 0);
        let [of_generators, of_images] = plan.betas();
        let group = |name: &'static str, prefixes: &[&str], lr, [beta1, beta2]: [f64; 2]| {
            let vars = prefixes.iter().flat_map(|prefix| store.vars(prefix));
            ParamGroup::new(name, vars, Adam::new(lr, beta1, beta2))
        };
        let plain = [config.train.beta1, config.train.beta2];
        let rates = plan.rates();
        let temporal = TEMPORAL.iter().take(config.discriminator.temporal_scales);
        let temporal = temporal
            .map(|name| group(name, &[&format!("{name}.")], rates.temporal, plain))
            .collect::<Result<_>>()?;
        Ok(Self {
            generator_params: group("generators", &["G", "E."], rates.generators, of_generators)?,
            image_params: group("images", &["D.", "D_f."], rates.images, of_images)?,
            temporal_params: temporal,
            config: config.clone(),
            store,
            makers,
            judges,
            vgg: None,
            progress: Progress::default(),
            init: init.clone(),
        })
    }

    /// Parameters and running statistics by name.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// Generators and encoder.
    pub fn makers(&self) -> &Makers {
        &self.makers
    }

    /// Discriminators.
    pub fn judges(&self) -> &Judges {
        &self.judges
    }

    /// The network of the perceptual distance, where there are weights for it.
    pub fn perceptual(&self) -> Option<&Vgg> {
        self.vgg.as_ref()
    }

    /// Takes weights for the perceptual distance, under torchvision's names `features.N` up to relu5_1; without them its term is off. `widths`
    /// are the stages' channels, [`VGG_WIDTHS`](crate::VGG_WIDTHS) as published.
    ///
    /// # Errors
    /// [`Error::Weights`] that lists every missing, unexpected or misshapen tensor.
    pub fn set_perceptual(&mut self, tensors: BTreeMap<String, Tensor>, widths: &[usize; 5]) -> Result<()> {
        let store = ParamStore::load(tensors, "the VGG-19 weights", self.init.dtype, &self.init.device)?;
        let store = store.precision(self.config.train.precision);
        let network = Vgg::new(&store.source(), widths)?;
        store.finish()?;
        self.vgg = Some(network);
        Ok(())
    }

    fn plan(&self) -> Plan<'_> {
        Plan::new(&self.config, self.progress.epochs)
    }
}

impl Trainer for Vid2vidTrainer {
    fn needs(&self) -> BatchSpec {
        let (config, t) = (&self.config, &self.config.train);
        let plan = self.plan();
        let generated = plan.chunk() * plan.chunks();
        let ClipSpec { height, width, channels, .. } = config.clip_spec();
        let clip = ClipSpec { frames: config.past() + generated, height, width, channels };
        let mut maps = config.map_names();
        let d = &config.discriminator;
        let strides = (0..d.temporal_scales).map(|scale| config.stride(scale));
        // A scale without a whole group in the sequence needs no flow; consecutive flows are needed in any case.
        let used = strides.filter(|stride| *stride == 1 || generated > stride * (d.frames - 1));
        maps.extend(std::iter::once(1).chain(used.filter(|stride| *stride > 1)).map(flow_name));
        let mut classes = BTreeMap::new();
        if config.maps.classes > 0 {
            classes.insert(SEGMENTATION.to_owned(), ClassCount::new(config.maps.classes, "maps.classes"));
        }
        BatchSpec {
            frame_stride: t.frame_stride,
            flip: t.flip,
            maps,
            classes,
            ..BatchSpec::clips(t.batch, clip, Pixels::Symmetric)
        }
    }

    /// Logs the terms of all losses, means over the updates of the sequence.
    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        self.progress.epochs = cx.epoch() as u64;
        let clip = self.clip(batch)?;
        self.apply_plan()?;
        let (chunk, chunks) = (self.plan().chunk(), self.plan().chunks());
        let mut logged: BTreeMap<&'static str, Vec<Tensor>> = BTreeMap::new();
        let mut carry = Carry::default();
        for number in 0..chunks {
            let outcome = self.train(&clip.chunk(number * chunk, chunk, &self.config)?, &carry)?;
            for (name, value) in outcome.totals.iter().map(|t| (t.0.name(), &t.1)) {
                logged.entry(name).or_default().push(value.detach());
            }
            for term in &outcome.terms {
                logged.entry(term.name).or_default().push(term.value.detach());
            }
            carry = outcome.carry;
        }
        for (name, values) in logged {
            cx.log.loss(name, &Tensor::stack(&values, 0)?.mean_all()?);
        }
        cx.log.number("frames", (chunk * chunks) as f64);
        cx.log.number("lr", self.plan().rates().generators);
        let seen = cx.clips_seen + self.config.train.batch as u64;
        self.progress.epochs = seen / cx.epoch_clips.max(1);
        Ok(())
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        let mut tensors = self.store.tensors("G");
        tensors.extend(self.store.tensors("E."));
        Ok(Box::new(Vid2vidSampler::over(&self.config, tensors, "the networks in training", &self.init)?))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.store.parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, &TRAINING)?;
        to.value("vid2vid.progress", &self.progress)?;
        self.generator_params.save(to)?;
        self.image_params.save(to)?;
        self.temporal_params.iter().try_for_each(|group| group.save(to))
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        let own: Vec<&str> =
            TRAINING.iter().copied().filter(|name| self.store.parameters().contains_key(*name)).collect();
        self.store.load_from(from, &own)?;
        self.progress = from.value("vid2vid.progress")?;
        self.generator_params.load(from)?;
        self.image_params.load(from)?;
        self.temporal_params.iter_mut().try_for_each(|group| group.load(from))
    }

    /// Takes every tensor of equal name and shape, as the official code does to add a scale: all of the generators below, and what fits of
    /// the discriminators.
    fn start_from(&mut self, from: &CheckpointReader) -> Result<()> {
        let own: BTreeMap<String, Tensor> = self.store.tensors("");
        let mut found = from.model_tensors().clone();
        for network in TRAINING {
            found.extend(
                from.train_all(network).into_iter().map(|(name, t)| (format!("{network}.{name}"), t)),
            );
        }
        found.retain(|name, tensor| own.get(name).is_some_and(|own| own.dims() == tensor.dims()));
        if !found.keys().any(|name| name.starts_with('G')) {
            let text = format!("{}: no tensor of a generator fits this model", from.path().display());
            return Err(Error::Data(text));
        }
        let mut all = own;
        all.extend(found);
        self.store.restore(&all, &from.path().display().to_string())
    }

    fn missing_start(&self) -> Option<&'static str> {
        (self.config.generator.scales > 1).then_some(
            "the coarser generators start with fresh weights, and their output layers get no gradients; train them first, at half the size with one scale fewer",
        )
    }
}
