//! The batch norm layer.

use candle_core::Tensor;

use super::{Buffer, Init, Mode, NormStats, ParamSource};
use crate::grad::reshape;
use crate::ops::Activation;
use crate::ops::batch_norm::{BatchStats, batch_norm_eval, batch_norm_train};
use crate::{Error, Result};

/// Settings of a batch norm layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNormConfig {
    /// Added to the variance.
    pub eps: f64,
    /// Share of the batch in the running averages: `running = (1 - momentum) * running + momentum * batch`.
    pub momentum: f64,
    /// Whether there is a shift.
    pub beta: bool,
    /// Initial scale.
    pub gamma_init: Init,
    /// Running variance before the first batch.
    pub initial_var: f64,
}

impl Default for BatchNormConfig {
    /// PyTorch's: eps 1e-5, momentum 0.1, with a shift, running variance from 1 on.
    fn default() -> Self {
        Self { eps: 1e-5, momentum: 0.1, beta: true, gamma_init: Init::Ones, initial_var: 1.0 }
    }
}

/// Batch normalisation of `[B, C, ...]`; parameters `weight` and `bias`, buffers `running_mean` and `running_var`, all `[C]`.
///
/// Batches are normalised by their biased variance; the running variance averages the unbiased one, as PyTorch's and Chainer's.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    gamma: Tensor,
    beta: Option<Tensor>,
    running_mean: Buffer,
    running_var: Buffer,
    config: BatchNormConfig,
}

impl BatchNorm {
    /// Makes the layer's parameters and buffers at `source`.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) when a name is taken.
    pub fn new(channels: usize, config: BatchNormConfig, source: &ParamSource) -> Result<Self> {
        let beta = config.beta.then(|| source.var("bias", &[channels], Init::Zeros)).transpose()?;
        Ok(Self {
            gamma: source.var("weight", &[channels], config.gamma_init)?,
            beta,
            running_mean: source.buffer("running_mean", &[channels], 0.0)?,
            running_var: source.buffer("running_var", &[channels], config.initial_var)?,
            config,
        })
    }

    /// The normalised input.
    ///
    /// # Errors
    /// As [`batch_norm_train`] and [`batch_norm_eval`].
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.forward_with(x, Activation::Identity, mode)
    }

    /// The normalised input behind an activation, in the same pass for both ReLUs.
    ///
    /// # Errors
    /// As [`batch_norm_train`] and [`batch_norm_eval`].
    pub fn forward_with(&self, x: &Tensor, activation: Activation, mode: Mode) -> Result<Tensor> {
        self.forward_steps(x, 1, activation, mode)
    }

    /// The normalised input of `steps` time steps at once: the same as that many calls in the order of time, so that the batch of a step
    /// is normalised by its own statistics, and the running ones average over the steps.
    ///
    /// # Shapes
    /// - `x` `[B * steps, C, ...]`: the steps of the first clip, then those of the next
    ///
    /// # Errors
    /// As [`forward`](Self::forward), and [`Error::Shape`] when the rows are no multiple of `steps`.
    pub fn forward_steps(
        &self,
        x: &Tensor,
        steps: usize,
        activation: Activation,
        mode: Mode,
    ) -> Result<Tensor> {
        let gamma = mode.weights.see(&self.gamma);
        let beta = self.beta.as_ref().map(|b| mode.weights.see(b));
        let (eps, folded) = (self.config.eps, self.fold(x, steps)?);
        match mode.norm {
            NormStats::Batch => {
                // The steps of a clip lie side by side: seen as channels, each has statistics of its own.
                let whole = x.shape();
                let gamma = repeat(&gamma, steps)?;
                let beta = beta.map(|beta| repeat(&beta, steps)).transpose()?;
                let (y, stats) = batch_norm_train(&folded, &gamma, beta.as_ref(), eps, activation)?;
                if mode.update_running {
                    self.update_running(&stats)?;
                }
                reshape(&y, whole)
            }
            NormStats::Running => {
                let (mean, var) = (self.running_mean.get(), self.running_var.get());
                batch_norm_eval(x, &gamma, beta.as_ref(), &mean, &var, eps, activation)
            }
        }
    }

    /// `[B * steps, C, ...]` as `[B, steps * C, ...]`.
    fn fold(&self, x: &Tensor, steps: usize) -> Result<Tensor> {
        if steps == 1 {
            return Ok(x.clone());
        }
        let channels = self.gamma.elem_count();
        let (rows, rest) = match x.dims() {
            [rows, c, rest @ ..] if *c == channels && steps > 0 && rows % steps == 0 => (*rows, rest),
            other => {
                return Err(Error::shape(
                    "input of a batch norm over steps",
                    format!("[B * {steps}, {channels}, ...]"),
                    other,
                ));
            }
        };
        let folded: Vec<usize> =
            [rows / steps, steps * channels].into_iter().chain(rest.iter().copied()).collect();
        reshape(&x.contiguous()?, folded)
    }

    /// Takes in the statistics of one or more steps, one after the other.
    fn update_running(&self, stats: &BatchStats) -> Result<()> {
        let batch = [(&self.running_mean, stats.mean.clone()), (&self.running_var, stats.unbiased_var())];
        for (buffer, new) in batch {
            let m = self.config.momentum;
            let mut running = buffer.to_vec()?;
            for step in new.chunks_exact(running.len()) {
                running.iter_mut().zip(step).for_each(|(old, new)| *old = (1.0 - m) * *old + m * new);
            }
            buffer.set(&Tensor::new(running, buffer.get().device())?)?;
        }
        Ok(())
    }

    /// The scale.
    pub fn gamma(&self) -> &Tensor {
        &self.gamma
    }

    /// The shift, if there is one.
    pub fn beta(&self) -> Option<&Tensor> {
        self.beta.as_ref()
    }

    /// Running means.
    pub fn running_mean(&self) -> &Buffer {
        &self.running_mean
    }

    /// Running variances.
    pub fn running_var(&self) -> &Buffer {
        &self.running_var
    }

    /// The settings.
    pub fn config(&self) -> &BatchNormConfig {
        &self.config
    }
}

/// A vector `steps` times, end to end.
fn repeat(v: &Tensor, steps: usize) -> Result<Tensor> {
    if steps == 1 {
        return Ok(v.clone());
    }
    let channels = v.elem_count();
    Ok(v.unsqueeze(0)?.broadcast_as((steps, channels))?.contiguous()?.reshape(steps * channels)?)
}
