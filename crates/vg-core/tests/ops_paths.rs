//! Every kernel path of this CPU against the definition: portable, AVX2, and the best one; f32 and f64; few and many channels.
//!
//! A program of its own, because the instruction set is chosen for a whole process. `PROPTEST_CASES=5000 cargo test --release -p vg-core
//! --features testing --test ops_paths` looks longer.

use candle_core::{DType, Tensor};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use vg_core::ops::conv::{conv, conv_transpose, conv_weight_grad, reference};
use vg_core::ops::{Instructions, limit_instructions};

mod cases;
use cases::{Case, case, far, random};

/// Largest error of the three operations on operands of this type, relative to the definition in f64.
fn check(case: &Case, dtype: DType) -> f64 {
    let typed = |t: &Tensor| t.to_dtype(dtype).unwrap();
    let (x, w, g) = (random("x", &case.input), random("w", &case.weight), random("g", &case.output()));
    let (x, w, g) = (typed(&x), typed(&w), typed(&g));
    let extra = case.output_padding();
    let pairs = [
        (conv(&x, &w, &case.params), reference::conv(&x, &w, &case.params)),
        (conv_transpose(&g, &w, &case.params, extra), reference::conv_transpose(&g, &w, &case.params, extra)),
        (
            conv_weight_grad(&x, &g, case.kernel(), &case.params),
            reference::conv_weight_grad(&x, &g, case.kernel(), &case.params),
        ),
    ];
    pairs.map(|(fast, slow)| far(&fast.unwrap(), &slow.unwrap())).into_iter().fold(0.0, f64::max)
}

fn run(cases: u32, channels: usize) {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    let agrees = |case: Case| {
        for instructions in [Instructions::Portable, Instructions::Avx2, Instructions::Best] {
            limit_instructions(instructions);
            for (dtype, bound) in [(DType::F64, 1e-11), (DType::F32, 1e-3)] {
                let error = check(&case, dtype);
                if error > bound {
                    return Err(TestCaseError::fail(format!("{instructions:?} {dtype:?}: error {error:e}")));
                }
            }
        }
        Ok(())
    };
    runner.run(&case(channels), agrees).unwrap();
}

#[test]
fn all_paths_agree_with_the_definition() {
    let cases = Config::default().cases;
    run(cases, 5);
    run(cases / 8, 90);
}
