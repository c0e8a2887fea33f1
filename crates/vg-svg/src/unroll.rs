//! The pass over a training clip.

use candle_core::Tensor;
use vg_core::nn::Mode;
use vg_core::ops::rows::take_rows;
use vg_core::{Error, Result, expect_dims};

use crate::config::Config;
use crate::gaussian::Gaussian;
use crate::loss::{Losses, kl_fixed_prior, kl_learned_prior, reconstruction};
use crate::networks::{LatentNetworks, Networks};

/// Predictions of the frames 1 to T - 1 of clips, each from the true frames before it, with the terms of the loss. Entry k of every
/// list belongs to frame k + 1.
#[derive(Clone, Debug)]
pub struct Unrolled {
    /// Predicted frames, `[B, T - 1, C, H, W]` in (0, 1).
    pub frames: Tensor,
    /// Their mean squared errors, `[T - 1]`.
    pub mse: Tensor,
    /// KL divergences, `[T - 1]`; nothing in the deterministic variant.
    pub kl: Option<Tensor>,
    /// Posteriors of the latents; empty likewise.
    pub posteriors: Vec<Gaussian>,
    /// Learned priors of the latents; empty in the other variants.
    pub priors: Vec<Gaussian>,
}

impl Unrolled {
    /// Sums over frames.
    ///
    /// # Errors
    /// Those of the sums.
    pub fn losses(&self, beta: f64) -> Result<Losses> {
        Losses::new(&self.mse, self.kl.as_ref(), beta)
    }
}

/// The frames of clips `[B, C, T, H, W]`, `[B, C, H, W]` each.
pub(crate) fn frames(clips: &Tensor) -> Result<Vec<Tensor>> {
    let frame = |t| Ok(clips.narrow(2, t, 1)?.squeeze(2)?.contiguous()?);
    (0..clips.dim(2)?).map(frame).collect()
}

/// Goes through clips with teacher forcing: every prediction sees true frames, and the latent is drawn from the posterior, which sees the
/// frame to be predicted.
///
/// Each frame is encoded once. All frames of a clip are known, so encoder and decoder take them in one call each, and only the recurrent
/// networks go step by step; batch norms see one time step at a time, in the order of time, which fixes what their running statistics
/// become. The official SVG-LP script encodes inner frames twice, which changes nothing else.
///
/// Source: official code, `train_svg_lp.py`, `train`.
///
/// # Shapes
/// - `clips` `[B, C, T, H, W]` in [0, 1], T at least 2
/// - `eps` standard normal, `[T - 1, B, latent]`; not used by the deterministic variant
///
/// # Errors
/// [`Error::Shape`] for clips of another size or without random numbers, [`Error::Unsupported`] for clips of a single frame,
/// [`Error::Tensor`] for other random numbers.
pub fn unroll(
    networks: &Networks,
    config: &Config,
    clips: &Tensor,
    eps: Option<&Tensor>,
    mode: Mode,
) -> Result<Unrolled> {
    expect_dims!("clips", clips.dims(), [B, C, T, H, W])?;
    let [batch, steps] = [clips.dims()[0], clips.dims()[2]];
    if steps < 2 {
        let problem = format!("clips of {steps} frames; at least 2 are needed to predict one");
        return Err(Error::Unsupported(problem));
    }
    let frames = clips.transpose(1, 2)?.contiguous()?;
    let encoded = networks.encoder.forward_steps(&frames.flatten_to(1)?, steps, mode)?;
    let vectors = vectors(&encoded.vector, steps)?;
    let latents = match &networks.latent {
        Some(latent) => Latents::unroll(latent, &vectors, mode)?,
        None => Latents::default(),
    };
    let mut states = networks.predictor.start(batch)?;
    let mut predict = |k: usize| {
        let z = match (latents.posteriors.get(k), eps) {
            (Some(posterior), Some(eps)) => Some(posterior.sample(&eps.get(k)?)?),
            _ => None,
        };
        networks.predictor.step(&vectors[k], z.as_ref(), &mut states, mode)
    };
    let predicted = (0..steps - 1).map(&mut predict).collect::<Result<Vec<_>>>()?;
    let predicted = Tensor::stack(&predicted, 1)?.flatten_to(1)?;

    let sources = skip_sources(config, steps);
    let kept = sources[steps - 2] + 1;
    let given = networks.decoder.given(&first_frames(&encoded.skips, steps, kept)?, mode)?;
    let of: Vec<usize> = (0..batch).flat_map(|clip| sources.iter().map(move |s| clip * kept + s)).collect();
    let made = networks.decoder.forward_steps(&predicted, &given, &of, steps - 1, mode)?;

    let targets = frames.narrow(1, 1, steps - 1)?;
    let frames = made.reshape(targets.shape())?;
    let mse = reconstruction(&frames, &targets)?;
    let kl = if latents.kl.is_empty() { None } else { Some(Tensor::stack(&latents.kl, 0)?) };
    Ok(Unrolled { frames, mse, kl, posteriors: latents.posteriors, priors: latents.priors })
}

/// `[B * steps, features]` by step, `[B, features]` each.
fn vectors(all: &Tensor, steps: usize) -> Result<Vec<Tensor>> {
    let (rows, features) = all.dims2()?;
    let all = all.reshape((rows / steps, steps, features))?;
    (0..steps).map(|k| Ok(all.narrow(1, k, 1)?.squeeze(1)?.contiguous()?)).collect()
}

/// The frame whose feature maps each of the frames 1 to T - 1 is decoded beside; never an earlier one than for the frame before.
fn skip_sources(config: &Config, frames: usize) -> Vec<usize> {
    let next = |kept: &mut usize, frame: usize| {
        if config.takes_skips(frame) {
            *kept = frame - 1;
        }
        Some(*kept)
    };
    (1..frames).scan(0, next).collect()
}

/// The feature maps of the first `kept` of `steps` frames of each clip, `[B * kept, ...]`.
fn first_frames(skips: &[Tensor], steps: usize, kept: usize) -> Result<Vec<Tensor>> {
    let first = |skip: &Tensor| {
        let of: Vec<usize> =
            (0..skip.dim(0)? / steps).flat_map(|clip| (0..kept).map(move |k| clip * steps + k)).collect();
        take_rows(skip, &of)
    };
    skips.iter().map(first).collect()
}

/// Distributions of the latents of the frames 1 to T - 1 with their divergences.
#[derive(Default)]
struct Latents {
    posteriors: Vec<Gaussian>,
    priors: Vec<Gaussian>,
    kl: Vec<Tensor>,
}

impl Latents {
    fn unroll(networks: &LatentNetworks, vectors: &[Tensor], mode: Mode) -> Result<Self> {
        let (batch, mut out) = (vectors[0].dim(0)?, Self::default());
        let mut posterior_states = networks.posterior.start(batch)?;
        let prior_states = networks.prior.as_ref().map(|prior| prior.start(batch)).transpose()?;
        let mut prior_states = prior_states.unwrap_or_default();
        for pair in vectors.windows(2) {
            let posterior = networks.posterior.step(&pair[1], &mut posterior_states, mode)?;
            match &networks.prior {
                Some(network) => {
                    let prior = network.step(&pair[0], &mut prior_states, mode)?;
                    out.kl.push(kl_learned_prior(&posterior, &prior)?);
                    out.priors.push(prior);
                }
                None => out.kl.push(kl_fixed_prior(&posterior)?),
            }
            out.posteriors.push(posterior);
        }
        Ok(out)
    }
}
