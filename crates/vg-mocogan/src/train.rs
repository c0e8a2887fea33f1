//! One iteration: the image discriminator, the video discriminator, then the generator, each on freshly generated batches.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::grad::backward;
use vg_core::loss::one_hot;
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::optim::{Adam, ParamGroup, step_all};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, Error, Pixels, Result, Rng, expect_dims};

use crate::config::{ClassLoss, Config, Task};
use crate::discriminator::{ImageDiscriminator, VideoDiscriminator};
use crate::draws::{Draws, Latents};
use crate::encoder::Encoder;
use crate::generator::Generator;
use crate::loss::{Terms, class_head_term, discriminator_terms, generator_terms, reconstruction, total};
use crate::noise::Noise;
use crate::sample::MocoganSampler;

/// Label group of the categorical model.
pub(crate) const LABELS: &str = "class";
/// Networks that are not needed to sample, by the start of their tensors' names.
const DISCRIMINATORS: [&str; 2] = ["image_discriminator", "video_discriminator"];

/// The real side of a step.
#[derive(Clone, Debug)]
pub struct Real {
    /// Single frames `[N, C, H, W]`.
    pub images: Tensor,
    /// Clips `[B, C, T, H, W]`.
    pub clips: Tensor,
    /// Classes of the clips, `[B]` u32; needed by the supervised class loss alone.
    pub labels: Option<Tensor>,
}

impl Real {
    /// First frames of the clips `[B, C, H, W]`.
    fn first_frames(&self) -> Result<Tensor> {
        Ok(self.clips.narrow(2, 0, 1)?.squeeze(2)?.contiguous()?)
    }
}

/// Losses of one step, each before its update.
pub struct Losses {
    /// L_DI.
    pub d_image: Tensor,
    /// L_DV.
    pub d_video: Tensor,
    /// L_G.
    pub g: Tensor,
    /// The terms of L_DV, then those of L_G.
    pub terms: [Terms; 2],
}

/// Networks and optimizers of a run.
pub struct MocoganTrainer {
    config: Config,
    store: ParamStore,
    generator: Generator,
    encoder: Option<Encoder>,
    image_discriminator: ImageDiscriminator,
    video_discriminator: VideoDiscriminator,
    generator_params: ParamGroup,
    image_params: ParamGroup,
    video_params: ParamGroup,
    init: Init,
}

impl MocoganTrainer {
    /// Networks with fresh weights.
    pub fn new(config: &Config, init: &Init) -> Result<Self> {
        let rng = Rng::new(init.seed).child("weights", 0);
        Self::over(ParamStore::init(rng, init.dtype, &init.device), config, init)
    }

    /// Networks over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        let source = store.source();
        let generator = Generator::new(&source, config)?;
        let encoder = encoder(&source, config)?;
        let image_discriminator = ImageDiscriminator::new(&source, config)?;
        let video_discriminator = VideoDiscriminator::new(&source, config)?;
        store.finish()?;
        let t = &config.train;
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
    pub fn image_discriminator(&self) -> &ImageDiscriminator {
        &self.image_discriminator
    }

    /// D_V.
    pub fn video_discriminator(&self) -> &VideoDiscriminator {
        &self.video_discriminator
    }

    /// One complete step: three updates, in the official order.
    pub fn train(&mut self, real: &Real, draws: &Draws) -> Result<Losses> {
        // The fakes of both discriminators need no gradients, but move the generator's running statistics.
        let fake = self.images(&draws.d_image, &real.images, Mode::TRAIN.frozen())?;
        let d_image = total(&self.image_terms(&real.images, &fake, &draws.image_noise)?)?;
        update(&mut self.image_params, &d_image)?;

        let fake = self.clips(&draws.d_video, &real.first_frames()?, Mode::TRAIN.frozen())?;
        let video_terms = self.video_terms(real, &fake, draws)?;
        let d_video = total(&video_terms)?;
        update(&mut self.video_params, &d_video)?;

        let images = self.images(&draws.g_image, &real.images, Mode::TRAIN)?;
        let clips = self.clips(&draws.g_video, &real.first_frames()?, Mode::TRAIN)?;
        let generator_terms = self.generator_terms(real, &images, &clips, draws)?;
        let g = total(&generator_terms)?;
        update(&mut self.generator_params, &g)?;
        Ok(Losses { d_image, d_video, g, terms: [video_terms, generator_terms] })
    }

