//! One iteration: updates of both discriminators, each on clips of its own, then one of the generator and of its average.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::grad::{Grads, backward, join};
use vg_core::nn::Mode;
use vg_core::ops::fold::unfold_frames;
use vg_core::ops::pool::{PoolParams, avg_pool};
use vg_core::ops::rows::take_rows;
use vg_core::optim::step_all;
use vg_core::train::{Part, accumulate};

use super::DvdganTrainer;
use crate::draws::{Draw, Draws};
use crate::layers::Run;
use crate::loss::{generator, hinge, orthogonal};

/// Real clips of one update.
#[derive(Clone, Debug)]
pub struct Real {
    /// `[B * T, C, H, W]`, the frames of a clip one after the other.
    pub frames: Tensor,
    /// Classes of the clips.
    pub classes: Vec<usize>,
}

impl Real {
    /// Some of the clips.
    pub(super) fn part(&self, part: Part) -> Result<Self> {
        let each = self.frames.dim(0)? / part.of.max(1);
        let frames = self.frames.narrow(0, part.start * each, part.len * each)?;
        Ok(Self { frames, classes: self.classes[part.start..][..part.len].to_vec() })
    }
}

/// Losses of one step, each before its update.
pub struct Losses {
    /// Of D_S and D_T, an entry for each of their updates.
    pub discriminators: Vec<[Tensor; 2]>,
    /// Of the generator on D_S and on D_T, which are added.
    pub generator: [Tensor; 2],
}

impl DvdganTrainer {
    /// One complete step. `real` are the clips of each update of the discriminators; where frames are given, also of the generator's.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for clips of another size, and those of the backward passes.
    pub fn train(&mut self, real: &[Real], draws: &Draws) -> Result<Losses> {
        let mut discriminators = Vec::with_capacity(draws.discriminators.len());
        for (real, draw) in real.iter().zip(&draws.discriminators) {
            let (grads, losses) = self.discriminator_gradients(real, draw)?;
            step_all([(&mut self.spatial_params, &grads), (&mut self.temporal_params, &grads)])?;
            discriminators.push(losses);
        }
        let real = real.get(draws.discriminators.len());
        let (grads, generator) = self.generator_gradients(real, &draws.generator)?;
        step_all([(&mut self.generator_params, &grads)])?;
        self.average.update(&self.store)?;
        Ok(Losses { discriminators, generator })
    }

