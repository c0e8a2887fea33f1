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

/// Only what is left out on purpose: scores, which are not the model's, and the biases that batch norm takes away.
fn in_f64(file: &str) {
    let report = run(file, DType::F64);
    assert_passes(&report);
    let meant = |name: &&String| name.starts_with("out.scores.") || name.ends_with(".convt1.bias");
    let forgotten: Vec<&String> = report.skipped.keys().filter(|name| !meant(name)).collect();
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
fn a_decoder_that_sees_the_state_in_f64() {
    in_f64("videovae-grey-h");
}

#[test]
fn joint_training_of_two_label_groups_in_f64() {
    in_f64("videovae-joint-l1");
}

#[test]
fn joint_training_with_all_flags_in_f64() {
    in_f64("videovae-joint-h");
}

#[test]
fn squared_errors_in_f64() {
    in_f64("videovae-l2");
}

#[test]
fn strides_of_large_images_in_f64() {
    in_f64("videovae-strides");
}

#[test]
fn outputs_losses_and_gradients_in_f32() {
    for file in [
        "videovae",
        "videovae-joint",
        "videovae-grey-h",
        "videovae-joint-l1",
        "videovae-joint-h",
        "videovae-l2",
        "videovae-strides",
    ] {
        assert_passes(&run(file, DType::F32));
    }
}
