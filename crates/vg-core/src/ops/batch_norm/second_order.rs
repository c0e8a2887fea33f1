//! Derivatives of batch norm's gradients, as tensor expressions.
//!
//! With `P(v) = v - mean(v) - x_hat mean(v x_hat)` per channel, batch norm's input gradient is `gamma r P(g)`, `r = 1 / sqrt(var + eps)`.
//! P is symmetric, and `d x_hat = r P`, which gives all that follows.

use candle_core::Tensor;

use super::super::Activation;
use super::super::reduce::View;
use super::train::Past;
use crate::Result;

/// The forward pass rebuilt as part of the graph.
pub(super) struct Graph<'a> {
    past: &'a Past,
    view: View,
    /// Values per channel.
    n: f64,
    rstd: Tensor,
    x_hat: Tensor,
    /// A constant with the sign of the result, for the activation.
    sign: Tensor,
    tracked: bool,
}

impl<'a> Graph<'a> {
    pub(super) fn new(past: &'a Past, x: &Tensor) -> Result<Self> {
        let view = past.view;
        let n = view.population() as f64;
        let centred = view.shift(x, &view.sum(x)?.affine(-1.0 / n, 0.0)?)?;
        let var = view.dot(&centred, &centred)?.affine(1.0 / n, past.eps)?;
        let rstd = var.sqrt()?.recip()?;
        let x_hat = view.scale(&centred, &rstd)?;
        let sign = view.affine(&x_hat.detach(), &past.gamma, &past.beta, Activation::Identity)?;
        Ok(Self { past, view, n, rstd, x_hat, sign, tracked: x.track_op() })
    }

    fn mean(&self, v: &Tensor) -> Result<Tensor> {
        Ok(self.view.sum(v)?.affine(1.0 / self.n, 0.0)?)
    }

    fn mean_product(&self, v: &Tensor, w: &Tensor) -> Result<Tensor> {
        Ok(self.view.dot(v, w)?.affine(1.0 / self.n, 0.0)?)
    }

    /// `P(v)`.
    fn project(&self, v: &Tensor) -> Result<Tensor> {
        let centred = self.view.shift(v, &self.mean(v)?.neg()?)?;
        Ok((centred - self.view.scale(&self.x_hat, &self.mean_product(v, &self.x_hat)?)?)?)
    }

    fn behind_activation(&self, g: &Tensor) -> Result<Tensor> {
        Ok(self.past.activation.gradient(&self.sign, g)?)
    }

    /// Derivatives of `<v, gamma r P(g)>` with respect to x, gamma and g.
    pub(super) fn input_grad(&self, gamma: &Tensor, g: &Tensor, v: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let behind = self.behind_activation(g)?;
        let (p_g, p_v) = (self.project(&behind)?, self.project(v)?);
        let scale = (gamma * &self.rstd)?;
        let d_x = if self.tracked {
            // r depends on x as d r = -r^2 x_hat / n, and so do the two means in P.
            let (a, b) = (self.mean_product(v, &self.x_hat)?, self.mean_product(&behind, &self.x_hat)?);
            let covariance = (self.mean_product(v, &behind)? - (self.mean(v)? * self.mean(&behind)?)?)?;
            let spread = (covariance - (&a * &b)?)?;
            let sum = ((self.view.scale(&self.x_hat, &spread)? + self.view.scale(&p_v, &b)?)?
                + self.view.scale(&p_g, &a)?)?;
            Some(self.view.scale(&sum, &(&scale * &self.rstd)?.neg()?)?)
        } else {
            None
        };
        let d_gamma = if gamma.track_op() { Some((self.view.dot(v, &p_g)? * &self.rstd)?) } else { None };
        let d_g =
            if g.track_op() { Some(self.behind_activation(&self.view.scale(&p_v, &scale)?)?) } else { None };
        Ok([d_x, d_gamma, d_g])
    }

    /// Derivatives of `sum of u <g, x_hat>` with respect to x and g.
    pub(super) fn gamma_grad(&self, g: &Tensor, u: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let d_x = if self.tracked {
            let behind = self.behind_activation(g)?;
            Some(self.view.scale(&self.project(&behind)?, &(u * &self.rstd)?)?)
        } else {
            None
        };
        let d_g = if g.track_op() {
            Some(self.behind_activation(&self.view.scale(&self.x_hat, u)?)?)
        } else {
            None
        };
        Ok([d_x, d_g])
    }

    /// Derivative of `sum of u <g, 1>` with respect to g.
    pub(super) fn beta_grad(&self, u: &Tensor) -> Result<Tensor> {
        self.behind_activation(&self.view.shift(&self.x_hat.zeros_like()?, u)?)
    }
}
