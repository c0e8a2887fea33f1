//! Agreement with the PyTorch reference on the committed golden files.

use candle_core::DType;
use vg_core::testing::{Fixture, ParityReport, Tolerance};

fn run(file: &str, dtype: DType) -> ParityReport {
    let path = format!("{}/tests/fixtures/{file}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let fixture = Fixture::open(path).expect("a committed fixture");
    vg_dvdgan::parity::run(&fixture, dtype, Tolerance::default()).expect("a whole fixture")
}

fn assert_passes(report: &ParityReport) {
    let failing: Vec<_> = report.lines.iter().filter(|l| !l.passes()).collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

/// Nothing but biases that do not matter is left out in f64.
fn in_f64(file: &str) {
    let report = run(file, DType::F64);
    assert_passes(&report);
    let forgotten: Vec<&String> =
        report.skipped.keys().filter(|name| !name.starts_with("after") || !name.ends_with(".bias")).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

#[test]
fn class_conditional_with_attention_in_f64() {
    in_f64("classes-attention");
}

#[test]
fn unconditional_in_f64() {
    in_f64("unconditional");
}

#[test]
fn given_frames_in_f64() {
    in_f64("given");
}

#[test]
fn nearest_upsampling_all_projections_and_a_plain_output_norm_in_f64() {
    in_f64("flags");
}

#[test]
fn given_frames_with_nearest_upsampling_in_f64() {
    in_f64("given-flags");
}

#[test]
fn outputs_losses_and_gradients_in_f32() {
    for file in ["classes-attention", "unconditional", "given", "flags", "given-flags"] {
        assert_passes(&run(file, DType::F32));
    }
}
