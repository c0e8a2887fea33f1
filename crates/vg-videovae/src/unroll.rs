//! The pass over training clips.

use candle_core::Tensor;
use vg_core::grad::split;
use vg_core::nn::{LstmState, Mode};
use vg_core::{Error, Result, expect_dims};

use crate::config::{Config, Reconstruction};
use crate::gaussian::Gaussian;
use crate::loss::{divergence, reconstruction};
use crate::networks::Networks;

/// What a pass over clips `[B, C, T, H, W]` gives. Rows `[T * B, ...]` hold the clips of the first frame first.
#[derive(Clone, Debug)]
pub struct Unrolled {
    /// Reconstructed frames, `[B, C, H, W]` each.
    pub frames: Vec<Tensor>,
    /// Initial posteriors (1) of all frames, `[T * B, latent]`.
    pub residual: Gaussian,
    /// Conditional posteriors (2).
    pub appearance: Gaussian,
    /// Dynamic posteriors (3), from which the latents are drawn.
    pub posterior: Gaussian,
    /// Learned priors (4).
    pub prior: Gaussian,
    /// Latents, `[T * B, latent]`.
    pub latents: Tensor,
    /// The LSTM's states after each frame.
    pub states: Vec<LstmState>,
    /// Reconstruction losses, `[T]`.
    pub rec: Tensor,
    /// Divergences, `[T]`.
    pub kl: Tensor,
}

/// The frames of clips `[B, C, T, H, W]`, `[B, C, H, W]` each.
pub(crate) fn frames(clips: &Tensor) -> Result<Vec<Tensor>> {
    let frame = |t| Ok(clips.narrow(2, t, 1)?.squeeze(2)?.contiguous()?);
    (0..clips.dim(2)?).map(frame).collect()
}

/// Vectors `[T * B, latent]` of frames `[B, C, H, W]`.
///
/// With running statistics all frames go through together. With batch statistics those of a time step do, in the order of time, which
/// fixes what the running ones become; `keep` `[T, B, C']` is as in [`Encoder::forward`](crate::Encoder::forward).
///
/// # Errors
/// [`Error::Shape`] for frames of another size.
pub fn encode(networks: &Networks, frames: &[Tensor], keep: Option<&Tensor>, mode: Mode) -> Result<Tensor> {
    let encoder = &networks.encoder;
    if mode.norm == vg_core::nn::NormStats::Running && keep.is_none() {
        return encoder.forward(&Tensor::cat(frames, 0)?, None, mode);
    }
    let maps = |(t, frame): (usize, &Tensor)| {
        let keep = keep.map(|keep| keep.get(t)).transpose()?;
        encoder.maps(frame, keep.as_ref(), mode)
    };
    let maps = frames.iter().enumerate().map(maps).collect::<Result<Vec<_>>>()?;
    encoder.vectors(&Tensor::cat(&maps, 0)?, mode)
}

/// Goes through clips with the frames' own posteriors: everything that does not depend on h is made for all frames together.
///
/// Batch norms of the decoder see one time step at a time, in the order of time.
///
/// Source: specification, sections 1.1 and 3.3.
///
/// # Shapes
/// - `targets` the frames, `[B, C, H, W]` each; `vectors` what [`encode`] makes of them
/// - `attributes` `[B, A]`; `eps` standard normal, `[T, B, latent]`
///
/// # Errors
/// [`Error::Shape`] or [`Error::Tensor`] when sizes do not fit, [`Error::Unsupported`] for clips without frames.
pub fn unroll(
    networks: &Networks,
    config: &Config,
    targets: &[Tensor],
    vectors: &Tensor,
    attributes: &Tensor,
    eps: &Tensor,
    mode: Mode,
) -> Result<Unrolled> {
    let Some(first) = targets.first() else {
        return Err(Error::Unsupported(
            "clips without frames cannot be learned; give at least one frame".into(),
        ));
    };
    let (steps, clips, dims) = (targets.len(), first.dim(0)?, config.attribute_dims());
    expect_dims!("attributes", attributes.dims(), [(clips), (dims)])?;
    let of_all =
        attributes.unsqueeze(0)?.broadcast_as((steps, clips, dims))?.reshape((steps * clips, dims))?;
    let residual = networks.residual.forward(&[vectors], mode)?;
    let appearance = networks.appearance.forward(&[&residual.mu, &residual.log_var, &of_all], mode)?;

    let mut state = networks.lstm.zero_state(clips)?;
    let (mut maps, mut posteriors, mut latents, mut states) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let lstm = networks.lstm.cut(config.networks.latent, mode)?;
    let known = split(&lstm.known(&Tensor::cat(&[&residual.mu, &residual.log_var], 1)?)?, steps)?;
    for (t, (still, known)) in appearance.split(steps)?.iter().zip(&known).enumerate() {
        let map = networks.state_map.forward(&state.h, mode)?;
        let posterior = networks.posterior.forward(&[&still.mu, &still.log_var, &map], mode)?;
        let z = posterior.sample(&eps.get(t)?)?;
        // Equation (6): z is fed back, the parameters of the residual are known of all frames.
        state = lstm.step(&z, known, &state)?;
        states.push(state.clone());
        maps.push(map);
        posteriors.push(posterior);
        latents.push(z);
    }
    let (maps, posterior) = (Tensor::cat(&maps, 0)?, Gaussian::cat(&posteriors)?);
    let latents = Tensor::cat(&latents, 0)?;
    let prior = networks.prior.forward(&[&maps, &of_all], mode)?;
    let kl = divergence(&posterior, &prior, steps)?;
    let frames = decode(networks, &networks.decoder_input(&latents, &maps)?, steps, mode)?;
    let rec = compare(&frames, targets, config.train.reconstruction)?;
    Ok(Unrolled { frames, residual, appearance, posterior, prior, latents, states, rec, kl })
}

/// Frames of the decoder's inputs `[T * B, ...]`, a time step at a time from the first layer with a batch norm on.
fn decode(networks: &Networks, inputs: &Tensor, steps: usize, mode: Mode) -> Result<Vec<Tensor>> {
    let maps = split(&networks.decoder.maps(inputs, mode)?, steps)?;
    maps.iter().map(|maps| networks.decoder.frames(maps, mode)).collect()
}

fn compare(frames: &[Tensor], targets: &[Tensor], kind: Reconstruction) -> Result<Tensor> {
    let each = frames.iter().zip(targets).map(|(frame, target)| reconstruction(frame, target, kind));
    Ok(Tensor::stack(&each.collect::<Result<Vec<_>>>()?, 0)?)
}
