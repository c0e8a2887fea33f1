//! Every kernel path of this CPU against the definition: portable, AVX2, AVX-512, and the best one; f32 and f64; few and many channels; with
//! and without bias and activation.
//!
//! A program of its own, because the instruction set is chosen for a whole process. `PROPTEST_CASES=5000 cargo test --release -p vg-core
//! --features testing --test ops_paths` looks longer.

use candle_core::{DType, Tensor};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use vg_core::ops::conv::{
    ConvParams, Epilogue, conv_fused, conv_transpose_fused, conv_weight_grad, reference,
};
use vg_core::ops::{Activation, Instructions, limit_instructions};

mod cases;
use cases::{Case, case, far, random};

const PATHS: &[Instructions] = if cfg!(target_arch = "x86_64") {
    &[Instructions::Portable, Instructions::Avx2, Instructions::Avx512, Instructions::Best]
} else {
    &[Instructions::Portable, Instructions::Best]
};

const ACTIVATIONS: [Activation; 5] = [
    Activation::Identity,
    Activation::Relu,
    Activation::LeakyRelu(0.2),
    Activation::Tanh,
    Activation::Sigmoid,
];

/// A convolution, what follows it, and how many positions longer than necessary the transposed one's result is.
#[derive(Clone, Debug)]
struct Fused {
    case: Case,
    biased: bool,
    activation: Activation,
    longer: [usize; 3],
}

impl Fused {
    /// Any output padding that is allowed and leaves something.
    fn output_padding(&self) -> [usize; 3] {
        let (params, least) = (&self.case.params, self.case.output_padding());
        std::array::from_fn(|a| least[a].max(self.longer[a] % params.stride[a].max(params.dilation[a])))
    }
}

fn fused(channels: usize) -> impl Strategy<Value = Fused> {
    let activation = proptest::sample::select(&ACTIVATIONS[..]);
    (case(channels), any::<bool>(), activation, proptest::array::uniform3(0usize..3)).prop_map(
        |(case, biased, activation, longer)| {
            // Axes that the case does not have keep their length.
            let axes = case.kernel().len();
            let longer = std::array::from_fn(|a| if a + axes < 3 { 0 } else { longer[a] });
            Fused { case, biased, activation, longer }
        },
    )
}

/// Numbers that both types hold exactly.
fn operand(name: &str, shape: &[usize]) -> Tensor {
    random(name, shape).to_dtype(DType::F32).unwrap().to_dtype(DType::F64).unwrap()
}

/// Bias and activation by their definitions.
fn finished(y: &Tensor, bias: Option<&Tensor>, activation: Activation) -> Tensor {
    let mut shape = vec![1; y.rank()];
    shape[1] = y.dims()[1];
    let y = match bias {
        Some(bias) => y.broadcast_add(&bias.reshape(shape).unwrap()).unwrap(),
        None => y.clone(),
    };
    let values: Vec<f64> = y.flatten_all().unwrap().to_vec1().unwrap();
    let f = |v: f64| match activation {
        Activation::Identity => v,
        Activation::Relu => v.max(0.0),
        Activation::LeakyRelu(slope) => v.max(slope * v),
        Activation::Elu => v.max(0.0) + v.min(0.0).exp_m1(),
        Activation::Tanh => v.tanh(),
        Activation::Sigmoid => 1.0 / (1.0 + (-v).exp()),
    };
    let values: Vec<f64> = values.into_iter().map(f).collect();
    Tensor::from_vec(values, y.dims(), y.device()).unwrap()
}

/// The three operations on all paths; the message of the first that is off.
fn check(fused: &Fused) -> Result<(), String> {
    let Fused { case, biased, activation, .. } = fused;
    let (params, extra) = (&case.params, fused.output_padding());
    let (x, w, g) = (operand("x", &case.input), operand("w", &case.weight), operand("g", &case.output()));
    let (b, back) = (operand("b", &case.weight[..1]), operand("back", &case.input[1..2]));
    let (b, back) = (biased.then_some(b), biased.then_some(back));
    let want = [
        finished(&reference::conv(&x, &w, params).unwrap(), b.as_ref(), *activation),
        finished(&reference::conv_transpose(&g, &w, params, extra).unwrap(), back.as_ref(), *activation),
        reference::conv_weight_grad(&x, &g, case.kernel(), params).unwrap(),
    ];
    for (dtype, bound) in [(DType::F64, 1e-11), (DType::F32, 1e-4)] {
        let typed = |t: &Tensor| t.to_dtype(dtype).unwrap();
        let (x, w, g) = (typed(&x), typed(&w), typed(&g));
        let (b, back) = (b.as_ref().map(typed), back.as_ref().map(typed));
        let epilogue = |bias| Epilogue { bias, activation: *activation };
        for instructions in PATHS {
            limit_instructions(*instructions);
            let got = [
                conv_fused(&x, &w, epilogue(b.as_ref()), params),
                conv_transpose_fused(&g, &w, epilogue(back.as_ref()), params, extra),
                conv_weight_grad(&x, &g, case.kernel(), params),
            ];
            for (what, (got, want)) in ["conv", "transposed", "weight"].iter().zip(got.iter().zip(&want)) {
                let error = far(got.as_ref().unwrap(), want);
                // NaN is larger than no bound.
                if error.is_nan() || error > bound {
                    return Err(format!("{instructions:?} {dtype:?} {what}: error {error:e}"));
                }
            }
        }
    }
    Ok(())
}

