//! Comparison with golden files of the PyTorch reference (feature `testing`).

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use vg_core::Result;
use vg_core::grad::backward;
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::ops::conv::Precision;
use vg_core::testing::{Checker, Fixture, ParityReport, Tolerance};

use crate::config::{
    Categories, CategoryInput, ClassLoss, Clip, Config, Discriminator, Generator, ImageKind, Latent, Task,
    Train, VideoKind, WeightInit,
};
use crate::discriminator::Logits;
use crate::draws::{Draws, Latents};
use crate::generator::Start;
use crate::loss::{Terms, total};
use crate::noise::Noise;
use crate::train::{MocoganTrainer, Real, categories};

/// Configuration as the reference writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    size: usize,
    frames: usize,
    channels: usize,
    z_content: usize,
    z_motion: usize,
    categories: usize,
    category_input: CategoryInput,
    image_discriminator: ImageKind,
    video_discriminator: VideoKind,
    class_loss: ReferenceLoss,
    class_weight: f64,
    noise_sigma: f64,
    g_width: usize,
    d_width: usize,
    lr: f64,
    weight_decay: f64,
    batch: usize,
    image_batch: Option<usize>,
}

/// [`ClassLoss`] as the reference writes it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReferenceLoss {
    Supervised,
    Infogan,
    ReferenceInfoganOnly,
    None,
}

impl Reference {
    fn config(self) -> Config {
        Config {
            task: Task::Generate,
            clip: Clip { frames: self.frames, side: self.size, channels: self.channels },
            latent: Latent { content: self.z_content, motion: self.z_motion },
            categories: Categories { count: self.categories, input: self.category_input },
            generator: Generator { width: self.g_width, slope: 0.0 },
            discriminator: Discriminator {
                width: self.d_width,
                image: self.image_discriminator,
                video: self.video_discriminator,
                noise: self.noise_sigma,
            },
            init: WeightInit::Modern,
            train: Train {
                batch: self.batch,
                image_batch: self.image_batch.unwrap_or(0),
                frame_stride: 2,
                lr: self.lr,
                beta1: 0.5,
                beta2: 0.999,
                average: 0.0,
                weight_decay: self.weight_decay,
                class_loss: match self.class_loss {
                    ReferenceLoss::Supervised => ClassLoss::Supervised,
                    ReferenceLoss::Infogan => ClassLoss::Infogan,
                    ReferenceLoss::ReferenceInfoganOnly => ClassLoss::ReferenceInfoganOnly,
                    ReferenceLoss::None => ClassLoss::None,
                },
                class_weight: self.class_weight,
                l1_weight: 0.0,
                lengths: Vec::new(),
                length_weights: Vec::new(),
                precision: Precision::Full,
            },
        }
    }
}

/// Compares everything in a golden file that is the model's: motion codes, frames, clips and logits in training and evaluation mode,
/// losses and gradients term by term at the initial parameters, losses and parameters over one and three steps (in f64 only: the
/// first steps of Adam are nearly sign(gradient), which f32 rounding flips).
///
/// # Errors
/// When the file is damaged, of another model, or holds entries that nothing computes.
pub fn run(fixture: &Fixture, dtype: DType, tolerance: Tolerance) -> Result<ParityReport> {
    let case = Case { fixture, dtype, config: fixture.config::<Reference>()?.config() };
    let mut checker = Checker::new(fixture, tolerance);
    case.motion(&mut checker)?;
    case.outputs(&mut checker, "out", Mode::TRAIN)?;
    case.outputs(&mut checker, "eval", Mode::EVAL)?;
    case.losses(&mut checker)?;
    if dtype == DType::F64 {
        case.steps(&mut checker)?;
    } else {
        for prefix in ["after.", "after3.", "loss.steps"] {
            checker.skip(
                prefix,
                "several steps are compared in f64: f32 rounding flips the sign-like first steps of Adam",
            );
        }
    }
    for (prefix, owner) in
        [("out.shapes.", "vg-data"), ("out.sampler.", "vg-data"), ("out.acd.", "vg-metrics")]
    {
        checker.skip(prefix, &format!("data and metrics are not the model's; {owner} tests them"));
    }
    checker.finish()
}

struct Case<'a> {
    fixture: &'a Fixture,
    dtype: DType,
    config: Config,
}

