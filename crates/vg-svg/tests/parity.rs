//! Agreement with the PyTorch reference on the committed golden files.

use candle_core::DType;
use vg_core::testing::{Fixture, ParityReport, Tolerance};

fn run(file: &str, dtype: DType) -> ParityReport {
    let path = format!("{}/tests/fixtures/{file}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let fixture = Fixture::open(path).expect("a committed fixture");
    vg_svg::parity::run(&fixture, dtype, Tolerance::default()).expect("a whole fixture")
}

fn assert_passes(report: &ParityReport) {
    let failing: Vec<_> = report.lines.iter().filter(|l| !l.passes()).collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

/// Only data and metrics, which are not the model's, are left out in f64.
fn assert_whole(report: &ParityReport) {
    let of_others =
        |name: &&String| ["out.metric", "out.best_of_n", "out.mnist"].iter().any(|p| name.starts_with(p));
    let forgotten: Vec<&String> = report.skipped.keys().filter(|name| !of_others(name)).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

fn in_f64(file: &str) {
    let report = run(file, DType::F64);
    assert_passes(&report);
    assert_whole(&report);
}

#[test]
fn learned_prior_on_dcgan_in_f64() {
    in_f64("svg");
}

#[test]
fn fixed_prior_on_vgg_with_official_skips_in_f64() {
    in_f64("svg-fp-vgg");
}

#[test]
fn deeper_posterior_and_prior_on_vgg_with_all_skips_in_f64() {
    in_f64("svg-lp-vgg");
}

#[test]
fn deterministic_baseline_in_f64() {
    in_f64("svg-det");
}

#[test]
fn outputs_losses_and_gradients_in_f32() {
    for file in ["svg", "svg-fp-vgg", "svg-lp-vgg", "svg-det"] {
        assert_passes(&run(file, DType::F32));
    }
}
