//! Distributions of a latent.

use candle_core::Tensor;
use vg_core::Result;

/// A Gaussian with diagonal covariance for each clip of a batch.
#[derive(Clone, Debug)]
pub struct Gaussian {
    /// Means, `[B, latent]`.
    pub mu: Tensor,
    /// Logarithms of the variances, `[B, latent]`.
    pub log_var: Tensor,
}

impl Gaussian {
    /// `mu + exp(log_var / 2) * eps` for standard normal `eps` `[B, latent]`.
    ///
    /// Source: official code, `models/lstm.py`, `gaussian_lstm.reparameterize`.
    ///
    /// # Errors
    /// [`vg_core::Error::Tensor`] when the shapes differ.
    pub fn sample(&self, eps: &Tensor) -> Result<Tensor> {
        Ok((&self.mu + ((&self.log_var * 0.5)?.exp()? * eps)?)?)
    }

    /// Variances, `[B, latent]`.
    ///
    /// # Errors
    /// Those of the exponential.
    pub fn variance(&self) -> Result<Tensor> {
        Ok(self.log_var.exp()?)
    }
}
