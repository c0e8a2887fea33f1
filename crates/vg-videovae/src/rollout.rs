//! Clips from attributes and given frames.

use candle_core::Tensor;
use vg_core::nn::{LstmState, Mode};
use vg_core::ops::conv::keep_weights;
use vg_core::{Result, expect_dims};

use crate::networks::Networks;

/// What clips are made from.
#[derive(Clone, Debug)]
pub struct Rollout<'a> {
    /// Attribute vectors of every frame, `[B, A]` each; as many as frames are made.
    pub attributes: &'a [Tensor],
    /// Standard normal numbers, `[T, B, latent]`.
    pub eps: &'a Tensor,
    /// The first frames, `[B, C, H, W]` in [-1, 1] each; may be none.
    pub given: &'a [Tensor],
    /// State of the LSTM before the first frame; zeros without.
    pub state: Option<LstmState>,
}

/// Makes frames `[B, C, H, W]`: those in place of given ones from samples of the dynamic posterior, the others from samples of the prior.
/// Every made frame is encoded again for the next one.
///
/// Source: specification, section 4.
///
/// # Errors
/// [`vg_core::Error::Shape`] when random numbers are of another size, [`vg_core::Error::Tensor`] for other sizes.
pub fn rollout(networks: &Networks, from: &Rollout<'_>, mode: Mode) -> Result<Vec<Tensor>> {
    let _kept = keep_weights();
    let steps = from.attributes.len();
    expect_dims!("random numbers of a rollout", from.eps.dims(), [(steps), B, Z])?;
    let mut state = match &from.state {
        Some(state) => state.clone(),
        None => networks.lstm.zero_state(from.eps.dim(1)?)?,
    };
    let mut made = Vec::with_capacity(steps);
    for (t, attributes) in from.attributes.iter().enumerate() {
        let map = networks.state_map.forward(&state.h, mode)?;
        let eps = from.eps.get(t)?;
        let seen = |frame: &Tensor| {
            networks.residual.forward(&[&networks.encoder.forward(frame, None, mode)?], mode)
        };
        let decode = |z: &Tensor| networks.decoder.forward(&networks.decoder_input(z, &map)?, mode);
        let (z, frame, residual) = match from.given.get(t) {
            Some(given) => {
                let residual = seen(given)?;
                let parts = [&residual.mu, &residual.log_var, attributes];
                let still = networks.appearance.forward(&parts, mode)?;
                let posterior = networks.posterior.forward(&[&still.mu, &still.log_var, &map], mode)?;
                let z = posterior.sample(&eps)?;
                (z.clone(), decode(&z)?, residual)
            }
            None => {
                let z = networks.prior.forward(&[&map, attributes], mode)?.sample(&eps)?;
                let frame = decode(&z)?;
                if t + 1 == steps {
                    made.push(frame);
                    break;
                }
                let residual = seen(&frame)?;
                (z, frame, residual)
            }
        };
        state = networks.advance(&z, &residual, &state, mode)?;
        made.push(frame);
    }
    Ok(made)
}
