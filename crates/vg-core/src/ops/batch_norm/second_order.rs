//! Derivatives of batch norm's gradients, as tensor expressions.
//!
//! With `P(v) = v - mean(v) - x_hat mean(v x_hat)` per channel of the statistics, the input's gradient is `r P(gamma g)`,
//! `r = 1 / sqrt(var + eps)`. P is symmetric, and `d x_hat = r P`, which gives all that follows.

use candle_core::Tensor;

use super::super::Activation;
use super::super::op::wanted;
use super::super::reduce::View;
use super::train::Past;
use crate::Result;

/// The forward pass rebuilt as part of the graph.
pub(super) struct Graph<'a> {
    past: &'a Past,
    /// Whose channels share statistics.
    view: View,
    /// Whose channels share a scale and a shift.
    affine: View,
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
        let (view, affine) = (past.groups.stats, past.groups.affine());
        let n = view.population() as f64;
        let centred = view.shift(x, &view.sum(x)?.affine(-1.0 / n, 0.0)?)?;
        let var = view.dot(&centred, &centred)?.affine(1.0 / n, past.eps)?;
        let rstd = var.sqrt()?.recip()?;
        let x_hat = view.scale(&centred, &rstd)?;
        let sign = affine.affine(&x_hat.detach(), &past.gamma, &past.beta, Activation::Identity)?;
        Ok(Self { past, view, affine, n, rstd, x_hat, sign, tracked: x.track_op() })
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

    /// Derivatives of `<v, r P(gamma g)>` with respect to x, gamma and g.
    pub(super) fn input_grad(&self, gamma: &Tensor, g: &Tensor, v: &Tensor) -> Result<[Option<Tensor>; 3]> {
        let behind = self.behind_activation(g)?;
        let h = self.affine.scale(&behind, gamma)?;
        let p_v = self.project(v)?;
        let d_h = self.view.scale(&p_v, &self.rstd)?;
        let d_x = if self.tracked {
            // r depends on x as d r = -r^2 x_hat / n, and so do the two means in P.
            let (a, b) = (self.mean_product(v, &self.x_hat)?, self.mean_product(&h, &self.x_hat)?);
            let covariance = (self.mean_product(v, &h)? - (self.mean(v)? * self.mean(&h)?)?)?;
            let spread = (covariance - (&a * &b)?)?;
            let sum = ((self.view.scale(&self.x_hat, &spread)? + self.view.scale(&p_v, &b)?)?
                + self.view.scale(&self.project(&h)?, &a)?)?;
            Some(self.view.scale(&sum, &self.rstd.sqr()?.neg()?)?)
        } else {
            None
        };
        let d_gamma = wanted(gamma, || self.affine.dot(&behind, &d_h))?;
        let d_g = wanted(g, || self.behind_activation(&self.affine.scale(&d_h, gamma)?))?;
        Ok([d_x, d_gamma, d_g])
    }

    /// Derivatives of `sum of u <g, x_hat>` with respect to x and g.
    pub(super) fn gamma_grad(&self, g: &Tensor, u: &Tensor) -> Result<[Option<Tensor>; 2]> {
        let d_x = if self.tracked {
            let pushed = self.affine.scale(&self.behind_activation(g)?, u)?;
            Some(self.view.scale(&self.project(&pushed)?, &self.rstd)?)
        } else {
            None
        };
        let d_g = wanted(g, || self.behind_activation(&self.affine.scale(&self.x_hat, u)?))?;
        Ok([d_x, d_g])
    }

    /// Derivative of `sum of u <g, 1>` with respect to g.
    pub(super) fn beta_grad(&self, u: &Tensor) -> Result<Tensor> {
        self.behind_activation(&self.affine.shift(&self.x_hat.zeros_like()?, u)?)
    }
}