impl Case<'_> {
    /// The reference's networks as they are before the first step; its names are ours.
    fn trainer(&self) -> Result<MocoganTrainer> {
        let init = Init { device: Device::Cpu, dtype: self.dtype, seed: 0 };
        let tensors = self.fixture.group("param.", self.dtype)?;
        let source = self.fixture.path().display().to_string();
        MocoganTrainer::over(
            ParamStore::load(tensors, source, self.dtype, &init.device)?,
            &self.config,
            &init,
        )
    }

    fn input(&self, name: &str) -> Result<Tensor> {
        self.fixture.tensor(&format!("in.{name}"), self.dtype)
    }

    fn real(&self, step: usize) -> Result<Real> {
        let batch = self.config.train.batch;
        let labels = match self.config.categories.count {
            0 => None,
            _ => Some(self.input("labels")?.narrow(0, step, batch)?.to_dtype(DType::U32)?),
        };
        Ok(Real {
            images: Some(self.input("images")?.narrow(0, step, self.config.images())?.contiguous()?),
            clips: self.input("clips")?.narrow(0, step, batch)?.contiguous()?,
            labels,
        })
    }

    fn latents(&self, draw: &str, step: usize) -> Result<Latents> {
        let of = |field: &str| -> Result<Tensor> { Ok(self.input(&format!("{draw}.{field}"))?.get(step)?) };
        let first = if draw.ends_with("image") {
            of("frame")?.to_dtype(DType::U32)?.to_vec1()?
        } else {
            vec![0; self.config.train.batch]
        };
        let classes = match self.config.categories.count {
            0 => None,
            _ => Some(of("category")?.to_dtype(DType::U32)?),
        };
        Ok(Latents {
            start: Start { content: of("content")?, state: of("h0")? },
            noise: of("noise")?,
            classes,
            first,
        })
    }

    /// Random numbers of a step; the tape of noise goes on from `tape`, or starts anew for every pass.
    fn draws(&self, nets: &MocoganTrainer, step: usize, mut tape: Option<&mut usize>) -> Result<Draws> {
        let (images, clips) = (self.config.images(), self.config.train.batch);
        let shapes = [
            nets.image_discriminator()?.noise_shapes(images),
            nets.video_discriminator().noise_shapes(clips),
        ];
        let mut noise = |kind: usize| -> Result<Noise> {
            let mut anew = 0;
            self.noise(&shapes[kind], tape.as_deref_mut().unwrap_or(&mut anew))
        };
        // The order of passes in a step.
        let [image_real, image_fake] = [noise(0)?, noise(0)?];
        let [video_real, video_fake] = [noise(1)?, noise(1)?];
        let [image_g, video_g] = [noise(0)?, noise(1)?];
        Ok(Draws {
            d_image: self.latents("d_image", step)?,
            d_video: self.latents("d_video", step)?,
            g_image: self.latents("g_image", step)?,
            g_video: self.latents("g_video", step)?,
            image_noise: [image_real, image_fake, image_g],
            video_noise: [video_real, video_fake, video_g],
        })
    }

    /// Tensors of the given shapes from the tape, which is read in a circle.
    fn noise(&self, shapes: &[Vec<usize>], used: &mut usize) -> Result<Noise> {
        if self.config.discriminator.noise == 0.0 {
            return Ok(Noise::Off);
        }
        let tape = self.input("tape")?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let mut tensor = |shape: &Vec<usize>| -> Result<Tensor> {
            let n: usize = shape.iter().product();
            let values: Vec<f64> = (*used..*used + n).map(|i| tape[i % tape.len()]).collect();
            *used += n;
            Ok(Tensor::from_vec(values, &shape[..], &Device::Cpu)?.to_dtype(self.dtype)?)
        };
        Ok(Noise::Given(shapes.iter().map(&mut tensor).collect::<Result<_>>()?))
    }

    fn motion(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (nets, latents) = (self.trainer()?, self.latents("d_video", 0)?);
        let longer = Tensor::cat(&[&latents.noise, &self.input("longer.noise")?], 1)?;
        for (name, noise) in [("motion", &latents.noise), ("motion_longer", &longer)] {
            let classes = categories(&self.config, latents.classes.as_ref(), noise.dim(1)?, self.dtype)?;
            let motion = &nets.generator().motion;
            let codes = motion.forward(&latents.start.state, noise, classes.as_ref(), Mode::EVAL)?;
            checker.output(&format!("out.generator.{name}"), &codes)?;
        }
        Ok(())
    }

    fn outputs(&self, checker: &mut Checker<'_>, prefix: &str, mode: Mode) -> Result<()> {
        let (nets, real) = (self.trainer()?, self.real(0)?);
        let (draws, given) = (self.draws(&nets, 0, None)?, real.images()?);
        let images = nets.images(&draws.d_image, given, mode)?;
        let clips = nets.clips(&draws.d_video, given, mode)?;
        checker.output(&format!("{prefix}.generator.images"), &images)?;
        checker.output(&format!("{prefix}.generator.video"), &clips)?;
        let silent = mode == Mode::EVAL;
        let heard = |noise: &Noise| if silent { Noise::Off } else { noise.clone() };
        let (image, video) = (nets.image_discriminator()?, nets.video_discriminator());
        for (pass, label, images, clips) in [(0, "real", given, &real.clips), (1, "fake", &images, &clips)] {
            let on_images = image.forward(images, &heard(&draws.image_noise[pass]), mode)?;
            logits(checker, &format!("{prefix}.image_discriminator.{label}"), &on_images)?;
            let on_clips = video.forward(clips, &heard(&draws.video_noise[pass]), mode)?;
            logits(checker, &format!("{prefix}.video_discriminator.{label}"), &on_clips)?;
        }
        Ok(())
    }

    fn losses(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (nets, real) = (self.trainer()?, self.real(0)?);
        let (draws, given) = (self.draws(&nets, 0, None)?, real.images()?);
        let images = nets.images(&draws.d_image, given, Mode::TRAIN)?;
        compare(checker, &nets, "d_image", &nets.image_terms(given, &images, &draws.image_noise)?)?;
        let clips = nets.clips(&draws.d_video, given, Mode::TRAIN)?;
        compare(checker, &nets, "d_video", &nets.video_terms(&real, &clips, &draws)?)?;
        let images = nets.images(&draws.g_image, given, Mode::TRAIN)?;
        let clips = nets.clips(&draws.g_video, given, Mode::TRAIN)?;
        compare(checker, &nets, "g", &nets.generator_terms(&real, Some(&images), &clips, &draws)?)
    }

    fn steps(&self, checker: &mut Checker<'_>) -> Result<()> {
        let mut nets = self.trainer()?;
        let (mut losses, mut tape) = (Vec::with_capacity(3), 0);
        for step in 0..3 {
            let draws = self.draws(&nets, step, Some(&mut tape))?;
            let found = nets.train(&self.real(step)?, &draws)?;
            let parts: Vec<Tensor> = found.d_image.into_iter().chain([found.d_video, found.g]).collect();
            losses.push(Tensor::stack(&parts, 0)?);
            let stage = ["after", "", "after3"][step];
            if !stage.is_empty() {
                checker.changes(stage, &nets.store().tensors(""))?;
            }
        }
        checker.output("loss.steps", &Tensor::stack(&losses, 0)?)
    }
}

fn logits(checker: &mut Checker<'_>, name: &str, found: &Logits) -> Result<()> {
    checker.output(name, &found.real)?;
    match &found.classes {
        Some(classes) => checker.output(&format!("{name}_class"), classes),
        None => Ok(()),
    }
}

/// The terms of a loss and their sum, with their gradients.
fn compare(checker: &mut Checker<'_>, nets: &MocoganTrainer, loss: &str, terms: &Terms) -> Result<()> {
    let parts = terms.iter().map(|(term, value)| (format!("{loss}_{term}"), value.clone()));
    for (name, value) in parts.chain([(loss.to_owned(), total(terms)?)]) {
        checker.output(&format!("loss.{name}"), &value)?;
        let grads = backward(&value)?;
        let named =
            |(name, var): (String, candle_core::Var)| Some((name, grads.get(var.as_tensor())?.clone()));
        let found: BTreeMap<String, Tensor> = nets.store().vars("").into_iter().filter_map(named).collect();
        checker.gradients(&name, &found)?;
    }
    Ok(())
}
