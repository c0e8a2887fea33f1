//! Convolution against its definition, its adjoint, its derivatives and itself on other numbers of threads.

use candle_core::{DType, Tensor, Var};
use proptest::prelude::*;
use vg_core::ops::Activation;
use vg_core::ops::conv::{
    ConvParams, Epilogue, conv, conv_fused, conv_transpose, conv_transpose_fused, conv_weight_grad, reference,
};
use vg_core::testing::gradcheck::gradcheck;

mod cases;
use cases::{Case, case, dot, far, random, values};

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_three_agree_with_their_definitions(case in case(4)) {
        let (x, w) = (random("x", &case.input), random("w", &case.weight));
        let y = conv(&x, &w, &case.params).unwrap();
        prop_assert!(far(&y, &reference::conv(&x, &w, &case.params).unwrap()) < 1e-12);

        let g = random("g", y.dims());
        let dw = conv_weight_grad(&x, &g, case.kernel(), &case.params).unwrap();
        let want = reference::conv_weight_grad(&x, &g, case.kernel(), &case.params).unwrap();
        prop_assert!(far(&dw, &want) < 1e-12);

        let extra = case.output_padding();
        let dx = conv_transpose(&g, &w, &case.params, extra).unwrap();
        prop_assert_eq!(dx.dims(), x.dims());
        prop_assert!(far(&dx, &reference::conv_transpose(&g, &w, &case.params, extra).unwrap()) < 1e-12);
    }

    #[test]
    fn the_transposed_convolution_is_the_adjoint(case in case(4)) {
        let (x, w) = (random("x", &case.input), random("w", &case.weight));
        let g = random("g", &case.output());
        let there = dot(&conv(&x, &w, &case.params).unwrap(), &g);
        let back = dot(&x, &conv_transpose(&g, &w, &case.params, case.output_padding()).unwrap());
        let weight = dot(&w, &conv_weight_grad(&x, &g, case.kernel(), &case.params).unwrap());
        prop_assert!((there - back).abs() < 1e-9 * there.abs().max(1.0));
        prop_assert!((there - weight).abs() < 1e-9 * there.abs().max(1.0));
    }

    #[test]
    fn f32_is_close_to_f64(case in case(4)) {
        let (x, w) = (random("x", &case.input), random("w", &case.weight));
        let g = random("g", &case.output());
        let single = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
        let (xs, ws, gs) = (single(&x), single(&w), single(&g));
        let p = &case.params;
        let extra = case.output_padding();
        // Sums of up to a few hundred products of size 1: 4e-5 is some two hundred roundings.
        prop_assert!(far(&conv(&xs, &ws, p).unwrap(), &conv(&x, &w, p).unwrap()) < 4e-5);
        let transposed = conv_transpose(&g, &w, p, extra).unwrap();
        prop_assert!(far(&conv_transpose(&gs, &ws, p, extra).unwrap(), &transposed) < 4e-5);
        let grad = conv_weight_grad(&x, &g, case.kernel(), p).unwrap();
        prop_assert!(far(&conv_weight_grad(&xs, &gs, case.kernel(), p).unwrap(), &grad) < 8e-5);
    }
}

/// Large enough for several tiles, blocks of the inner dimension and partial sums.
fn large() -> Vec<Case> {
    let k4 = ConvParams::uniform(2, 1);
    let k3 = ConvParams::uniform(1, 1);
    vec![
        Case { input: vec![3, 5, 6, 18, 34], weight: vec![40, 5, 4, 4, 4], params: k4 },
        Case { input: vec![5, 36, 20, 20], weight: vec![29, 36, 4, 4], params: k4 },
        Case { input: vec![2, 33, 40, 37], weight: vec![3, 33, 3, 3], params: k3 },
        Case { input: vec![33, 300, 2], weight: vec![70, 300, 4], params: k4 },
        Case { input: vec![4, 64, 9, 31], weight: vec![48, 64, 1, 1], params: ConvParams::default() },
        Case { input: vec![2, 24, 17, 19], weight: vec![24, 1, 3, 3], params: k3.groups(24) },
    ]
}