fn run(cases: u32, channels: usize) {
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    runner.run(&fused(channels), |fused| check(&fused).map_err(TestCaseError::fail)).unwrap();
}

/// One after the other, because the limit of the instructions holds for the whole process.
#[test]
fn all_paths_agree_with_the_definition() {
    for fused in shapes_of_the_models() {
        check(&fused).unwrap_or_else(|e| panic!("{e} in {fused:?}"));
    }
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { Config::default().cases } else { 48 };
    run(cases, 5);
    run(cases / 8, 90);
}

/// `[batch, channels in, channels out]`, sizes of map and kernel.
type Layer = ([usize; 3], (Vec<usize>, Vec<usize>, ConvParams));

/// What random cases meet seldom: each kind of layer of the models in small.
fn shapes_of_the_models() -> Vec<Fused> {
    let p = ConvParams::per_axis::<2>;
    let square = |kernel: usize, stride: usize, padding: usize| {
        let size = 3 * stride + kernel - 2 * padding;
        (vec![size, size], vec![kernel, kernel], p([stride; 2], [padding; 2]))
    };
    let mut shapes: Vec<Layer> = Vec::new();
    // Batch, channels in, channels out; every kernel with every stride.
    for (kernel, padding) in [(1, 0), (3, 1), (4, 1), (5, 2), (7, 3), (9, 4)] {
        for stride in 1..=3 {
            shapes.push(([1, 3, 18], square(kernel, stride, padding)));
            shapes.push(([2, 17, 3], square(kernel, stride, padding)));
        }
    }
    shapes.extend([
        // Maps of one position: matrix products.
        ([3, 20, 33], (vec![1, 1], vec![1, 1], p([1; 2], [0; 2]))),
        ([1, 20, 33], (vec![1, 1], vec![3, 3], p([1; 2], [1; 2]))),
        // 4 x 4, as a whole and in pieces.
        ([1, 34, 19], (vec![4, 4], vec![4, 4], p([1; 2], [0; 2]))),
        ([2, 34, 19], (vec![4, 4], vec![3, 3], p([1; 2], [1; 2]))),
        ([1, 16, 48], (vec![4, 4], vec![4, 4], p([2; 2], [1; 2]))),
        // Clips: into and out of three channels, one frame, one row.
        ([1, 3, 16], (vec![4, 8, 8], vec![4, 4, 4], ConvParams::uniform(2, 1))),
        ([1, 16, 3], (vec![3, 6, 6], vec![3, 3, 3], ConvParams::uniform(1, 1))),
        ([2, 5, 7], (vec![1, 6, 6], vec![1, 3, 3], ConvParams::per_axis([1, 2, 2], [0, 1, 1]))),
        // Sequences; dilation.
        ([2, 24, 40], (vec![9], vec![4], ConvParams::per_axis([1], [0]).dilation([2]))),
        ([1, 3, 70], (vec![33], vec![9], ConvParams::per_axis([3], [4]))),
    ]);
    let cases = shapes.into_iter().enumerate().map(|(i, ([batch, c_in, c_out], (size, kernel, params)))| {
        let join = |a: usize, b: usize, rest: Vec<usize>| [vec![a, b], rest].concat();
        let case = Case { input: join(batch, c_in, size), weight: join(c_out, c_in, kernel), params };
        Fused {
            case,
            biased: i % 3 != 0,
            activation: ACTIVATIONS[i % ACTIVATIONS.len()],
            longer: [0, 0, i % 3],
        }
    });
    let grouped = |groups: usize| {
        let case = Case {
            input: vec![1, 6 * groups, 7, 7],
            weight: vec![4 * groups, 6, 3, 3],
            params: p([2; 2], [1; 2]).dilation([1, 2]).groups(groups),
        };
        Fused { case, biased: true, activation: Activation::Relu, longer: [0, 1, 1] }
    };
    cases.chain([grouped(2), grouped(3)]).collect()
}
