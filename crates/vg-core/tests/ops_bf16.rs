//! Convolutions with products in bf16 against their definition, on every path of this CPU.
//!
//! A program of its own, because the instruction set is chosen for a whole process.

use std::sync::{Mutex, MutexGuard};

use candle_core::{DType, Tensor, Var};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use vg_core::grad::Tape;
use vg_core::ops::conv::{
    ConvParams, Epilogue, Precision, conv, conv_fused, conv_transpose, conv_transpose_fused,
    conv_weight_grad, reference,
};
use vg_core::ops::{Activation, Instructions, limit_instructions};

mod cases;
use cases::{Case, case, far, random, values};

const ALL: [Instructions; 4] =
    [Instructions::Portable, Instructions::Avx2, Instructions::Avx512, Instructions::Best];

/// Tests of one process take turns, since the instructions are the process's.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|e| e.into_inner())
}

/// Random numbers that bf16 holds exactly, in f64.
fn exact(name: &str, shape: &[usize]) -> Tensor {
    random(name, shape).to_dtype(DType::BF16).unwrap().to_dtype(DType::F64).unwrap()
}

/// The three operations.
fn run(case: &Case, [x, w, g]: &[Tensor; 3], params: &ConvParams) -> [Tensor; 3] {
    let extra = case.output_padding();
    let all = [
        conv(x, w, params),
        conv_transpose(g, w, params, extra),
        conv_weight_grad(x, g, case.kernel(), params),
    ];
    all.map(|t| t.unwrap())
}

