//! Weights and inputs by the specification's formula (section 10.4), which needs no file.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

pub use vg_core::testing::{uniform, uniform_tensor as input};

/// Where a tensor stands in the official module.
fn place(name: &str) -> (String, usize) {
    let (module, tensor) = name.rsplit_once('.').unwrap();
    let tensors = ["weight", "weight_ih", "weight_hh", "bias", "bias_ih", "bias_hh"];
    // The heads stand in the order mu, log_var.
    (module.replace("logvar_net", "mu_net~"), tensors.iter().position(|t| *t == tensor).unwrap())
}

/// Fills the weights and biases of a network, numbered from `base` on in the order of its modules; running statistics are neutral.
pub fn fill(tensors: &mut BTreeMap<String, Tensor>, network: &str, base: u64) {
    let (running, mut names): (Vec<String>, Vec<String>) =
        tensors.keys().filter(|k| k.starts_with(network)).cloned().partition(|k| k.contains("running"));
    for name in running {
        let neutral = if name.ends_with("var") { 1f32 } else { 0.0 };
        let tensor = Tensor::full(neutral, tensors[&name].dims(), &Device::Cpu).unwrap();
        tensors.insert(name, tensor);
    }
    names.sort_by_key(|name| place(name));
    for (name, n) in names.into_iter().zip(base..) {
        let dims = tensors[&name].dims().to_vec();
        let count: usize = dims.iter().product();
        let (scale, shift) = match dims.len() {
            1 if name.ends_with(".weight") => (0.1, 1.0),
            1 => (0.1, 0.0),
            _ => ((3.0 * dims[0] as f64 / count as f64).sqrt(), 0.0),
        };
        let values: Vec<f64> =
            (0..count as u64).map(|k| shift + scale * (2.0 * uniform(n, k) - 1.0)).collect();
        let tensor = Tensor::from_vec(values, dims, &Device::Cpu).unwrap();
        tensors.insert(name, tensor);
    }
}