#[test]
fn large_shapes_agree_with_the_definition() {
    for case in large() {
        let (x, w) = (random("x", &case.input), random("w", &case.weight));
        let y = conv(&x, &w, &case.params).unwrap();
        assert!(far(&y, &reference::conv(&x, &w, &case.params).unwrap()) < 1e-11, "{case:?}");
        let g = random("g", y.dims());
        let dw = conv_weight_grad(&x, &g, case.kernel(), &case.params).unwrap();
        let want = reference::conv_weight_grad(&x, &g, case.kernel(), &case.params).unwrap();
        assert!(far(&dw, &want) < 1e-11, "{case:?}");
        let extra = case.output_padding();
        let dx = conv_transpose(&g, &w, &case.params, extra).unwrap();
        assert!(
            far(&dx, &reference::conv_transpose(&g, &w, &case.params, extra).unwrap()) < 1e-11,
            "{case:?}"
        );
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    for case in large() {
        let single = |t: Tensor| t.to_dtype(DType::F32).unwrap();
        let (x, w) = (single(random("x", &case.input)), single(random("w", &case.weight)));
        let g = single(random("g", &case.output()));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                [
                    conv(&x, &w, &case.params).unwrap(),
                    conv_transpose(&g, &w, &case.params, case.output_padding()).unwrap(),
                    conv_weight_grad(&x, &g, case.kernel(), &case.params).unwrap(),
                ]
                .map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(4), "{case:?}");
    }
}

fn small_cases() -> Vec<Case> {
    let odd = ConvParams::per_axis([2, 1], [1, 0]).dilation([1, 2]).groups(2);
    vec![
        Case { input: vec![2, 3, 7], weight: vec![4, 3, 4], params: ConvParams::uniform(2, 1) },
        Case { input: vec![2, 4, 6, 7], weight: vec![6, 2, 3, 2], params: odd },
        Case { input: vec![1, 2, 4, 4, 5], weight: vec![3, 2, 4, 3, 2], params: ConvParams::uniform(2, 1) },
    ]
}

#[test]
fn gradients_of_all_three_agree_with_differences() {
    for case in small_cases() {
        let (x, w) = (random("x", &case.input), random("w", &case.weight));
        let g = random("g", &case.output());
        let (p, extra) = (case.params, case.output_padding());
        gradcheck(|t| conv(&t[0], &t[1], &p), &[x.clone(), w.clone()]).unwrap();
        gradcheck(|t| conv_transpose(&t[0], &t[1], &p, extra), &[g.clone(), w]).unwrap();
        gradcheck(|t| conv_weight_grad(&t[0], &t[1], case.kernel(), &p), &[x, g]).unwrap();
    }
}

#[test]
fn gradients_pass_through_bias_and_activation() {
    let case = &small_cases()[1];
    let (x, w) = (random("x", &case.input), random("w", &case.weight));
    let g = random("g", &case.output());
    for activation in
        [Activation::Identity, Activation::LeakyRelu(0.2), Activation::Tanh, Activation::Sigmoid]
    {
        let with = |t: &[Tensor]| {
            let epilogue = Epilogue { bias: Some(&t[2]), activation };
            conv_fused(&t[0], &t[1], epilogue, &case.params)
        };
        gradcheck(with, &[x.clone(), w.clone(), random("b", &[6])]).unwrap();
        let with = |t: &[Tensor]| {
            let epilogue = Epilogue { bias: Some(&t[2]), activation };
            conv_transpose_fused(&t[0], &t[1], epilogue, &case.params, case.output_padding())
        };
        gradcheck(with, &[g.clone(), w.clone(), random("b", &[4])]).unwrap();
    }
}