fn agrees(case: &Case) -> Result<(), String> {
    let operands = [exact("x", &case.input), exact("w", &case.weight), exact("g", &case.output())];
    let [x, w, g] = &operands;
    let want = [
        reference::conv(x, w, &case.params),
        reference::conv_transpose(g, w, &case.params, case.output_padding()),
        reference::conv_weight_grad(x, g, case.kernel(), &case.params),
    ];
    let want = want.map(|t| t.unwrap());
    let narrow = case.params.precision(Precision::Bf16);
    for instructions in ALL {
        limit_instructions(instructions);
        // The operands are exact, so that the sums are those of f32, and a result of bf16 is off by half a unit in the last place.
        for (dtype, params, bound) in [(DType::F32, &narrow, 1e-4), (DType::BF16, &case.params, 4e-3)] {
            let typed = operands.each_ref().map(|t| t.to_dtype(dtype).unwrap());
            let got = run(case, &typed, params);
            for error in got.iter().zip(&want).map(|(got, want)| far(got, want)) {
                if error.is_nan() || error > bound {
                    return Err(format!("{instructions:?} {dtype:?}: error {error:e} in {case:?}"));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn random_convolutions_agree_with_the_definition() {
    let _turn = turn();
    let cases = Config::default().cases;
    for (cases, channels) in [(cases / 4, 40), (cases / 16, 90)] {
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
        runner.run(&case(channels), |case| agrees(&case).map_err(TestCaseError::fail)).unwrap();
    }
}

#[test]
fn layers_of_the_models_agree_with_the_definition() {
    let _turn = turn();
    let k4 = ConvParams::uniform(2, 1);
    let k3 = ConvParams::uniform(1, 1);
    for case in [
        Case { input: vec![2, 35, 4, 10, 18], weight: vec![70, 35, 4, 4, 4], params: k4 },
        Case { input: vec![3, 64, 12, 20], weight: vec![33, 64, 3, 3], params: k3 },
        Case { input: vec![2, 40, 21, 17], weight: vec![3, 40, 7, 7], params: ConvParams::uniform(1, 3) },
        Case { input: vec![33, 90, 4, 4], weight: vec![20, 90, 4, 4], params: ConvParams::uniform(1, 0) },
        Case {
            input: vec![2, 66, 5, 9, 9],
            weight: vec![48, 66, 1, 1, 1],
            params: ConvParams::uniform(1, 0),
        },
        Case { input: vec![40, 130, 1, 1], weight: vec![70, 130, 1, 1], params: ConvParams::uniform(1, 0) },
        Case { input: vec![2, 8, 40], weight: vec![34, 8, 9], params: ConvParams::uniform(3, 4) },
        Case { input: vec![2, 3, 33, 33], weight: vec![16, 3, 5, 5], params: ConvParams::uniform(2, 2) },
    ] {
        agrees(&case).unwrap();
    }
}

#[test]
fn bias_and_activation_follow_the_sums() {
    let _turn = turn();
    let single = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
    let (x, b, c) = (exact("x", &[2, 36, 7, 11]), exact("b", &[40]), exact("c", &[34]));
    for groups in [1, 2] {
        let (w, v) = (exact("w", &[40, 36 / groups, 3, 3]), exact("v", &[36, 34 / groups, 4, 4]));
        let p = ConvParams::uniform(1, 1).groups(groups).precision(Precision::Bf16);
        let t = ConvParams::uniform(2, 1).groups(groups).precision(Precision::Bf16);
        for instructions in ALL {
            limit_instructions(instructions);
            for activation in
                [Activation::Relu, Activation::LeakyRelu(0.2), Activation::Tanh, Activation::Sigmoid]
            {
                let forward = |x: &Tensor, w: &Tensor, b: &Tensor| {
                    conv_fused(x, w, Epilogue { bias: Some(b), activation }, &p).unwrap()
                };
                let back = |x: &Tensor, v: &Tensor, c: &Tensor| {
                    conv_transpose_fused(x, v, Epilogue { bias: Some(c), activation }, &t, [0; 3]).unwrap()
                };
                let pairs = [
                    (forward(&single(&x), &single(&w), &single(&b)), forward(&x, &w, &b)),
                    (back(&single(&x), &single(&v), &single(&c)), back(&x, &v, &c)),
                ];
                for (got, want) in pairs {
                    let error = far(&got, &want);
                    assert!(error < 1e-4, "{instructions:?} {activation:?} in {groups} groups: {error}");
                }
            }
        }
    }
}

/// Gradients of a small network, whose convolutions have a bias and an activation.
fn gradients(dtype: DType, precision: Precision, tape: bool) -> Vec<Tensor> {
    let _tape = tape.then(Tape::start);
    let var =
        |name: &str, shape: &[usize]| Var::from_tensor(&exact(name, shape).to_dtype(dtype).unwrap()).unwrap();
    let (x, w) = (var("x", &[2, 20, 8, 8]), var("w", &[34, 20, 4, 4]));
    let (b, v) = (var("b", &[34]), var("v", &[34, 18, 4, 4]));
    let p = ConvParams::uniform(2, 1).precision(precision);
    let h = conv_fused(
        &x,
        &w,
        Epilogue { bias: Some(b.as_tensor()), activation: Activation::LeakyRelu(0.2) },
        &p,
    )
    .unwrap();
    let y = conv_transpose(&h, &v, &p, [0; 3]).unwrap();
    let grads =
        vg_core::grad::backward_from(&y, &exact("g", &[2, 18, 8, 8]).to_dtype(dtype).unwrap()).unwrap();
    [x, w, b, v].iter().map(|t| grads.get(t).unwrap().clone()).collect()
}

#[test]
fn gradients_are_close_to_those_in_f64() {
    let _turn = turn();
    let want = gradients(DType::F64, Precision::Full, false);
    for instructions in ALL {
        limit_instructions(instructions);
        for (dtype, precision, tape) in [
            (DType::F32, Precision::Bf16, false),
            (DType::F32, Precision::Bf16, true),
            (DType::BF16, Precision::Full, false),
            (DType::BF16, Precision::Full, true),
        ] {
            for (got, want) in gradients(dtype, precision, tape).iter().zip(&want) {
                let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
                let (got, want) = (values(got), values(want));
                let error: Vec<f64> = got.iter().zip(&want).map(|(a, b)| a - b).collect();
                assert!(
                    norm(&error) < 1e-2 * norm(&want),
                    "{instructions:?} {dtype:?}: {}",
                    norm(&error) / norm(&want)
                );
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let _turn = turn();
    limit_instructions(Instructions::Best);
    let (x, w, g) =
        (random("x", &[3, 40, 6, 10, 10]), random("w", &[50, 40, 4, 4, 4]), random("g", &[3, 50, 3, 5, 5]));
    let p = ConvParams::uniform(2, 1);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let narrow = |t: &Tensor| t.to_dtype(DType::BF16).unwrap();
        pool.install(|| {
            let (x, w, g) = (narrow(&x), narrow(&w), narrow(&g));
            let all =
                [conv(&x, &w, &p), conv_transpose(&g, &w, &p, [0; 3]), conv_weight_grad(&x, &g, &[4; 3], &p)];
            all.map(|t| values(&t.unwrap()))
        })
    };
    assert_eq!(run(1), run(3));
}
