//! Objectives: the critic's value and its penalties.

use candle_core::Tensor;
use vg_core::Result;

use crate::config::Penalties;
use crate::draws::Points;
use crate::dual::DualAt;
use crate::features::Features;

/// The critic's losses, all scalars but where said.
pub struct CriticLosses {
    /// `mean h(real) - mean h(fake)`: the critic pushes generated samples up.
    pub wasserstein: Tensor,
    /// Mean squared gradient for the pixels.
    pub gradient_penalty: Tensor,
    /// The penalty on the dual blocks.
    pub feature_penalty: Tensor,
    /// Their weighted sum.
    pub total: Tensor,
    /// h of each real sample, `[B]`.
    pub value_real: Tensor,
    /// h of each generated sample, `[B]`.
    pub value_fake: Tensor,
    /// Squared gradient of each sample, `[B]`.
    pub gradient_samples: Tensor,
    /// The gradient with respect to the real samples, of their shape.
    pub gradient: Tensor,
}

/// L_D of the specification, sections 3 and 6: `mean h(real) - mean h(fake)` and both penalties, for real and generated samples of one size.
///
/// Each pixel stands for `enlargement` of those of the full size, for which the official code takes the gradient.
pub fn critic_losses(
    features: &impl Features,
    dual: &DualAt,
    penalties: &Penalties,
    (real, fake): (&Tensor, &Tensor),
    points: &Points,
    enlargement: f64,
) -> Result<CriticLosses> {
    let (of_real, _) = features.forward(real)?;
    let (of_fake, _) = features.forward(fake)?;
    let (value_real, value_fake) = (dual.forward(&of_real)?.values()?, dual.forward(&of_fake)?.values()?);
    let wasserstein = (value_real.mean_all()? - value_fake.mean_all()?)?;
    let gradient = pixel_gradient(features, dual, real, fake, &points.pixels)?;
    let gradient_samples = (gradient.sqr()?.flatten_from(1)?.sum(1)? / enlargement)?;
    let gradient_penalty = gradient_samples.mean_all()?;
    let between = mix(&of_real, &of_fake, &points.features)?;
    let feature_penalty = dual.penalty(&between, penalties.target, penalties.form)?;
    let weighted = ((&gradient_penalty * penalties.gradient)? + (&feature_penalty * penalties.feature)?)?;
    Ok(CriticLosses {
        total: (&wasserstein + weighted)?,
        wasserstein,
        gradient_penalty,
        feature_penalty,
        value_real,
        value_fake,
        gradient_samples,
        gradient,
    })
}

/// Gradient of the critic's value at `real + t (fake - real)` with respect to `real`, so with a factor `1 - t`; `t` `[B, 1]`.
fn pixel_gradient(
    features: &impl Features,
    dual: &DualAt,
    real: &Tensor,
    fake: &Tensor,
    t: &Tensor,
) -> Result<Tensor> {
    let (of_mixed, pass) = features.forward(&mix(real, fake, t)?)?;
    let upstream = dual.adjoint(&dual.forward(&of_mixed)?)?;
    let gradient = features.adjoint(&pass, &upstream)?;
    Ok(gradient.broadcast_mul(&per_sample(&t.affine(-1.0, 1.0)?, real.rank())?)?)
}

/// `a + t (b - a)` with `t` `[B, 1]`.
fn mix(a: &Tensor, b: &Tensor, t: &Tensor) -> Result<Tensor> {
    Ok((a + (b - a)?.broadcast_mul(&per_sample(t, a.rank())?)?)?)
}

/// `[B, 1]` with as many axes as a tensor of samples.
fn per_sample(t: &Tensor, rank: usize) -> Result<Tensor> {
    let mut shape = vec![1; rank];
    shape[0] = t.dim(0)?;
    Ok(t.reshape(shape)?)
}

/// L_G: the mean of the critic's values of generated samples, which the generator lowers.
pub fn generator_loss(features: &impl Features, dual: &DualAt, fake: &Tensor) -> Result<Tensor> {
    Ok(dual.forward(&features.forward(fake)?.0)?.values()?.mean_all()?)
}
