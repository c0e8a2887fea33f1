//! Instance norm.

use candle_core::Tensor;

use super::super::Activation;
use super::super::batch_norm::{Groups, Scope, normalise};
use super::{check_input, ones, per_row, rows_of};
use crate::{Error, Result};

/// Normalises each channel of each sample by its own statistics: `activation((x - mean) / sqrt(var + eps) * gamma + beta)`, as
/// `torch.nn.functional.instance_norm` without running statistics.
///
/// Source: Ulyanov et al., "Instance Normalization", 2016; with a scale and shift per sample, Huang and Belongie, "Arbitrary Style
/// Transfer in Real-time with Adaptive Instance Normalization", 2017, eq. (8). The variance is the biased one, computed in f64.
///
/// # Shapes
/// - `x` `[B, C, ...]`; `gamma` and `beta` `[C]` or `[B, C]`
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit or a channel has no more than one position, [`Error::Unsupported`] for types other
/// than f32 and f64 or mixed ones.
pub fn instance_norm(
    x: &Tensor,
    gamma: Option<&Tensor>,
    beta: Option<&Tensor>,
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    check_input(x)?;
    let view = rows_of(x);
    if view.inner < 2 {
        let expected = "more than one position per sample and channel; the variance of one is 0";
        return Err(Error::shape("instance norm input", expected, x.dims()));
    }
    let gamma = match gamma {
        Some(gamma) => per_row(x, gamma, "instance norm gamma")?,
        None => ones(view.channels, x)?,
    };
    let beta = beta.map(|beta| per_row(x, beta, "instance norm beta")).transpose()?;
    let groups = Groups { stats: view, scope: Scope::Channel };
    Ok(normalise(groups, x, &gamma, beta.as_ref(), eps, activation)?.0)
}
