//! Networks, optimizers and state of a run; an iteration is in `train/step.rs`.

mod step;

use std::collections::BTreeMap;

use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::config::ModelConfig;
use vg_core::model::Init;
use vg_core::nn::ParamStore;
use vg_core::optim::{Adam, Ema, ParamGroup, Warmup};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, ClassCount, Error, Pixels, Result, Rng, expect_dims};

#[cfg(feature = "testing")]
pub(crate) use self::step::categories;
pub use self::step::{Losses, Real};
use crate::config::{ClassLoss, Config};
use crate::discriminator::{ImageDiscriminator, VideoDiscriminator};
use crate::draws::Draws;
use crate::encoder::Encoder;
use crate::generator::Generator;
use crate::sample::MocoganSampler;

/// Label group of the categorical model.
const LABELS: &str = "class";
/// Networks that are not needed to sample, by the start of their tensors' names.
const DISCRIMINATORS: [&str; 2] = ["image_discriminator", "video_discriminator"];
/// Networks that are not needed to sample where averages are.
const ALL: [&str; 4] = ["image_discriminator", "video_discriminator", "generator", "encoder"];

/// Networks and optimizers of a run.
pub struct MocoganTrainer {
    config: Config,
    store: ParamStore,
    generator: Generator,
    encoder: Option<Encoder>,
    image_discriminator: Option<ImageDiscriminator>,
    video_discriminator: VideoDiscriminator,
    generator_params: ParamGroup,
    image_params: ParamGroup,
    video_params: ParamGroup,
    average: Option<Average>,
    init: Init,
}

/// The networks that sample, which follow those in training.
struct Average {
    ema: Ema,
    generator: Generator,
    encoder: Option<Encoder>,
}

impl Average {
    fn new(live: &ParamStore, config: &Config, init: &Init) -> Result<Self> {
        let store = ParamStore::init(Rng::new(0), init.dtype, &init.device).precision(config.train.precision);
        let source = store.source();
        let (generator, encoder) = (Generator::new(&source, config)?, Encoder::of(&source, config)?);
        Ok(Self { ema: Ema::new(config.train.average, Warmup::Ramp, store, live)?, generator, encoder })
    }
}

impl MocoganTrainer {
    /// Networks with fresh weights.
    ///
    /// # Errors
    /// [`Error::Config`] for a configuration that does not make sense.
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
        let source = store.source();
        let generator = Generator::new(&source, config)?;
        let encoder = Encoder::of(&source, config)?;
        let image_discriminator = ImageDiscriminator::of(&source, config)?;
        let video_discriminator = VideoDiscriminator::new(&source, config)?;
        store.finish()?;
        let t = &config.train;
        let average = if t.average > 0.0 { Some(Average::new(&store, config, init)?) } else { None };
        let rule = Adam { weight_decay: t.weight_decay, ..Adam::new(t.lr, t.beta1, t.beta2) };
        let [image, video] = DISCRIMINATORS.map(|network| store.vars(&format!("{network}.")));
        let rest = store.vars("").into_iter().filter(|(name, _)| !is_discriminator(name));
        Ok(Self {
            config: config.clone(),
            generator,
            encoder,
            image_discriminator,
            video_discriminator,
            generator_params: ParamGroup::new("generator", rest, rule)?,
            image_params: ParamGroup::new("image_discriminator", image, rule)?,
            video_params: ParamGroup::new("video_discriminator", video, rule)?,
            store,
            average,
            init: init.clone(),
        })
    }

    /// The parameters and running statistics by name.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// R_M and G_I.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// D_I.
    ///
    /// # Errors
    /// [`Error::Unsupported`] in the model without it.
    pub fn image_discriminator(&self) -> Result<&ImageDiscriminator> {
        let none = || Error::Unsupported("this model has no image discriminator".into());
        self.image_discriminator.as_ref().ok_or_else(none)
    }

    /// D_V.
    pub fn video_discriminator(&self) -> &VideoDiscriminator {
        &self.video_discriminator
    }

    /// The batch's part that a step uses, checked.
    fn real(&self, batch: &Batch) -> Result<Real> {
        let (side, channels) = (self.config.clip.side, self.config.clip.channels);
        let (count, frames) = (self.config.train.batch, self.config.clip.frames);
        expect_dims!("clips", batch.clips.dims(), [(count), (channels), (frames), (side), (side)])?;
        let images = if self.config.judges_images() {
            let images = batch.images.clone().ok_or_else(|| {
                let problem =
                    "the batch has no single frames beside its clips; the image discriminator needs them";
                Error::Data(problem.into())
            })?;
            expect_dims!("images", images.dims(), [(self.config.images()), (channels), (side), (side)])?;
            Some(images)
        } else {
            None
        };
        let labels = if self.needs_labels() { Some(batch.label(LABELS)?.clone()) } else { None };
        Ok(Real { images, clips: batch.clips.clone(), labels })
    }

    /// Networks that a checkpoint keeps for training alone.
    fn training_networks(&self) -> &'static [&'static str] {
        if self.average.is_some() { &ALL } else { &DISCRIMINATORS }
    }

    fn needs_labels(&self) -> bool {
        self.config.train.class_loss == ClassLoss::Supervised
    }
}

fn is_discriminator(name: &str) -> bool {
    name.split('.').next().is_some_and(|network| DISCRIMINATORS.contains(&network))
}

impl Trainer for MocoganTrainer {
    fn needs(&self) -> BatchSpec {
        let (config, t) = (&self.config, &self.config.train);
        let mut spec = BatchSpec {
            images: if config.judges_images() { config.images() } else { 0 },
            frame_stride: t.frame_stride,
            ..BatchSpec::clips(t.batch, config.clip_spec(), Pixels::Symmetric)
        };
        if self.needs_labels() {
            let classes = ClassCount::new(config.categories.count, "categories.count");
            spec.labels = vec![LABELS.to_owned()];
            spec.classes = BTreeMap::from([(LABELS.to_owned(), classes)]);
        }
        spec
    }

    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let real = self.real(batch)?;
        let draws = Draws::new(&self.config, &cx.rng, self.init.dtype, &self.init.device)?;
        let losses = self.train(&real, &draws)?;
        if let Some(average) = &mut self.average {
            average.ema.update(&self.store)?;
        }
        if let Some(d_image) = &losses.d_image {
            cx.log.loss("image_discriminator", d_image);
        }
        cx.log.loss("video_discriminator", &losses.d_video);
        cx.log.loss("generator", &losses.g);
        let [video, generator] = &losses.terms;
        for (terms, names) in [(video, ["head_class", ""]), (generator, ["class", "reconstruction"])] {
            for (term, value) in terms {
                match *term {
                    "class" => cx.log.tensor(names[0], value),
                    "reconstruction" => cx.log.tensor(names[1], value),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        let networks = match &self.average {
            Some(average) => (&average.generator, average.encoder.as_ref()),
            None => (&self.generator, self.encoder.as_ref()),
        };
        Ok(Box::new(MocoganSampler::borrowed(&self.config, networks, &self.init)))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.store.parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, self.training_networks())?;
        if let Some(average) = &self.average {
            average.ema.save(to)?;
        }
        [&self.generator_params, &self.image_params, &self.video_params]
            .into_iter()
            .try_for_each(|g| g.save(to))
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        self.store.load_from(from, self.training_networks())?;
        if let Some(average) = &mut self.average {
            average.ema.load(from)?;
        }
        let groups = [&mut self.generator_params, &mut self.image_params, &mut self.video_params];
        groups.into_iter().try_for_each(|g| g.load(from))
    }
}
