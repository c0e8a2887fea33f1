//! Agreement with the PyTorch reference on the committed golden files.

use candle_core::DType;
use vg_core::testing::{Fixture, ParityReport, Tolerance};

fn run(file: &str, dtype: DType) -> ParityReport {
    let path = format!("{}/tests/fixtures/{file}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let fixture = Fixture::open(path).expect("a committed fixture");
    vg_vid2vid::parity::run(&fixture, dtype, Tolerance::default()).expect("a whole fixture")
}

fn assert_passes(report: &ParityReport) {
    let failing: Vec<_> = report.lines.iter().filter(|l| !l.passes()).collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

/// Nothing but biases that do not matter and what follows them is left out in f64.
fn in_f64(file: &str) {
    let report = run(file, DType::F64);
    assert_passes(&report);
    let vanishing =
        |name: &str| name.ends_with(".bias") || name.ends_with("running_mean") || name.contains(".E.");
    let forgotten: Vec<&String> =
        report.skipped.keys().filter(|name| !name.starts_with("after") || !vanishing(name)).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

#[test]
fn coarse_generator_with_foreground_in_f64() {
    in_f64("vid2vid");
}

#[test]
fn two_generators_in_f64() {
    in_f64("vid2vid-fine");
}

#[test]
fn instance_features_in_f64() {
    in_f64("vid2vid-features");
}

#[test]
fn continuous_maps_from_nothing_with_faces_in_f64() {
    in_f64("pose");
}

#[test]
fn two_clips_without_flow_at_two_rates_in_f64() {
    in_f64("no-flow");
}

#[test]
fn the_finest_generator_alone_with_gradients_through_time_in_f64() {
    in_f64("finest-only");
}

#[test]
fn outputs_losses_and_gradients_in_f32() {
    for file in ["vid2vid", "vid2vid-fine", "vid2vid-features", "pose", "no-flow", "finest-only"] {
        assert_passes(&run(file, DType::F32));
    }
}
