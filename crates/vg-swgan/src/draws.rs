//! Random numbers, drawn before anything is computed.

use candle_core::{DType, Device, Tensor};
use vg_core::{Result, Rng};

/// Where the penalties of one critic update look, `[B, 1]` each, uniform in [0, 1): 0 at the real sample, 1 at the generated one.
#[derive(Clone, Debug)]
pub struct Points {
    /// Between pixels.
    pub pixels: Tensor,
    /// Between features.
    pub features: Tensor,
}

impl Points {
    fn new(rng: &Rng, n: usize, dtype: DType, device: &Device) -> Result<Self> {
        let draw = |name: &str| rng.stream(name).uniform_tensor((n, 1), 0.0, 1.0, dtype, device);
        Ok(Self { pixels: draw("pixel points")?, features: draw("feature points")? })
    }
}

/// All random numbers of one critic update.
#[derive(Clone, Debug)]
pub struct CriticDraws {
    /// Latents of the generated samples, `[B, latent]`.
    pub z: Tensor,
    /// Where the penalties look.
    pub points: Points,
}

/// All random numbers of one step: some critic updates, one of the generator.
#[derive(Clone, Debug)]
pub struct Draws {
    /// One a critic update.
    pub critic: Vec<CriticDraws>,
    /// Latents of the generator's update, `[B, latent]`.
    pub z: Tensor,
}

impl Draws {
    /// Draws for `critic_steps` critic updates of `n` samples each.
    pub fn new(
        rng: &Rng,
        critic_steps: usize,
        n: usize,
        latent: usize,
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let critic = |k: usize| -> Result<CriticDraws> {
            let rng = rng.child("critic", k as u64);
            Ok(CriticDraws {
                z: latents(&rng, n, latent, dtype, device)?,
                points: Points::new(&rng, n, dtype, device)?,
            })
        };
        let critic = (0..critic_steps).map(critic).collect::<Result<_>>()?;
        Ok(Self { critic, z: latents(rng, n, latent, dtype, device)? })
    }
}

/// Standard normal latents `[n, dim]`.
pub(crate) fn latents(rng: &Rng, n: usize, dim: usize, dtype: DType, device: &Device) -> Result<Tensor> {
    rng.stream("z").normal_tensor((n, dim), dtype, device)
}
