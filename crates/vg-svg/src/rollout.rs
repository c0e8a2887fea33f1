//! Clips that go on from given frames.

use candle_core::Tensor;
use vg_core::nn::Mode;
use vg_core::ops::conv::keep_weights;
use vg_core::{Error, Result};

use crate::config::Config;
use crate::encoder::Encoded;
use crate::networks::Networks;
use crate::recurrent::States;

/// Where the latents of a rollout come from; without effect in the deterministic variant.
#[derive(Clone, Copy, Debug)]
pub enum Latents<'a> {
    /// On the given frames, the posterior: a sample in SVG-LP, the mean in SVG-FP. Behind them, a sample of the prior. The standard normal
    /// numbers `[frames - 1, B, latent]` are for the frames from 1 on.
    Drawn(&'a Tensor),
    /// The posterior's mean at every frame, the true ones behind the given included: the paper's "approximate posterior". The
    /// deterministic variant asks for no random numbers, and is run so, too.
    PosteriorMean,
}

/// Continues clips: the frames `clip.past` to `frames - 1`, `[B, C, H, W]` each, in (0, 1). Every generated frame is encoded again for
/// the next one.
///
/// Source: official code, `generate_svg_lp.py` and `generate_svg_fp.py`, `make_gifs`.
///
/// # Shapes
/// - `given` true frames `[B, C, H, W]` in [0, 1]: the first `clip.past` of a clip, or `frames` of them for [`Latents::PosteriorMean`]
///
/// # Errors
/// [`Error::Unsupported`] for too few frames, [`Error::Shape`] for frames of another size, [`Error::Tensor`] for other random numbers.
pub fn rollout(
    networks: &Networks,
    config: &Config,
    given: &[Tensor],
    frames: usize,
    latents: Latents<'_>,
    mode: Mode,
) -> Result<Vec<Tensor>> {
    let past = config.clip.past;
    let follows = matches!(latents, Latents::PosteriorMean) && networks.latent.is_some();
    let needed = if follows { frames.max(past) } else { past }.max(1);
    if given.len() < needed {
        let problem = format!("{} given frames, where the model needs {needed}", given.len());
        return Err(Error::Unsupported(problem));
    }
    let _kept = keep_weights();
    let encode = |frame: &Tensor| networks.encoder.forward(frame, mode);
    let mut run = Run::new(networks, given[0].dims()[0], mode)?;
    let mut before = encode(&given[0])?;
    let (mut skips, mut shares, mut made) = (before.skips.clone(), None, Vec::new());
    for i in 1..frames {
        if config.takes_skips(i) {
            skips.clone_from(&before.skips);
            shares = None;
        }
        let target = given.get(i).filter(|_| i < past || follows).map(encode).transpose()?;
        let z = run.latent(i, &before, target.as_ref(), latents)?;
        let vector = networks.predictor.step(&before.vector, z.as_ref(), &mut run.predictor, mode)?;
        match target {
            // The true frame is the next input; what was predicted in its place only moved the states.
            Some(target) if i < past => before = target,
            _ => {
                let shares = match &mut shares {
                    Some(shares) => shares,
                    none => none.insert(networks.decoder.given(&skips, mode)?),
                };
                let frame = networks.decoder.forward(&vector, shares, mode)?;
                if i + 1 < frames {
                    before = encode(&frame)?;
                }
                made.push(frame);
            }
        }
    }
    Ok(made)
}

/// The recurrent networks' states on the way.
struct Run<'a> {
    networks: &'a Networks,
    predictor: States,
    posterior: States,
    prior: States,
    mode: Mode,
}

impl<'a> Run<'a> {
    fn new(networks: &'a Networks, batch: usize, mode: Mode) -> Result<Self> {
        let latent = networks.latent.as_ref();
        let posterior = latent.map(|latent| latent.posterior.start(batch)).transpose()?;
        let prior = networks.prior().map(|prior| prior.start(batch)).transpose()?;
        Ok(Self {
            networks,
            predictor: networks.predictor.start(batch)?,
            posterior: posterior.unwrap_or_default(),
            prior: prior.unwrap_or_default(),
            mode,
        })
    }

    /// The latent of frame `i`, which is encoded as `target` where it is known.
    fn latent(
        &mut self,
        i: usize,
        before: &Encoded,
        target: Option<&Encoded>,
        latents: Latents<'_>,
    ) -> Result<Option<Tensor>> {
        let Some(networks) = &self.networks.latent else { return Ok(None) };
        // The prior sees every frame, even those at which it is not asked.
        let prior = match &networks.prior {
            Some(prior) => Some(prior.step(&before.vector, &mut self.prior, self.mode)?),
            None => None,
        };
        let posterior = match target {
            Some(target) => Some(networks.posterior.step(&target.vector, &mut self.posterior, self.mode)?),
            None => None,
        };
        let z = match (latents, posterior, prior) {
            (Latents::Drawn(eps), Some(posterior), Some(_)) => posterior.sample(&eps.get(i - 1)?)?,
            (_, Some(posterior), _) => posterior.mu,
            (Latents::Drawn(eps), None, Some(prior)) => prior.sample(&eps.get(i - 1)?)?,
            (Latents::Drawn(eps), None, None) => eps.get(i - 1)?,
            (Latents::PosteriorMean, None, _) => {
                return Err(Error::Unsupported(format!("frame {i} of the clip to follow is missing")));
            }
        };
        Ok(Some(z))
    }
}
