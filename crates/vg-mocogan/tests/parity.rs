//! Agreement with the PyTorch reference on the committed golden files.

use candle_core::DType;
use vg_core::testing::{Fixture, ParityReport, Tolerance};

fn run(file: &str, dtype: DType) -> ParityReport {
    let path = format!("{}/tests/fixtures/{file}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let fixture = Fixture::open(path).expect("a committed fixture");
    vg_mocogan::parity::run(&fixture, dtype, Tolerance::default()).expect("a whole fixture")
}

fn assert_passes(report: &ParityReport) {
    let failing: Vec<_> = report.lines.iter().filter(|l| !l.passes()).collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

/// Only data and metrics, which are not the model's, are left out in f64.
fn assert_whole(report: &ParityReport) {
    let of_others =
        |name: &&String| ["out.shapes", "out.sampler", "out.acd"].iter().any(|p| name.starts_with(p));
    let forgotten: Vec<&String> = report.skipped.keys().filter(|name| !of_others(name)).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

#[test]
fn class_into_the_motion_network_and_supervised_in_f64() {
    let report = run("mocogan", DType::F64);
    assert_passes(&report);
    assert_whole(&report);
}

#[test]
fn class_into_the_image_generator_and_infogan_in_f64() {
    let report = run("mocogan-infogan", DType::F64);
    assert_passes(&report);
    assert_whole(&report);
}

#[test]
fn unconditional_with_patch_discriminators_in_f64() {
    let report = run("mocogan-patch", DType::F64);
    assert_passes(&report);
    assert_whole(&report);
}

#[test]
fn outputs_losses_and_gradients_in_f32() {
    for file in ["mocogan", "mocogan-infogan", "mocogan-patch"] {
        assert_passes(&run(file, DType::F32));
    }
}
