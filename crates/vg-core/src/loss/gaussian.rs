//! Divergences between Gaussians with diagonal covariance.

use candle_core::{D, Tensor};

use crate::Result;

/// Kullback-Leibler divergence of two Gaussians with diagonal covariance, `KL(N(mu, exp(log_var)) || N(prior_mu, exp(prior_log_var)))` in
/// nats, summed over the last axis.
///
/// `(log_var' - log_var + (exp(log_var) + (mu - mu')^2) exp(-log_var') - 1) / 2`, whose only exponentials are of single logarithms: no
/// variance is divided by another.
///
/// # Shapes
/// - all four `[..., Z]`
/// - returns `[...]`, 0 or greater, and 0 for equal Gaussians alone
///
/// # Errors
/// [`Error::Tensor`](crate::Error::Tensor) when the shapes differ.
pub fn kl_gaussians(
    mu: &Tensor,
    log_var: &Tensor,
    prior_mu: &Tensor,
    prior_log_var: &Tensor,
) -> Result<Tensor> {
    let spread = ((log_var.exp()? + (mu - prior_mu)?.sqr()?)? * prior_log_var.neg()?.exp()?)?;
    let twice = (((prior_log_var - log_var)? + spread)? - 1.0)?;
    Ok((twice.sum(D::Minus1)? * 0.5)?)
}

/// [`kl_gaussians`] against the standard normal distribution: `(mu^2 + exp(log_var) - log_var - 1) / 2`, summed over the last axis.
///
/// # Shapes
/// - both `[..., Z]`
/// - returns `[...]`
///
/// # Errors
/// As [`kl_gaussians`].
pub fn kl_standard_normal(mu: &Tensor, log_var: &Tensor) -> Result<Tensor> {
    let twice = (((mu.sqr()? + log_var.exp()?)? - log_var)? - 1.0)?;
    Ok((twice.sum(D::Minus1)? * 0.5)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rng;
    use candle_core::{DType, Device};

    fn scalar(x: f64) -> Tensor {
        Tensor::new(&[x], &Device::Cpu).unwrap()
    }

    fn kl([mu, log_var, prior_mu, prior_log_var]: [f64; 4]) -> f64 {
        let kl =
            kl_gaussians(&scalar(mu), &scalar(log_var), &scalar(prior_mu), &scalar(prior_log_var)).unwrap();
        kl.to_scalar().unwrap()
    }

    /// SVG specification, section 10.1.
    #[test]
    fn values_by_hand() {
        let ln4 = 4f64.ln();
        for (gaussians, want) in [
            ([1.0, 0.0, 0.0, 0.0], 0.5),
            ([0.0, ln4, 0.0, 0.0], 0.80685282),
            ([0.0, 0.0, 0.0, ln4], 0.31814718),
            ([0.5, -1.0, -0.3, 0.7], 0.60024906),
            ([2.0, -2.0, 1.0, 1.0], 1.20883325),
            ([0.5, -1.0, 0.0, 0.0], 0.30893972),
            ([0.3, 0.2, 0.3, 0.2], 0.0),
        ] {
            assert!((kl(gaussians) - want).abs() < 1e-8, "{gaussians:?}: {}", kl(gaussians));
        }
        let standard = kl_standard_normal(&scalar(0.5), &scalar(-1.0)).unwrap().to_scalar::<f64>().unwrap();
        assert!((standard - 0.30893972).abs() < 1e-8);
    }

    #[test]
    fn only_equal_gaussians_are_at_distance_zero() {
        let mut stream = Rng::new(3).stream("x");
        let mut draw = || stream.normal_tensor((4, 5), DType::F64, &Device::Cpu).unwrap();
        let [mu, log_var, other_mu, other_log_var] = [draw(), draw(), draw(), draw()];
        let far = kl_gaussians(&mu, &log_var, &other_mu, &other_log_var).unwrap();
        assert_eq!(far.dims(), [4]);
        assert!(far.to_vec1::<f64>().unwrap().iter().all(|kl| *kl > 0.1));
        let same = kl_gaussians(&mu, &log_var, &mu, &log_var).unwrap();
        assert!(same.to_vec1::<f64>().unwrap().iter().all(|kl| kl.abs() < 1e-14));
    }

    #[cfg(feature = "testing")]
    #[test]
    fn gradients_reach_both_gaussians() {
        use crate::testing::gradcheck::gradcheck;
        let mut stream = Rng::new(4).stream("x");
        let all = [0; 4].map(|_| stream.normal_tensor((2, 3), DType::F64, &Device::Cpu).unwrap());
        gradcheck(|t| kl_gaussians(&t[0], &t[1], &t[2], &t[3]), &all).unwrap();
        gradcheck(|t| kl_standard_normal(&t[0], &t[1]), &all[..2]).unwrap();
    }
}
