//! Agreement with the PyTorch reference on the committed golden files.

use candle_core::DType;
use vg_core::testing::{Fixture, ParityReport, Tolerance};

fn run(file: &str, dtype: DType) -> ParityReport {
    let path = format!("{}/tests/fixtures/{file}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let fixture = Fixture::open(path).expect("a committed fixture");
    vg_videovae::parity::run(&fixture, dtype, Tolerance::default()).expect("a whole fixture")
}

fn assert_passes(report: &ParityReport) {
    let failing: Vec<_> = report.lines.iter().filter(|l| !l.passes()).collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

/// Only the scores, which are not the model's, are left out in f64.
fn in_f64(file: &str) {
    let report = run(file, DType::F64);
    assert_passes(&report);
    let forgotten: Vec<&String> = report.skipped.keys().filter(|name| !name.starts_with("out.scores.")).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

#[test]
fn stage_2_in_f64() {
    in_f64("videovae");
}

#[test]
fn joint_training_in_f64() {
    in_f64("videovae-joint");
}

#[test]
fn outputs_losses_and_gradients_in_f32() {
    for file in ["videovae", "videovae-joint"] {
        assert_passes(&run(file, DType::F32));
    }
}