    /// Generated frames `[N, C, H, W]`, one of each video; `given` are the frames that the image-to-video model starts from.
    pub fn images(&self, latents: &Latents, given: &Tensor, mode: Mode) -> Result<Tensor> {
        let codes = self.codes(latents, given, mode)?;
        let codes = window(&codes, &latents.first, 1)?.squeeze(1)?;
        self.generator.image.forward(&codes, mode)
    }

    /// Generated clips `[B, C, T, H, W]`; `given` as for [`MocoganTrainer::images`].
    pub fn clips(&self, latents: &Latents, given: &Tensor, mode: Mode) -> Result<Tensor> {
        let codes = self.codes(latents, given, mode)?;
        self.generator.decode(&window(&codes, &latents.first, self.config.clip.frames)?, mode)
    }

    fn codes(&self, latents: &Latents, given: &Tensor, mode: Mode) -> Result<Tensor> {
        let start = match &self.encoder {
            Some(encoder) => encoder.forward(given, mode)?,
            None => latents.start.clone(),
        };
        let steps = latents.noise.dim(1)?;
        let classes = categories(&self.config, latents.classes.as_ref(), steps, self.init.dtype)?;
        self.generator.codes(&start, &latents.noise, classes.as_ref(), mode)
    }

    /// Terms of L_DI: real, fake.
    pub fn image_terms(&self, real: &Tensor, fake: &Tensor, noise: &[Noise; 3]) -> Result<Terms> {
        let d = &self.image_discriminator;
        let real = d.forward(real, &noise[0], Mode::TRAIN)?;
        discriminator_terms(&real, &d.forward(&fake.detach(), &noise[1], Mode::TRAIN)?)
    }

    /// Terms of L_DV: real, fake, class.
    pub fn video_terms(&self, real: &Real, fake: &Tensor, draws: &Draws) -> Result<Terms> {
        let (d, noise) = (&self.video_discriminator, &draws.video_noise);
        let on_real = d.forward(&real.clips, &noise[0], Mode::TRAIN)?;
        let on_fake = d.forward(&fake.detach(), &noise[1], Mode::TRAIN)?;
        let t = &self.config.train;
        let (labels, drawn) = (real.labels.as_ref(), draws.d_video.classes.as_ref());
        let class = class_head_term(t.class_loss, t.class_weight, (&on_real, labels), (&on_fake, drawn))?;
        let mut terms = discriminator_terms(&on_real, &on_fake)?;
        terms.extend(class);
        Ok(terms)
    }

    /// Terms of L_G: image, video, class, and the reconstruction of the given frames in the image-to-video model.
    pub fn generator_terms(
        &self,
        real: &Real,
        images: &Tensor,
        clips: &Tensor,
        draws: &Draws,
    ) -> Result<Terms> {
        let mode = Mode::TRAIN.frozen();
        let image = self.image_discriminator.forward(images, &draws.image_noise[2], mode)?;
        let video = self.video_discriminator.forward(clips, &draws.video_noise[2], mode)?;
        let t = &self.config.train;
        let drawn = draws.g_video.classes.as_ref();
        let mut terms = generator_terms(t.class_loss, t.class_weight, &image, &video, drawn)?;
        if self.encoder.is_some() {
            let distance = reconstruction(clips, &real.first_frames()?)?;
            terms.push(("reconstruction", (distance * t.l1_weight)?));
        }
        Ok(terms)
    }

