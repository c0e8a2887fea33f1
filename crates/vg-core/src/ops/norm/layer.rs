//! Layer norm.

use candle_core::Tensor;

use super::super::Activation;
use super::super::batch_norm::{Groups, Scope, normalise};
use super::super::reduce::View;
use super::{both, check_input, check_type, ones};
use crate::{Error, Result};

/// Normalises over the axes from `first_axis` on: `activation((x - mean) / sqrt(var + eps) * gamma + beta)`.
///
/// With `gamma` and `beta` of the shape of these axes, as `torch.nn.functional.layer_norm`; with `first_axis` 1 and one value per
/// channel, as TensorFlow's `contrib.layers.layer_norm` for channels-first tensors, or a group norm of one group.
///
/// Source: Ba et al., "Layer Normalization", 2016, eq. (3) and (4). The variance is the biased one, computed in f64.
///
/// # Shapes
/// - `x` with at least two axes, `first_axis` from 1 on
/// - `gamma` and `beta` `x.dims()[first_axis..]`, or `[C]` where `x` is `[B, C, ...]` and `first_axis` is 1
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit, the axis is 0 or not there, or the input is empty; [`Error::Unsupported`] for types
/// other than f32 and f64 or mixed ones.
pub fn layer_norm(
    x: &Tensor,
    first_axis: usize,
    gamma: Option<&Tensor>,
    beta: Option<&Tensor>,
    eps: f64,
    activation: Activation,
) -> Result<Tensor> {
    check_input(x)?;
    if !(1..x.rank()).contains(&first_axis) {
        let expected = format!("an axis {first_axis} after those that are kept");
        return Err(Error::shape("layer norm input", expected, x.dims()));
    }
    let view = Rows::of(x, first_axis);
    let gamma = gamma.map(|gamma| view.constant(gamma, "layer norm gamma")).transpose()?;
    let beta = beta.map(|beta| view.constant(beta, "layer norm beta")).transpose()?;
    let stats = View { batch: 1, channels: view.rows, inner: view.length };
    let (scope, scale, shift) = match both(gamma, beta)? {
        Some((scale, shift)) => (Scope::Part(scale.elem_count()), scale, Some(shift)),
        None => (Scope::Channel, ones(view.rows, x)?, None),
    };
    Ok(normalise(Groups { stats, scope }, x, &scale, shift.as_ref(), eps, activation)?.0)
}

/// The input as rows that are normalised one by one.
struct Rows<'a> {
    x: &'a Tensor,
    first_axis: usize,
    rows: usize,
    length: usize,
}

impl<'a> Rows<'a> {
    fn of(x: &'a Tensor, first_axis: usize) -> Self {
        let (kept, normalised) = x.dims().split_at(first_axis);
        Self { x, first_axis, rows: kept.iter().product(), length: normalised.iter().product() }
    }

    /// A scale or shift as a vector: one value per channel or per element of a row.
    fn constant(&self, constant: &Tensor, what: &'static str) -> Result<Tensor> {
        check_type(self.x, constant, what)?;
        let row = &self.x.dims()[self.first_axis..];
        let per_channel = self.first_axis == 1 && constant.dims() == &row[..1];
        if constant.dims() != row && !per_channel {
            let channels = if self.first_axis == 1 { format!(" or [{}]", row[0]) } else { String::new() };
            return Err(Error::shape(what, format!("{row:?}{channels}"), constant.dims()));
        }
        Ok(constant.flatten_all()?)
    }
}
