//! Instance, layer, pixel and conditional batch norm against plain tensor expressions and differences.

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use vg_core::grad::{Tape, backward};
use vg_core::ops::Activation;
use vg_core::ops::norm::{
    PIXEL_NORM_EPS, conditional_batch_norm_eval, conditional_batch_norm_train, instance_norm, layer_norm,
    pixel_norm,
};
use vg_core::testing::gradcheck::gradcheck;
use vg_core::{Result, Rng};

const EPS: f64 = 1e-2;
const LEAKY: Activation = Activation::LeakyRelu(0.2);
const ACTIVATIONS: [Activation; 4] = [Activation::Identity, Activation::Relu, LEAKY, Activation::Tanh];

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(5).stream(name).normal_tensor(shape, DType::F64, &Device::Cpu).unwrap()
}

fn single(t: &Tensor) -> Tensor {
    t.to_dtype(DType::F32).unwrap()
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn far(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    values(a).iter().zip(values(b)).map(|(x, y)| (x - y).abs() / y.abs().max(1.0)).fold(0.0, larger)
}

/// The larger of two errors, NaN before all others: `f64::max` would pass over it.
fn larger(most: f64, error: f64) -> f64 {
    if error > most || error.is_nan() { error } else { most }
}

/// Normalised over the given axes.
fn naive(x: &Tensor, axes: &[usize]) -> Tensor {
    let mean = x.mean_keepdim(axes.to_vec()).unwrap();
    let centred = x.broadcast_sub(&mean).unwrap();
    let var = centred.sqr().unwrap().mean_keepdim(axes.to_vec()).unwrap();
    centred.broadcast_div(&(var + EPS).unwrap().sqrt().unwrap()).unwrap()
}

/// `activation(x * scale + shift)` with constants whose axes follow those of `x` from `axis` on.
fn affine(x: &Tensor, scale: &Tensor, shift: &Tensor, axis: usize, activation: Activation) -> Tensor {
    let spread = |t: &Tensor| {
        let mut shape = vec![1; x.rank()];
        shape[axis..axis + t.rank()].copy_from_slice(t.dims());
        t.reshape(shape).unwrap()
    };
    let y = x.broadcast_mul(&spread(scale)).unwrap().broadcast_add(&spread(shift)).unwrap();
    activation.apply(&y).unwrap()
}

fn shape() -> impl Strategy<Value = Vec<usize>> {
    // Rows both shorter and longer than what is added up at once.
    let axes = proptest::collection::vec(2usize..9, 1..=3);
    (1usize..5, 1usize..9, axes).prop_map(|(b, c, rest)| [b, c].into_iter().chain(rest).collect())
}

fn activation() -> impl Strategy<Value = Activation> {
    proptest::sample::select(ACTIVATIONS.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn instance_norm_agrees_with_its_definition(shape in shape(), f in activation()) {
        let x = random("x", &shape);
        let axes: Vec<usize> = (2..shape.len()).collect();
        let plain = naive(&x, &axes);
        let y = instance_norm(&x, None, None, EPS, f).unwrap();
        prop_assert!(far(&y, &f.apply(&plain).unwrap()) < 1e-10);
        for (constants, axis) in [(&shape[1..2], 1), (&shape[..2], 0)] {
            let (gamma, beta) = (random("gamma", constants), random("beta", constants));
            let want = affine(&plain, &gamma, &beta, axis, f);
            let y = instance_norm(&x, Some(&gamma), Some(&beta), EPS, f).unwrap();
            prop_assert!(far(&y, &want) < 1e-10);
            let y = instance_norm(&single(&x), Some(&single(&gamma)), Some(&single(&beta)), EPS, f).unwrap();
            prop_assert!(far(&y, &want) < 1e-4);
        }
    }

    #[test]
    fn layer_norm_agrees_with_its_definition(shape in shape(), f in activation(), first in 1usize..5) {
        let x = random("x", &shape);
        let first = first.min(shape.len() - 1);
        let axes: Vec<usize> = (first..shape.len()).collect();
        let plain = naive(&x, &axes);
        let y = layer_norm(&x, first, None, None, EPS, f).unwrap();
        prop_assert!(far(&y, &f.apply(&plain).unwrap()) < 1e-10);
        let per_channel = (first == 1).then_some(&shape[1..2]);
        for constants in [Some(&shape[first..]), per_channel].into_iter().flatten() {
            let (gamma, beta) = (random("gamma", constants), random("beta", constants));
            let want = affine(&plain, &gamma, &beta, first, f);
            let y = layer_norm(&x, first, Some(&gamma), Some(&beta), EPS, f).unwrap();
            prop_assert!(far(&y, &want) < 1e-10);
            let y = layer_norm(&single(&x), first, Some(&single(&gamma)), Some(&single(&beta)), EPS, f).unwrap();
            prop_assert!(far(&y, &want) < 1e-4);
            let no_shift = affine(&plain, &gamma, &beta.zeros_like().unwrap(), first, f);
            prop_assert!(far(&layer_norm(&x, first, Some(&gamma), None, EPS, f).unwrap(), &no_shift) < 1e-10);
            let no_scale = affine(&plain, &gamma.ones_like().unwrap(), &beta, first, f);
            prop_assert!(far(&layer_norm(&x, first, None, Some(&beta), EPS, f).unwrap(), &no_scale) < 1e-10);
        }
    }

    #[test]
    fn conditional_batch_norm_agrees_with_its_definition(shape in shape(), f in activation()) {
        let (x, scale, shift) = (random("x", &shape), random("scale", &shape[..2]), random("shift", &shape[..2]));
        let axes: Vec<usize> = (0..shape.len()).filter(|axis| *axis != 1).collect();
        let (y, stats) = conditional_batch_norm_train(&x, &scale, &shift, EPS, f).unwrap();
        let want = affine(&naive(&x, &axes), &scale, &shift, 0, f);
        prop_assert!(far(&y, &want) < 1e-10);
        let (s, t) = (single(&scale), single(&shift));
        let (y, _) = conditional_batch_norm_train(&single(&x), &s, &t, EPS, f).unwrap();
        prop_assert!(far(&y, &want) < 1e-4);

        // By the batch's own statistics, evaluation does the same.
        let vector = |v: &[f64]| Tensor::new(v, &Device::Cpu).unwrap();
        let (mean, var) = (vector(&stats.mean), vector(&stats.var));
        let y = conditional_batch_norm_eval(&x, &scale, &shift, &mean, &var, EPS, f).unwrap();
        prop_assert!(far(&y, &want) < 1e-10);
    }

    #[test]
    fn pixel_norm_agrees_with_its_definition(shape in shape()) {
        for shape in [&shape[..], &shape[..2]] {
            let x = random("x", shape);
            let mean = x.sqr().unwrap().mean_keepdim(1).unwrap();
            let want = x.broadcast_div(&(mean + PIXEL_NORM_EPS).unwrap().sqrt().unwrap()).unwrap();
            prop_assert!(far(&pixel_norm(&x, PIXEL_NORM_EPS).unwrap(), &want) < 1e-12);
            prop_assert!(far(&pixel_norm(&single(&x), PIXEL_NORM_EPS).unwrap(), &want) < 1e-5);
        }
    }
}

#[test]
fn gradients_agree_with_differences() {
    for shape in [vec![2, 3, 4], vec![2, 2, 9, 8], vec![2, 2, 2, 3, 2]] {
        let x = random("x", &shape);
        let of = |dims: &[usize]| [x.clone(), random("gamma", dims), random("beta", dims)];
        for f in [Activation::Identity, LEAKY, Activation::Tanh] {
            let instance = |t: &[Tensor]| instance_norm(&t[0], Some(&t[1]), Some(&t[2]), EPS, f);
            gradcheck(instance, &of(&shape[1..2])).unwrap();
            gradcheck(instance, &of(&shape[..2])).unwrap();
            gradcheck(|t| instance_norm(&t[0], None, None, EPS, f), &of(&[1])[..1]).unwrap();
            let conditional = |t: &[Tensor]| Ok(conditional_batch_norm_train(&t[0], &t[1], &t[2], EPS, f)?.0);
            gradcheck(conditional, &of(&shape[..2])).unwrap();
            let (mean, var) = (random("mean", &shape[1..2]), random("var", &shape[1..2]).sqr().unwrap());
            let eval = |t: &[Tensor]| conditional_batch_norm_eval(&t[0], &t[1], &t[2], &mean, &var, EPS, f);
            gradcheck(eval, &of(&shape[..2])).unwrap();
            for first in 1..shape.len() {
                let layer = |t: &[Tensor]| layer_norm(&t[0], first, Some(&t[1]), Some(&t[2]), EPS, f);
                gradcheck(layer, &of(&shape[first..])).unwrap();
                gradcheck(|t| layer_norm(&t[0], first, None, None, EPS, f), &of(&[1])[..1]).unwrap();
            }
            let layer = |t: &[Tensor]| layer_norm(&t[0], 1, Some(&t[1]), Some(&t[2]), EPS, f);
            gradcheck(layer, &of(&shape[1..2])).unwrap();
        }
        gradcheck(|t| pixel_norm(&t[0], PIXEL_NORM_EPS), &of(&[1])[..1]).unwrap();
    }
    gradcheck(|t| pixel_norm(&t[0], PIXEL_NORM_EPS), &[random("z", &[3, 7])]).unwrap();
}

/// All norms one after the other.
fn chain(x: &Tensor, gamma: &Tensor, rows: &Tensor) -> Result<Tensor> {
    let y = instance_norm(x, Some(gamma), Some(gamma), EPS, LEAKY)?;
    let y = layer_norm(&y, 1, Some(gamma), None, EPS, LEAKY)?;
    let y = conditional_batch_norm_train(&y, rows, rows, EPS, LEAKY)?.0;
    pixel_norm(&y, PIXEL_NORM_EPS)
}

#[test]
fn a_tape_records_norms() {
    let vars = [vec![3, 4, 6, 5], vec![4], vec![3, 4]].map(|s| Var::from_tensor(&random("v", &s)).unwrap());
    let run = || {
        let y = chain(vars[0].as_tensor(), vars[1].as_tensor(), vars[2].as_tensor()).unwrap();
        (y * random("g", &[3, 4, 6, 5])).unwrap().sum_all().unwrap()
    };
    let want = run().backward().unwrap();
    let tape = Tape::start();
    let grads = backward(&run()).unwrap();
    drop(tape);
    for var in &vars {
        assert!(far(grads.get(var.as_tensor()).unwrap(), want.get(var).unwrap()) < 1e-12);
    }
}

#[test]
fn threads_change_nothing() {
    let x = single(&random("x", &[5, 70, 20, 19]));
    let (gamma, rows) = (single(&random("gamma", &[70])), single(&random("rows", &[5, 70])));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let vars = [&x, &gamma, &rows].map(|t| Var::from_tensor(t).unwrap());
            let y = chain(vars[0].as_tensor(), vars[1].as_tensor(), vars[2].as_tensor()).unwrap();
            let grads = (&y * &x).unwrap().sum_all().unwrap().backward().unwrap();
            let mut all = vec![values(&y)];
            all.extend(vars.iter().map(|v| values(grads.get(v).unwrap())));
            all
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(4));
}

#[test]
fn wrong_operands_are_refused() {
    let message = |r: Result<Tensor>| r.unwrap_err().to_string();
    let (x, f) = (random("x", &[2, 3, 4]), Activation::Identity);
    let four = random("four", &[4]);
    let instance = |x: &Tensor, gamma: Option<&Tensor>| message(instance_norm(x, gamma, None, EPS, f));
    assert!(instance(&x, Some(&four)).contains("[3] or [2, 3]"));
    assert!(instance(&x, Some(&single(&four))).contains("F32 beside an input of F64"));
    assert!(instance(&random("flat", &[2, 3]), None).contains("more than one position"));
    assert!(instance(&four, None).contains("[B, C, ...]"));
    let layer = |first, gamma: Option<&Tensor>| message(layer_norm(&x, first, gamma, None, EPS, f));
    assert!(layer(0, None).contains("axis 0") && layer(3, None).contains("axis 3"));
    assert!(layer(1, Some(&four)).contains("[3, 4] or [3]"));
    let conditional = conditional_batch_norm_train(&x, &four, &four, EPS, f).unwrap_err().to_string();
    assert!(conditional.contains("scale: expected [2, 3]"), "{conditional}");
    assert!(message(pixel_norm(&x.to_dtype(DType::U8).unwrap(), EPS)).contains("f32 or f64"));
    for empty in [[0, 3, 4], [2, 0, 4], [2, 3, 0]] {
        let x = Tensor::zeros(&empty, DType::F64, &Device::Cpu).unwrap();
        assert!(
            layer_norm(&x, 1, None, None, EPS, f).is_err() && instance_norm(&x, None, None, EPS, f).is_err()
        );
        assert_eq!(pixel_norm(&x, EPS).unwrap().dims(), empty);
    }
}
