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

#[test]
fn categorical_model_in_f64() {
    assert_passes(&run("mocogan", DType::F64));
}
