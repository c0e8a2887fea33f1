//! Distributions of a latent and the networks that make them.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::grad::split;
use vg_core::nn::{Linear, Mode, ParamSource};
use vg_core::ops::Activation;

use crate::config::NetworkSizes;
use crate::layers::linear;

/// Gaussians with diagonal covariance, one a row.
#[derive(Clone, Debug)]
pub struct Gaussian {
    /// Means, `[N, latent]`.
    pub mu: Tensor,
    /// Logarithms of the variances, `[N, latent]`; the paper's sigma.
    pub log_var: Tensor,
}

impl Gaussian {
    /// `mu + exp(log_var / 2) * eps` for standard normal `eps` `[N, latent]`.
    ///
    /// # Errors
    /// [`vg_core::Error::Tensor`] when the shapes differ.
    pub fn sample(&self, eps: &Tensor) -> Result<Tensor> {
        Ok((&self.mu + ((&self.log_var * 0.5)?.exp()? * eps)?)?)
    }

    /// The rows in `n` equal parts, one after the other.
    ///
    /// # Errors
    /// As [`split`].
    pub fn split(&self, n: usize) -> Result<Vec<Self>> {
        let parts = split(&self.mu, n)?.into_iter().zip(split(&self.log_var, n)?);
        Ok(parts.map(|(mu, log_var)| Self { mu, log_var }).collect())
    }

    /// All rows of several, one after the other.
    ///
    /// # Errors
    /// [`vg_core::Error::Tensor`] for none or different sizes.
    pub fn cat(all: &[Self]) -> Result<Self> {
        let of = |part: fn(&Self) -> &Tensor| Tensor::cat(&all.iter().map(part).collect::<Vec<_>>(), 0);
        Ok(Self { mu: of(|g| &g.mu)?, log_var: of(|g| &g.log_var)? })
    }
}

/// phi: a vector -> a Gaussian of the latent, over one hidden layer.
///
/// Source: specification, section 2.3, `DistributionNet`.
#[derive(Clone, Debug)]
pub struct GaussianNet {
    fc1: Linear,
    mu: Linear,
    log_var: Linear,
}

impl GaussianNet {
    /// A network of `inputs` numbers over the parameters of `source`: `fc1`, `fc21` (means) and `fc22` (log-variances).
    ///
    /// # Errors
    /// [`vg_core::Error::Unsupported`] when a name is taken.
    pub fn new(source: &ParamSource, inputs: usize, sizes: &NetworkSizes) -> Result<Self> {
        let NetworkSizes { mlp, latent, small_linear_init, .. } = *sizes;
        let layer = |name: &str, dims| linear(&source.pp(name), dims, small_linear_init);
        Ok(Self {
            fc1: layer("fc1", [inputs, mlp])?,
            mu: layer("fc21", [mlp, latent])?,
            log_var: layer("fc22", [mlp, latent])?,
        })
    }

    /// The Gaussians of rows `[N, inputs]`, which are the `parts` side by side.
    ///
    /// # Errors
    /// [`vg_core::Error::Shape`] for an input of another size.
    pub fn forward(&self, parts: &[&Tensor], mode: Mode) -> Result<Gaussian> {
        let input = if let [one] = parts { (*one).clone() } else { Tensor::cat(parts, 1)? };
        let hidden = Activation::Relu.apply(&self.fc1.forward(&input, mode)?)?;
        Ok(Gaussian { mu: self.mu.forward(&hidden, mode)?, log_var: self.log_var.forward(&hidden, mode)? })
    }
}