    /// The batch's part that a step uses, checked.
    fn real(&self, batch: &Batch) -> Result<Real> {
        let (n, side, channels) = (self.config.images(), self.config.clip.side, self.config.clip.channels);
        let images = batch.images.clone().ok_or_else(|| {
            Error::Data("the batch has no single frames beside its clips; MoCoGAN needs them".into())
        })?;
        expect_dims!("images", images.dims(), [(n), (channels), (side), (side)])?;
        let (count, frames) = (self.config.train.batch, self.config.clip.frames);
        expect_dims!("clips", batch.clips.dims(), [(count), (channels), (frames), (side), (side)])?;
        let labels = if self.needs_labels() { Some(batch.label(LABELS)?.clone()) } else { None };
        Ok(Real { images, clips: batch.clips.clone(), labels })
    }

    fn needs_labels(&self) -> bool {
        self.config.train.class_loss == ClassLoss::Supervised
    }
}

/// One update of a group from its loss.
fn update(group: &mut ParamGroup, loss: &Tensor) -> Result<()> {
    let grads = backward(loss)?;
    step_all([(group, &grads)])
}

fn is_discriminator(name: &str) -> bool {
    name.split('.').next().is_some_and(|network| DISCRIMINATORS.contains(&network))
}

/// The encoder, where the task has one.
pub(crate) fn encoder(source: &vg_core::nn::ParamSource, config: &Config) -> Result<Option<Encoder>> {
    Ok(match config.task {
        Task::Generate => None,
        Task::ImageToVideo => Some(Encoder::new(source, config)?),
    })
}

/// One-hot classes of every frame, `[B, steps, classes]`; `None` without classes.
pub(crate) fn categories(
    config: &Config,
    classes: Option<&Tensor>,
    steps: usize,
    dtype: DType,
) -> Result<Option<Tensor>> {
    let Some(classes) = classes else { return Ok(None) };
    let count = config.categories.count;
    let one_hot = one_hot(classes, count, dtype)?.unsqueeze(1)?;
    let batch = one_hot.dim(0)?;
    Ok(Some(one_hot.broadcast_as((batch, steps, count))?.contiguous()?))
}

/// `frames` rows of each video's latents `[B, K, z]`, from its own first one on.
fn window(codes: &Tensor, first: &[u32], frames: usize) -> Result<Tensor> {
    let (batch, steps, width) = codes.dims3()?;
    if steps == frames {
        return Ok(codes.clone());
    }
    let place = |(video, first): (usize, &u32)| {
        let start = (video * steps) as u32 + first;
        start..start + frames as u32
    };
    let rows: Vec<u32> = first.iter().enumerate().flat_map(place).collect();
    let rows = Tensor::from_vec(rows, batch * frames, codes.device())?;
    Ok(codes.reshape((batch * steps, width))?.index_select(&rows, 0)?.reshape((batch, frames, width))?)
}

impl Trainer for MocoganTrainer {
    fn needs(&self) -> BatchSpec {
        let t = &self.config.train;
        BatchSpec {
            images: self.config.images(),
            frame_stride: t.frame_stride,
            labels: if self.needs_labels() { vec![LABELS.to_owned()] } else { Vec::new() },
            ..BatchSpec::clips(t.batch, self.config.clip_spec(), Pixels::Symmetric)
        }
    }

    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let real = self.real(batch)?;
        let draws = Draws::new(&self.config, &cx.rng, self.init.dtype, &self.init.device)?;
        let losses = self.train(&real, &draws)?;
        cx.log.loss("image_discriminator", &losses.d_image);
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
        let networks = (&self.generator, self.encoder.as_ref());
        Ok(Box::new(MocoganSampler::borrowed(&self.config, networks, &self.init)))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.store.parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, &DISCRIMINATORS)?;
        [&self.generator_params, &self.image_params, &self.video_params]
            .into_iter()
            .try_for_each(|g| g.save(to))
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        self.store.load_from(from, &DISCRIMINATORS)?;
        let groups = [&mut self.generator_params, &mut self.image_params, &mut self.video_params];
        groups.into_iter().try_for_each(|g| g.load(from))
    }
}
