//! The pointwise parts of recurrent cells, each a single pass over memory, forward and backward.
//!
//! Tensors of pre-activations are `[B, k H, ...]`: the channels of `k` gates one after the other, with any number of spatial axes
//! behind them, so that convolutional cells use the same kernels. Matrix products and convolutions belong to the caller. Gates are
//! differentiable once.

mod blocks;
mod conv_gru;
mod gru;
mod lstm;
mod sum;

use candle_core::{DType, Tensor};

use super::Activation;
use crate::grad::part;
use crate::{Error, Result};

/// `activation(x + y)`: the input's and the state's share of a gate.
///
/// # Errors
/// [`Error::Shape`] when the shapes differ, [`Error::Unsupported`] for types other than f32 and f64 or mixed types.
pub fn activated_sum(x: &Tensor, y: &Tensor, activation: Activation) -> Result<Tensor> {
    typed(x, "summand of a gate", x.dtype())?;
    typed(y, "summand of a gate", x.dtype())?;
    if x.dims() != y.dims() {
        return Err(Error::shape("second summand of a gate", format!("{:?}", x.dims()), y.dims()));
    }
    Ok(sum::Sum::of(x, y, activation)?)
}

/// One step of an LSTM without peepholes, as `torch.nn.LSTMCell` behind its matrix products; returns the new `(h, c)`.
///
/// `c' = sigmoid(f) c + sigmoid(i) tanh(g)`, `h' = sigmoid(o) tanh(c')`.
///
/// # Shapes
/// - `gates` `[B, 4 H, ...]`: the summed pre-activations in the order i, f, g, o; `cell` `[B, H, ...]`
/// - returns two tensors of the shape of `cell`
///
/// # Errors
/// [`Error::Shape`] when the shapes do not fit, [`Error::Unsupported`] for types other than f32 and f64 or mixed types.
pub fn lstm(gates: &Tensor, cell: &Tensor) -> Result<(Tensor, Tensor)> {
    typed(cell, "LSTM cell state", cell.dtype())?;
    fits(gates, 4, cell, "LSTM gates")?;
    let both = lstm::Lstm::of(gates, cell)?;
    let batch = cell.dims()[0];
    Ok((part(&both, 0, batch)?, part(&both, batch, batch)?))
}

/// One step of a GRU, as `torch.nn.GRUCell` behind its matrix products.
///
/// `r = sigmoid(input_r + hidden_r)`, `z = sigmoid(input_z + hidden_z)`, `n = tanh(input_n + r hidden_n)`, `h' = (1 - z) n + z h`.
///
/// # Shapes
/// - `input` and `hidden` `[B, 3 H, ...]`: the input's and the state's pre-activations in the order r, z, n; `h` `[B, H, ...]`
/// - returns the shape of `h`
///
/// # Errors
/// As [`lstm()`].
pub fn gru(input: &Tensor, hidden: &Tensor, h: &Tensor) -> Result<Tensor> {
    typed(h, "GRU state", h.dtype())?;
    fits(input, 3, h, "GRU input gates")?;
    fits(hidden, 3, h, "GRU hidden gates")?;
    Ok(gru::Gru::of(input, hidden, h)?)
}

/// The state as a ConvGRU's candidate sees it: `sigmoid(r) h`.
///
/// # Shapes
/// - `gates` `[B, 2 H, ...]`: the pre-activations of the read and the update gate; `h` `[B, H, ...]`
/// - returns the shape of `h`
///
/// # Errors
/// As [`lstm()`].
pub fn conv_gru_reset(gates: &Tensor, h: &Tensor) -> Result<Tensor> {
    typed(h, "ConvGRU state", h.dtype())?;
    fits(gates, 2, h, "ConvGRU gates")?;
    Ok(conv_gru::Reset::of(gates, h)?)
}

/// The new state of a ConvGRU: `u h + (1 - u) candidate` with `u = sigmoid(update gate)`.
///
/// Source: Clark et al., "Adversarial Video Generation on Complex Datasets", 2019; the candidate comes activated.
///
/// # Shapes
/// - `gates` as for [`conv_gru_reset`]; `candidate` and `h` `[B, H, ...]`
/// - returns the shape of `h`
///
/// # Errors
/// As [`lstm()`].
pub fn conv_gru_blend(gates: &Tensor, candidate: &Tensor, h: &Tensor) -> Result<Tensor> {
    typed(h, "ConvGRU state", h.dtype())?;
    fits(gates, 2, h, "ConvGRU gates")?;
    fits(candidate, 1, h, "ConvGRU candidate")?;
    Ok(conv_gru::Blend::of(gates, candidate, h)?)
}

fn typed(x: &Tensor, what: &str, dtype: DType) -> Result<()> {
    if x.dtype() != dtype || !matches!(dtype, DType::F32 | DType::F64) {
        return Err(Error::Unsupported(format!(
            "{what}: all tensors of a cell must be f32 or all f64, got {:?}",
            x.dtype()
        )));
    }
    Ok(())
}

/// Checks that `x` has `count` times the channels of the state.
fn fits(x: &Tensor, count: usize, state: &Tensor, what: &'static str) -> Result<()> {
    let mut expected = state.dims().to_vec();
    let Some(channels) = expected.get_mut(1) else {
        return Err(Error::shape("recurrent state", "[B, H, ...]", state.dims()));
    };
    *channels *= count;
    if x.dims() != expected {
        return Err(Error::shape(what, format!("{expected:?}"), x.dims()));
    }
    typed(x, what, state.dtype())
}
