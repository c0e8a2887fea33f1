//! Inputs by formula, and the golden statistics.
#![allow(dead_code, reason = "every test program uses a part")]

use candle_core::{DType, Tensor};
use vg_core::testing::Fixture;
use vg_metrics::Features;

/// The golden file of the statistics.
pub fn statistics() -> Fixture {
    fixture("statistics.safetensors")
}

/// A file of `tests/fixtures`.
pub fn fixture(name: &str) -> Fixture {
    Fixture::open(format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// An entry in f64 with its shape.
pub fn entry(file: &Fixture, name: &str) -> (Vec<usize>, Vec<f64>) {
    let tensor: Tensor = file.tensor(name, DType::F64).unwrap().to_dtype(DType::F64).unwrap();
    (tensor.dims().to_vec(), tensor.flatten_all().unwrap().to_vec1().unwrap())
}

/// An entry `[N, d]` as features.
pub fn features(file: &Fixture, name: &str) -> Features {
    let (shape, values) = entry(file, name);
    Features::from_rows(name, shape[1], &values).unwrap()
}

/// The test features q(i, k) of the metrics specification.
pub fn q(i: usize, k: usize) -> f64 {
    ((31 * i * i + 17 * i + 101 * (k + 1)) % 1009) as f64 / 504.0 - 1.0
}

/// X and Y of the specification as `n` x `d`.
pub fn q_sets(n: usize, d: usize) -> (Features, Features) {
    let x: Vec<f64> = (0..n * d).map(|i| q(i, 0)).collect();
    let y: Vec<f64> = (0..n * d).map(|i| 0.5 * q(i, 1) + 0.3).collect();
    (Features::from_rows("X", d, &x).unwrap(), Features::from_rows("Y", d, &y).unwrap())
}

/// `|got - want| <= tolerance`, with both in the message.
#[track_caller]
pub fn close(what: &str, got: f64, want: f64, tolerance: f64) {
    assert!(
        (got - want).abs() <= tolerance,
        "{what}: got {got:.12}, want {want:.12}, off by {:e}",
        got - want
    );
}
