//! One iteration: the image discriminator, the video discriminator, then the generator, each on freshly generated batches.

use candle_core::{DType, Tensor};
use vg_core::grad::backward;
use vg_core::loss::one_hot;
use vg_core::nn::Mode;
use vg_core::optim::{ParamGroup, step_all};
use vg_core::{Error, Result};

use super::MocoganTrainer;
use crate::config::Config;
use crate::draws::{Draws, Latents};
use crate::loss::{Terms, class_head_term, discriminator_terms, generator_terms, reconstruction, total};
use crate::noise::Noise;

/// The real side of a step.
#[derive(Clone, Debug)]
pub struct Real {
    /// Single frames `[N, C, H, W]`; absent without an image discriminator.
    pub images: Option<Tensor>,
    /// Clips `[B, C, T, H, W]`.
    pub clips: Tensor,
    /// Classes of the clips, `[B]` u32; needed by the supervised class loss alone.
    pub labels: Option<Tensor>,
}

impl Real {
    /// The single frames.
    ///
    /// # Errors
    /// [`Error::Data`] when there are none.
    pub fn images(&self) -> Result<&Tensor> {
        let none = || Error::Data("there are no single frames for the image discriminator".into());
        self.images.as_ref().ok_or_else(none)
    }

    /// First frames of the clips `[B, C, H, W]`.
    fn first_frames(&self) -> Result<Tensor> {
        Ok(self.clips.narrow(2, 0, 1)?.squeeze(2)?.contiguous()?)
    }
}

/// Losses of one step, each before its update.
pub struct Losses {
    /// L_DI; absent without an image discriminator.
    pub d_image: Option<Tensor>,
    /// L_DV.
    pub d_video: Tensor,
    /// L_G.
    pub g: Tensor,
    /// The terms of L_DV, then those of L_G.
    pub terms: [Terms; 2],
}

impl MocoganTrainer {
    /// One complete step: three updates, in the official order, or two without an image discriminator.
    pub fn train(&mut self, real: &Real, draws: &Draws) -> Result<Losses> {
        let d_image =
            if self.config.judges_images() { Some(self.train_on_images(real, draws)?) } else { None };

        // The fakes of a discriminator need no gradients, but move the generator's running statistics.
        let fake = self.clips(&draws.d_video, &real.first_frames()?, Mode::TRAIN.frozen())?;
        let video_terms = self.video_terms(real, &fake, draws)?;
        let d_video = total(&video_terms)?;
        update(&mut self.video_params, &d_video)?;

        let images = match &real.images {
            Some(given) if self.config.judges_images() => {
                Some(self.images(&draws.g_image, given, Mode::TRAIN)?)
            }
            _ => None,
        };
        let clips = self.clips(&draws.g_video, &real.first_frames()?, Mode::TRAIN)?;
        let generator_terms = self.generator_terms(real, images.as_ref(), &clips, draws)?;
        let g = total(&generator_terms)?;
        update(&mut self.generator_params, &g)?;
        Ok(Losses { d_image, d_video, g, terms: [video_terms, generator_terms] })
    }

    fn train_on_images(&mut self, real: &Real, draws: &Draws) -> Result<Tensor> {
        let images = real.images()?;
        let fake = self.images(&draws.d_image, images, Mode::TRAIN.frozen())?;
        let loss = total(&self.image_terms(images, &fake, &draws.image_noise)?)?;
        update(&mut self.image_params, &loss)?;
        Ok(loss)
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
    ///
    /// # Errors
    /// [`Error::Unsupported`] without an image discriminator.
    pub fn image_terms(&self, real: &Tensor, fake: &Tensor, noise: &[Noise; 3]) -> Result<Terms> {
        let d = self.image_discriminator()?;
        let real = d.forward(real, &noise[0], Mode::TRAIN)?;
        discriminator_terms(&real, &d.forward(&fake.detach(), &noise[1], Mode::TRAIN)?)
    }

    /// Terms of L_DV: real, fake, class.
    ///
    /// # Errors
    /// [`Error::Data`] for a supervised class loss without labels.
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

    /// Terms of L_G: image (with generated `images`), video, class, and the reconstruction of the given frames in the image-to-video
    /// model.
    pub fn generator_terms(
        &self,
        real: &Real,
        images: Option<&Tensor>,
        clips: &Tensor,
        draws: &Draws,
    ) -> Result<Terms> {
        let mode = Mode::TRAIN.frozen();
        let on_images = |x: &Tensor| self.image_discriminator()?.forward(x, &draws.image_noise[2], mode);
        let image = images.map(on_images).transpose()?;
        let video = self.video_discriminator.forward(clips, &draws.video_noise[2], mode)?;
        let t = &self.config.train;
        let drawn = draws.g_video.classes.as_ref();
        let mut terms = generator_terms(t.class_loss, t.class_weight, image.as_ref(), &video, drawn)?;
        if self.encoder.is_some() {
            let distance = reconstruction(clips, &real.first_frames()?)?;
            terms.push(("reconstruction", (distance * t.l1_weight)?));
        }
        Ok(terms)
    }
}

/// One update of a group from its loss.
fn update(group: &mut ParamGroup, loss: &Tensor) -> Result<()> {
    let grads = backward(loss)?;
    step_all([(group, &grads)])
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
