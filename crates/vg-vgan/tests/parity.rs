//! Agreement with the PyTorch reference on the committed golden files.

use candle_core::DType;
use vg_core::testing::{Fixture, ParityReport, Tolerance};

/// Two streams with the mask's sum, one stream, and the conditional variant, all of 16 frames of 16x16.
const FILES: [&str; 3] = ["two-stream", "one-stream", "conditional"];

fn run(file: &str, dtype: DType) -> ParityReport {
    let path = format!("{}/tests/fixtures/{file}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let fixture = Fixture::open(path).expect("a committed fixture");
    vg_vgan::parity::run(&fixture, dtype, Tolerance::default()).expect("a whole fixture")
}

fn assert_passes(file: &str, report: &ParityReport) {
    let failing: Vec<_> = report.lines.iter().filter(|l| !l.passes()).collect();
    assert!(failing.is_empty(), "{file}: {failing:#?}");
}

#[test]
fn everything_in_f64() {
    for file in FILES {
        let report = run(file, DType::F64);
        assert_passes(file, &report);
        assert!(report.skipped.keys().all(|name| name.ends_with(".bias")), "{:?}", report.skipped);
    }
}

#[test]
fn outputs_losses_and_gradients_in_f32() {
    for file in FILES {
        assert_passes(file, &run(file, DType::F32));
    }
}
