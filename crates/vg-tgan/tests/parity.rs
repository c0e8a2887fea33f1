//! Agreement with the PyTorch reference on the committed golden files.

use candle_core::DType;
use vg_core::testing::{Fixture, ParityReport, Tolerance};

fn run(file: &str, dtype: DType) -> ParityReport {
    let path = format!("{}/tests/fixtures/{file}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let fixture = Fixture::open(path).expect("a committed fixture");
    vg_tgan::parity::run(&fixture, dtype, Tolerance::default()).expect("a whole fixture")
}

fn assert_passes(report: &ParityReport) {
    let failing: Vec<_> = report.lines.iter().filter(|l| !l.passes()).collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

#[test]
fn wgan_with_singular_value_clipping_in_f64() {
    let report = run("tgan", DType::F64);
    assert_passes(&report);
    assert!(report.skipped.is_empty(), "{:?}", report.skipped);
}

#[test]
fn vanilla_gan_with_noise_in_f64() {
    assert_passes(&run("tgan-vanilla", DType::F64));
}

#[test]
fn outputs_losses_and_gradients_in_f32() {
    assert_passes(&run("tgan", DType::F32));
    assert_passes(&run("tgan-vanilla", DType::F32));
}
