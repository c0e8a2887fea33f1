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

mod distance;
use distance::{far, values};

const EPS: f64 = 1e-2;
const LEAKY: Activation = Activation::LeakyRelu(0.2);
const ACTIVATIONS: [Activation; 4] = [Activation::Identity, Activation::Relu, LEAKY, Activation::Tanh];

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(5).stream(name).normal_tensor(shape, DType::F64, &Device::Cpu).unwrap()
}

fn single(t: &Tensor) -> Tensor {
    t.to_dtype(DType::F32).unwrap()
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
fn long_rows_have_the_gradients_of_their_definition() {
    for shape in [[3, 2, 1500], [70, 1, 1100], [40, 3, 20]] {
        let x = random("x", &shape);
        let check =
            |ours: &dyn Fn(&[Var]) -> Tensor, plain: &dyn Fn(&[Var]) -> Tensor, constants: &[usize]| {
                let vars = [x.clone(), random("gamma", constants), random("beta", constants)];
                let vars = vars.map(|t| Var::from_tensor(&t).unwrap());
                let grads =
                    |y: Tensor| (&y * &random("g", &shape)).unwrap().sum_all().unwrap().backward().unwrap();
                let (got, want) = (grads(ours(&vars)), grads(plain(&vars)));
                for var in &vars {
                    assert!(
                        far(got.get(var).unwrap(), want.get(var).unwrap()) < 1e-9,
                        "{shape:?}, {constants:?}"
                    );
                }
            };
        for constants in [&shape[1..2], &shape[1..]] {
            let ours = |v: &[Var]| layer_norm(&v[0], 1, Some(&v[1]), Some(&v[2]), EPS, LEAKY).unwrap();
            check(&ours, &|v| affine(&naive(&v[0], &[1, 2]), &v[1], &v[2], 1, LEAKY), constants);
        }
        let ours = |v: &[Var]| conditional_batch_norm_train(&v[0], &v[1], &v[2], EPS, LEAKY).unwrap().0;
        check(&ours, &|v| affine(&naive(&v[0], &[0, 2]), &v[1], &v[2], 0, LEAKY), &shape[..2]);
    }
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
            let elements = Var::from_tensor(&single(&random("elements", &[19]))).unwrap();
            let y = chain(vars[0].as_tensor(), vars[1].as_tensor(), vars[2].as_tensor()).unwrap();
            let y = layer_norm(&y, 3, Some(elements.as_tensor()), None, EPS, LEAKY).unwrap();
            let grads = (&y * &x).unwrap().sum_all().unwrap().backward().unwrap();
            let mut all = vec![values(&y)];
            all.extend(vars.iter().chain([&elements]).map(|v| values(grads.get(v).unwrap())));
            all
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(4));
}

/// Numbers between -1.4 and 1.6, the same as in `tools/reference/norms.py`, where the expected ones come from.
fn ramp(shape: &[usize], step: usize, period: usize) -> Tensor {
    let n: usize = shape.iter().product();
    let numbers: Vec<f64> = (0..n).map(|i| (i * step % period) as f64 * 3.0 / period as f64 - 1.4).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap()
}

/// Compares the result of a norm of a ramp and the gradients of `x`, scale and shift with those of PyTorch.
fn assert_as_pytorch(
    f: impl Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>,
    scale: Tensor,
    shift: Tensor,
    want: [&[f64]; 4],
) {
    for dtype in [DType::F64, DType::F32] {
        let vars = [&ramp(&[2, 2, 3], 5, 19), &scale, &shift]
            .map(|t| Var::from_tensor(&t.to_dtype(dtype).unwrap()).unwrap());
        let y = f(vars[0].as_tensor(), vars[1].as_tensor(), vars[2].as_tensor()).unwrap();
        let g = ramp(&[2, 2, 3], 5, 11).to_dtype(dtype).unwrap();
        let grads = (&y * g).unwrap().sum_all().unwrap().backward().unwrap();
        let got = [&y].into_iter().chain(vars.iter().map(|v| grads.get(v).unwrap()));
        for (got, want) in got.zip(want) {
            let got = values(got);
            assert_eq!(got.len(), want.len());
            let bound = if dtype == DType::F64 { 2e-8 } else { 1e-5 };
            assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() < bound), "{got:?}, not {want:?}");
        }
    }
}

/// `batch_norm` without a scale of its own, times a scale and plus a shift per sample and channel; eps 1e-3, leaky ReLU.
#[test]
#[rustfmt::skip]
fn conditional_batch_norm_has_the_gradients_of_pytorch() {
    let norm = |x: &Tensor, scale: &Tensor, shift: &Tensor| {
        Ok(conditional_batch_norm_train(x, scale, shift, 1e-3, LEAKY)?.0)
    };
    assert_as_pytorch(norm, ramp(&[2, 2], 3, 5), ramp(&[2, 2], 2, 7), [
        &[0.45609201, -0.16188505, -0.41498851, -0.03143514, -0.23391790, -0.16160263, -0.04320526, -0.18783580, 1.08564863, 0.68932675, 1.59326766, 2.49720858],
        &[1.44335635, -0.39966445, -0.44733807, 0.65257876, 0.13118373, 0.21211647, -0.08714453, 0.60214023, -1.11134954, -0.97914290, 0.81303217, -0.82976823],
        &[1.98713605, -0.31292791, -0.65500106, -1.21292435],
        &[-1.14181818, 0.03272727, 0.49454545, -2.29090909],
    ]);
}

/// `layer_norm` over the last two axes and `group_norm` with one group; eps 1e-3, leaky ReLU.
#[test]
#[rustfmt::skip]
fn layer_norm_has_the_gradients_of_pytorch() {
    let norm = |x: &Tensor, gamma: &Tensor, beta: &Tensor| layer_norm(x, 1, Some(gamma), Some(beta), 1e-3, LEAKY);
    assert_as_pytorch(norm, ramp(&[2, 3], 3, 7), ramp(&[2, 3], 2, 5), [
        &[0.27669679, -0.03482101, 1.87210429, -0.34625854, -0.06908082, -0.27371123, -0.28906323, -0.06293551, -0.20192632, -0.07917082, 0.56831705, -0.51268445],
        &[1.31039637, -0.84193493, 1.32693191, -0.28675119, -0.85621674, -0.65242542, -0.37023059, -0.09333308, 0.07523422, 0.06268021, 0.11172250, 0.21392675],
        &[1.68175807, -0.16984721, 0.81345395, 0.06179472, -0.15807678, -0.33157282],
        &[-1.24363636, -0.17818182, 1.42909091, -0.28727273, 0.44727273, -0.39636364],
    ]);
    assert_as_pytorch(norm, ramp(&[2], 4, 9), ramp(&[2], 2, 5), [
        &[0.27669679, -0.21655742, -0.48845420, -0.06287386, -0.02662095, -0.03956842, -0.28906323, -0.56096000, 1.00175487, -0.03007361, -0.04302108, -0.05596854],
        &[1.44388065, -0.43575390, -0.38673397, 0.59411114, -0.88050016, -0.33500377, -0.14331542, 0.12838358, -0.22535238, 0.37792729, 0.06369462, -0.20133769],
        &[0.83617087, -0.47069923],
        &[-0.64727273, -0.42545455],
    ]);
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