    /// Gradients of both discriminators and their losses, from `train.micro_batch` clips at a time.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn discriminator_gradients(&self, real: &Real, draw: &Draw) -> Result<(Grads, [Tensor; 2])> {
        accumulate(draw.classes.len(), self.config.train.micro_batch, |part| {
            let (real, draw) = (real.part(part)?, draw.part(part)?);
            let run = Run::train(&self.config).part(part);
            // These clips need no gradients, but move the generator's power iterations and running statistics.
            let fake = self.generate(&draw, Some(&real), run.frozen())?;
            let losses = self.discriminator_losses(&real, &draw, &fake, run.mode)?;
            let spatial = self.regularised(&losses[0], "spatial.")?;
            let temporal = self.regularised(&losses[1], "temporal.")?;
            Ok((backward(&(spatial + temporal)?)?, losses))
        })
    }

    /// Gradients of the generator and its losses on D_S and D_T, from `train.micro_batch` clips at a time. `real` are the clips whose
    /// first frames are given.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn generator_gradients(&self, real: Option<&Real>, draw: &Draw) -> Result<(Grads, [Tensor; 2])> {
        accumulate(draw.classes.len(), self.config.train.micro_batch, |part| {
            let (real, draw) = (real.map(|real| real.part(part)).transpose()?, draw.part(part)?);
            let run = Run::train(&self.config).part(part);
            let fake = self.generate(&draw, real.as_ref(), run)?;
            let losses = self.generator_losses(real.as_ref(), &draw, &fake, run.mode)?;
            let total = self.regularised(&(&losses[0] + &losses[1])?, "generator.")?;
            Ok((backward(&total)?, losses))
        })
    }

    /// Generated frames `[B * T, C, H, W]` of a draw; `real` are the clips whose first frames are given.
    ///
    /// # Errors
    /// As [`Generator::forward`](crate::Generator::forward).
    pub fn generate(&self, draw: &Draw, real: Option<&Real>, run: Run) -> Result<Tensor> {
        let given = real.map(|real| self.given(real)).transpose()?.flatten();
        let embedding = self.generator.embed(&draw.classes, run.mode)?;
        self.generator.forward(&draw.z, &embedding, given.as_ref(), run)
    }

    /// Losses of D_S and D_T on real and generated clips, which go through each of them in one pass.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for clips of another size.
    pub fn discriminator_losses(
        &self,
        real: &Real,
        draw: &Draw,
        fake: &Tensor,
        mode: Mode,
    ) -> Result<[Tensor; 2]> {
        let ([s_fake, s_real], [t_fake, t_real]) = self.scores(real, draw, fake, mode)?;
        Ok([hinge(&s_real, &s_fake)?, hinge(&t_real, &t_fake)?])
    }

    /// Scores `[B]` of D_S on generated and on real clips, and those of D_T.
    pub(crate) fn scores(
        &self,
        real: &Real,
        draw: &Draw,
        fake: &Tensor,
        mode: Mode,
    ) -> Result<([Tensor; 2], [Tensor; 2])> {
        let (clips, fake) = (draw.classes.len(), fake.detach());
        let (generated, given) = (self.config.generated(), self.config.clip.given);
        let classes = [&draw.classes[..], &real.classes[..]].concat();
        let seen = [
            take_rows(&fake, &places(&draw.fake_frames, clips, generated, 0))?,
            take_rows(&real.frames, &places(&draw.real_frames, clips, self.config.clip.frames, given))?,
        ];
        let spatial = self.spatial.forward(&join(&seen)?, &classes, mode)?;
        let whole = [self.halved(&self.continued(Some(real), &fake)?)?, self.halved(&real.frames)?];
        let temporal = self.temporal.forward(&join(&whole)?, &classes, mode)?;
        let halves = |scores: &Tensor| -> Result<[Tensor; 2]> {
            Ok([scores.narrow(0, 0, clips)?, scores.narrow(0, clips, clips)?])
        };
        Ok((halves(&spatial)?, halves(&temporal)?))
    }

    /// Losses of the generator on D_S and D_T, whose weights are constants. `real` are the clips whose first frames are given.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for clips of another size.
    pub fn generator_losses(
        &self,
        real: Option<&Real>,
        draw: &Draw,
        fake: &Tensor,
        mode: Mode,
    ) -> Result<[Tensor; 2]> {
        let mode = mode.frozen();
        let seen = places(&draw.fake_frames, draw.classes.len(), self.config.generated(), 0);
        let spatial = self.spatial.forward(&take_rows(fake, &seen)?, &draw.classes, mode)?;
        let whole = self.halved(&self.continued(real, fake)?)?;
        let temporal = self.temporal.forward(&whole, &draw.classes, mode)?;
        Ok([generator(&spatial)?, generator(&temporal)?])
    }

    /// Given frames of clips, where the model has some.
    fn given(&self, real: &Real) -> Result<Option<Tensor>> {
        let (given, clips) = (self.config.clip.given, real.classes.len());
        if given == 0 {
            return Ok(None);
        }
        let first: Vec<usize> = (0..clips * given).map(|row| row % given).collect();
        Ok(Some(take_rows(&real.frames, &places(&first, clips, self.config.clip.frames, 0))?))
    }

    /// Generated frames behind the given ones.
    fn continued(&self, real: Option<&Real>, fake: &Tensor) -> Result<Tensor> {
        let Some(given) = real.map(|real| self.given(real)).transpose()?.flatten() else {
            return Ok(fake.clone());
        };
        let (n, frames) = (self.config.clip.given, self.config.clip.frames);
        let (before, generated) = (given.dim(0)?, frames - n);
        let place = |row: usize| match (row / frames, row % frames) {
            (clip, frame) if frame < n => clip * n + frame,
            (clip, frame) => before + clip * generated + frame - n,
        };
        let rows = before + fake.dim(0)?;
        take_rows(&join(&[given, fake.clone()])?, &(0..rows).map(place).collect::<Vec<_>>())
    }

    /// What D_T sees of frames: means of 2x2 pixels, as clips `[B, C, T, H / 2, W / 2]`.
    fn halved(&self, frames: &Tensor) -> Result<Tensor> {
        unfold_frames(&avg_pool(frames, &PoolParams::uniform(2, 2))?, self.config.clip.frames)
    }

    /// A loss with the orthogonal regularisation of the weights that it trains; the table of classes is left out, as in BigGAN's code.
    fn regularised(&self, loss: &Tensor, prefix: &str) -> Result<Tensor> {
        let strength = self.config.train.orthogonal;
        let mut total = loss.clone();
        if strength > 0.0 {
            for (name, var) in self.store.vars(prefix) {
                if var.rank() >= 2 && name != "generator.embed.weight" {
                    total = (total + orthogonal(var.as_tensor(), strength)?)?;
                }
            }
        }
        Ok(total)
    }
}

/// Rows of frames among clips of `frames` rows each, of which the first `skipped` are not counted; equally many frames of each clip.
fn places(of_clips: &[usize], clips: usize, frames: usize, skipped: usize) -> Vec<usize> {
    let each = of_clips.len() / clips.max(1);
    of_clips.iter().enumerate().map(|(k, frame)| k / each.max(1) * frames + skipped + frame).collect()
}
