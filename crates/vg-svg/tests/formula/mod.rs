//! Weights and inputs by the specification's formula (section 10.4), which needs no file.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

/// Number `k` of tensor `n`, in [0, 1): a hash of both.
pub fn uniform(n: u64, k: u64) -> f64 {
    let mut s = (n << 32).wrapping_add(k).wrapping_add(0x9E37_79B9_7F4A_7C15);
    s = (s ^ (s >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    s = (s ^ (s >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    s ^= s >> 31;
    (s >> 40) as f64 / (1u64 << 24) as f64
}

/// Tensor `n` of numbers in [0, 1).
pub fn input(n: u64, dims: &[usize]) -> Tensor {
    let count: usize = dims.iter().product();
    let values: Vec<f32> = (0..count as u64).map(|k| uniform(n, k) as f32).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

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
