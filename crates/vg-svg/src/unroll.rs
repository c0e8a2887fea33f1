//! The pass over a training clip.

use candle_core::Tensor;
use vg_core::nn::Mode;
use vg_core::{Error, Result, expect_dims};

use crate::config::Config;
use crate::gaussian::Gaussian;
use crate::loss::{Losses, kl_fixed_prior, kl_learned_prior, reconstruction};
use crate::networks::{LatentNetworks, Networks};
use crate::recurrent::States;

/// Predictions of the frames 1 to T - 1 of clips, each from the true frames before it, with the terms of the loss. Entry k of every
/// list belongs to frame k + 1.
#[derive(Clone, Debug, Default)]
pub struct Unrolled {
    /// Predicted frames, `[B, C, H, W]` in (0, 1).
    pub frames: Vec<Tensor>,
    /// Their mean squared errors, scalars.
    pub mse: Vec<Tensor>,
    /// KL divergences, scalars; empty in the deterministic variant.
    pub kl: Vec<Tensor>,
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
        Losses::new(&self.mse, &self.kl, beta)
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
/// Each frame is encoded once, in the order of time, and batch norms see one time step at a time: that fixes what their running statistics
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
    let frames = frames(clips)?;
    if frames.len() < 2 {
        let problem = format!("clips of {} frames; at least 2 are needed to predict one", frames.len());
        return Err(Error::Unsupported(problem));
    }
    let encode = |frame| networks.encoder.forward(frame, mode);
    let encoded = frames.iter().map(encode).collect::<Result<Vec<_>>>()?;
    let batch = clips.dim(0)?;
    let mut predictor = networks.predictor.start(batch)?;
    let mut run = networks.latent.as_ref().map(|latent| Run::new(latent, batch, mode)).transpose()?;
    let (mut out, mut skips) = (Unrolled::default(), &encoded[0].skips);
    for i in 1..frames.len() {
        let before = &encoded[i - 1];
        if config.takes_skips(i) {
            skips = &before.skips;
        }
        let z = match (&mut run, eps) {
            (Some(run), Some(eps)) => {
                let posterior = run.step(&before.vector, &encoded[i].vector, &mut out)?;
                Some(posterior.sample(&eps.get(i - 1)?)?)
            }
            _ => None,
        };
        let vector = networks.predictor.step(&before.vector, z.as_ref(), &mut predictor, mode)?;
        let frame = networks.decoder.forward(&vector, skips, mode)?;
        out.mse.push(reconstruction(&frame, &frames[i])?);
        out.frames.push(frame);
    }
    Ok(out)
}

/// The latents' networks with their states.
struct Run<'a> {
    networks: &'a LatentNetworks,
    posterior: States,
    prior: States,
    mode: Mode,
}

impl<'a> Run<'a> {
    fn new(networks: &'a LatentNetworks, batch: usize, mode: Mode) -> Result<Self> {
        let prior = networks.prior.as_ref().map(|prior| prior.start(batch)).transpose()?;
        let posterior = networks.posterior.start(batch)?;
        Ok(Self { networks, posterior, prior: prior.unwrap_or_default(), mode })
    }

    /// The posterior of a frame's latent; notes it, the prior and their divergence.
    fn step(&mut self, before: &Tensor, target: &Tensor, out: &mut Unrolled) -> Result<Gaussian> {
        let posterior = self.networks.posterior.step(target, &mut self.posterior, self.mode)?;
        match &self.networks.prior {
            Some(network) => {
                let prior = network.step(before, &mut self.prior, self.mode)?;
                out.kl.push(kl_learned_prior(&posterior, &prior)?);
                out.priors.push(prior);
            }
            None => out.kl.push(kl_fixed_prior(&posterior)?),
        }
        out.posteriors.push(posterior.clone());
        Ok(posterior)
    }
}
