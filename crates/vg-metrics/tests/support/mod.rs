//! What the tests of networks share.
#![allow(dead_code, reason = "each test uses a part")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use vg_core::testing::Fixture;
use vg_metrics::weights::{self, Network, Weights};

pub fn fixture(name: &str) -> Fixture {
    Fixture::open(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// An entry as f32.
pub fn entry(fixture: &Fixture, name: &str) -> Tensor {
    fixture.tensor(name, DType::F32).unwrap()
}

/// Parameters of a network of a fixture, without their common prefix.
pub fn parameters(fixture: &Fixture, network: &str) -> BTreeMap<String, Tensor> {
    fixture.group(&format!("param.{network}."), DType::F32).unwrap()
}

/// Converted weights, where `cargo xtask download` puts them; without them the test does nothing.
pub fn downloaded(network: Network) -> Option<Weights> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../data/cache/networks");
    if weights::is_present(network, &folder) {
        return Some(weights::open(network, folder).unwrap());
    }
    #[allow(clippy::print_stderr, reason = "a test that does nothing should say so")]
    {
        eprintln!("skipped: {} is not here; `{}` gets it", network.name(), network.command());
    }
    None
}

/// The clip of the specification's formula, `[1, 3, T, H, W]` u8.
pub fn pattern(seed: usize, [frames, height, width]: [usize; 3]) -> Tensor {
    let mut values = Vec::with_capacity(3 * frames * height * width);
    for c in 0..3 {
        for t in 0..frames {
            for y in 0..height {
                for x in 0..width {
                    let v = 3 * x + 5 * y + 7 * t + 11 * c + (seed + 1) * (x * y / 16) + seed * t * (x / 8);
                    values.push((v % 256) as u8);
                }
            }
        }
    }
    Tensor::from_vec(values, (1, 3, frames, height, width), &Device::Cpu).unwrap()
}

/// All values in order.
pub fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

pub fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}
