//! What keeps the critic Lipschitz: singular value clipping with the rule for scales, or weight clipping.

use candle_core::{Tensor, Var};
use vg_core::Result;
use vg_core::nn::ParamStore;
use vg_core::ops::svc::clip_singular_values;

use crate::config::{Constraint, Train};

/// Where the critic's parameters are in a store.
const CRITIC: &str = "critic.";

/// Applies the constraint after `step` updates (counted from 1) to the critic's variables in `store`, in place.
///
/// Source: official updaters; SVC every `svc_every` steps, weight clipping after every step.
pub fn constrain(store: &ParamStore, train: &Train, step: u64) -> Result<()> {
    match train.constraint {
        Constraint::Svc if step.is_multiple_of(train.svc_every) => clip_spectra(store, train.gamma_eps),
        Constraint::Clip => store.vars(CRITIC).iter().try_for_each(|(_, var)| clip_values(var, train.clip)),
        Constraint::Svc | Constraint::None => Ok(()),
    }
}

/// Kernels (4 or more dimensions) get no singular value above 1 as matrices `[out, rest]`; batch norm scales are bounded by the
/// running standard deviation.
fn clip_spectra(store: &ParamStore, gamma_eps: f64) -> Result<()> {
    let statistics = store.tensors(CRITIC);
    for (name, var) in store.vars(CRITIC) {
        let value = var.as_detached_tensor();
        let layer = name.strip_suffix(".weight").unwrap_or(&name);
        if value.rank() >= 4 {
            // A kernel within the bound comes back as it is, and a variable cannot be set to itself.
            var.set(&clip_singular_values(&value.copy()?, 1.0)?)?;
        } else if name.ends_with(".weight")
            && let Some(v) = statistics.get(&format!("{layer}.running_var"))
        {
            var.set(&bound_gamma(&value, v, gamma_eps)?)?;
        }
    }
    Ok(())
}

/// `max(min(gamma, std), 0.01 std)` with `std = sqrt(running_var + eps)`, all `[C]`.
///
/// Source: paper, table 2 (0 < gamma <= sqrt(variance + eps)); the lower bound is the official code's way of keeping gamma positive.
pub fn bound_gamma(gamma: &Tensor, running_var: &Tensor, eps: f64) -> Result<Tensor> {
    let std = (running_var + eps)?.sqrt()?;
    Ok(gamma.minimum(&std)?.maximum(&(std * 0.01)?)?)
}

fn clip_values(var: &Var, bound: f64) -> Result<()> {
    Ok(var.set(&var.as_detached_tensor().clamp(-bound, bound)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Specification, self-check 6.
    #[test]
    fn scales_stay_between_a_hundredth_and_one_standard_deviation() {
        let gamma = Tensor::new(&[2f64, 0.5, 0.001, -1.0], &Device::Cpu).unwrap();
        let var = Tensor::new(&[1f64, 1.0, 1.0, 4.0], &Device::Cpu).unwrap();
        let got = bound_gamma(&gamma, &var, 0.0).unwrap().to_vec1::<f64>().unwrap();
        assert_eq!(got, [1.0, 0.5, 0.01, 0.02]);
    }
}
