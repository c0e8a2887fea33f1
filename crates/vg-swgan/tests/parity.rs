//! Agreement with the PyTorch reference on the committed golden files.

use candle_core::DType;
use vg_core::testing::{Fixture, ParityReport, Tolerance};

const FILES: [&str; 9] = [
    "swgan",
    "swgan-small",
    "swgan-strict",
    "swgan-stable",
    "swgan-low-fade",
    "swgan-image",
    "swgan-image-four",
    "swgan-swae",
    "swgan-swae-shifted",
];

fn run(file: &str, dtype: DType) -> ParityReport {
    let path = format!("{}/tests/fixtures/{file}.safetensors", env!("CARGO_MANIFEST_DIR"));
    let fixture = Fixture::open(path).expect("a committed fixture");
    vg_swgan::parity::run(&fixture, dtype, Tolerance::default()).expect("a whole fixture")
}

fn assert_passes(report: &ParityReport) {
    let failing: Vec<_> = report.lines.iter().filter(|l| !l.passes()).collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

/// Only what is left out on purpose: a bias that the primal blocks do not see.
fn in_f64(file: &str) {
    let report = run(file, DType::F64);
    assert_passes(&report);
    let forgotten: Vec<&String> =
        report.skipped.keys().filter(|name| !name.ends_with("Encoder.Linear.bias")).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}

/// In a fade, without growth, with the official resampling and the other penalty, stable below full size, in the lower fade.
#[test]
fn video_in_f64() {
    FILES
        .iter()
        .filter(|file| !file.contains("image") && !file.contains("swae"))
        .for_each(|file| in_f64(file));
}

/// Two dual blocks; four, with the other penalty.
#[test]
fn images_in_f64() {
    FILES.iter().filter(|file| file.contains("image")).for_each(|file| in_f64(file));
}

/// With and without the official shift.
#[test]
fn auto_encoder_in_f64() {
    FILES.iter().filter(|file| file.contains("swae")).for_each(|file| in_f64(file));
}

#[test]
fn outputs_losses_and_gradients_in_f32() {
    for file in FILES {
        assert_passes(&run(file, DType::F32));
    }
}
