//! The batch norm layer.

use candle_core::Tensor;

use super::{Buffer, Init, Mode, NormStats, ParamSource};
use crate::Result;
use crate::ops::Activation;
use crate::ops::batch_norm::{BatchStats, batch_norm_eval, batch_norm_train};

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
        let gamma = mode.weights.see(&self.gamma);
        let beta = self.beta.as_ref().map(|b| mode.weights.see(b));
        let eps = self.config.eps;
        match mode.norm {
            NormStats::Batch => {
                let (y, stats) = batch_norm_train(x, &gamma, beta.as_ref(), eps, activation)?;
                if mode.update_running {
                    self.update_running(&stats)?;
                }
                Ok(y)
            }
            NormStats::Running => {
                let (mean, var) = (self.running_mean.get(), self.running_var.get());
                batch_norm_eval(x, &gamma, beta.as_ref(), &mean, &var, eps, activation)
            }
        }
    }

    fn update_running(&self, stats: &BatchStats) -> Result<()> {
        let batch = [(&self.running_mean, stats.mean.clone()), (&self.running_var, stats.unbiased_var())];
        for (buffer, new) in batch {
            let m = self.config.momentum;
            let old = buffer.to_vec()?;
            let mixed: Vec<f64> = old.iter().zip(&new).map(|(o, n)| (1.0 - m) * o + m * n).collect();
            buffer.set(&Tensor::new(mixed, buffer.get().device())?)?;
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