/// The bias's gradient is the sum of the gradient behind the activation, in f32 and on large maps as well.
#[test]
fn gradients_of_the_bias_are_sums() {
    for (shape, kernel) in [([3, 2, 40, 50], [5, 2, 3, 3]), ([9, 3, 4, 3], [70, 3, 1, 1])] {
        let p = ConvParams::uniform(1, 0);
        let single = |name: &str, shape: &[usize]| random(name, shape).to_dtype(DType::F32).unwrap();
        let (x, w) = (single("x", &shape), single("w", &kernel));
        for activation in [
            Activation::Identity,
            Activation::Relu,
            Activation::LeakyRelu(0.2),
            Activation::Tanh,
            Activation::Sigmoid,
        ] {
            let gradient = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let bias = Var::from_tensor(&single("b", &kernel[..1])).unwrap();
                    let epilogue = Epilogue { bias: Some(bias.as_tensor()), activation };
                    let y = conv_fused(&x, &w, epilogue, &p).unwrap();
                    let g = single("g", y.dims());
                    let grads = (&y * &g).unwrap().sum_all().unwrap().backward().unwrap();
                    (values(&y), values(&g), values(grads.get(&bias).unwrap()))
                })
            };
            let (y, g, got) = gradient(1);
            let inner = y.len() / shape[0] / kernel[0];
            let mut want = vec![0.0; kernel[0]];
            for (i, (y, g)) in y.iter().zip(&g).enumerate() {
                let slope = match activation {
                    Activation::Identity => 1.0,
                    Activation::Relu => f64::from(*y > 0.0),
                    Activation::LeakyRelu(slope) => {
                        if *y > 0.0 {
                            1.0
                        } else {
                            slope
                        }
                    }
                    Activation::Elu => 1.0 + y.min(0.0),
                    Activation::Tanh => 1.0 - y * y,
                    Activation::Sigmoid => y * (1.0 - y),
                };
                want[i / inner % kernel[0]] += g * slope;
            }
            let close = |(got, want): (&f64, &f64)| (got - want).abs() < 2e-5 * want.abs().max(1.0);
            assert!(got.iter().zip(&want).all(close), "{activation:?}: {got:?}, not {want:?}");
            assert!(got == gradient(2).2 && got == gradient(4).2);
        }
    }
}

#[test]
fn fused_and_separate_passes_agree() {
    let case = &large()[1];
    let (x, w, b) = (random("x", &case.input), random("w", &case.weight), random("b", &[29]));
    let epilogue = Epilogue { bias: Some(&b), activation: Activation::LeakyRelu(0.2) };
    let fused = conv_fused(&x, &w, epilogue, &case.params).unwrap();
    let plain =
        conv(&x, &w, &case.params).unwrap().broadcast_add(&b.reshape((1, 29, 1, 1)).unwrap()).unwrap();
    let plain = plain.maximum(&(&plain * 0.2).unwrap()).unwrap();
    assert!(far(&fused, &plain) < 1e-13);
}

#[test]
fn constants_get_no_gradient() {
    let x = candle_core::Var::from_tensor(&random("x", &[1, 2, 5, 5])).unwrap();
    let w = candle_core::Var::from_tensor(&random("w", &[3, 2, 3, 3])).unwrap();
    let p = ConvParams::default();
    let grads =
        conv(x.as_tensor(), &w.as_detached_tensor(), &p).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_some() && grads.get(&w).is_none());
    let grads =
        conv(&x.as_detached_tensor(), w.as_tensor(), &p).unwrap().sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_none() && grads.get(&w).is_some());
}

#[test]
fn strided_and_offset_operands_are_read_correctly() {
    let x = random("x", &[3, 6, 8, 4]);
    let w = random("w", &[4, 6, 3, 3]);
    let view = x.narrow(0, 1, 2).unwrap().transpose(2, 3).unwrap();
    let p = ConvParams::uniform(1, 1);
    let want = reference::conv(&view.contiguous().unwrap(), &w, &p).unwrap();
    assert!(far(&conv(&view, &w, &p).unwrap(), &want) < 1e-12);
    let tail = x.narrow(0, 2, 1).unwrap();
    let want = reference::conv(&tail.copy().unwrap(), &w, &p).unwrap();
    assert!(far(&conv(&tail, &w, &p).unwrap(), &want) < 1e-12);
}

#[test]
fn wrong_operands_are_refused() {
    let x = random("x", &[1, 2, 5]);
    let w = random("w", &[3, 2, 3]);
    let p = ConvParams::default();
    let message = |r: vg_core::Result<Tensor>| r.unwrap_err().to_string();
    let types = message(conv(&x, &w.to_dtype(DType::F32).unwrap(), &p));
    assert!(types.contains("F64 and F32"), "{types}");
    let kind = message(conv(&x.to_dtype(DType::U8).unwrap(), &w.to_dtype(DType::U8).unwrap(), &p));
    assert!(kind.contains("f32, both f64 or both bf16"), "{kind}");
    let bias = random("b", &[2]);
    let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::default() };
    assert!(message(conv_fused(&x, &w, epilogue, &p)).contains("bias: expected [3]"));
    assert!(message(conv_weight_grad(&x, &random("g", &[1, 3, 4]), &[3], &p)).contains("[1, 3, 3]"));
}
