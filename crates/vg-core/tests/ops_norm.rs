//! Batch norm, linear maps, activations and channel operations against plain tensor expressions and differences.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use vg_core::nn::{BatchNorm, BatchNormConfig, Mode, ParamStore};
use vg_core::ops::Activation;
use vg_core::ops::batch_norm::{batch_norm_eval, batch_norm_train};
use vg_core::ops::channel::{channel_affine, channel_dot, channel_scale, channel_shift, channel_sum};
use vg_core::ops::linear::linear;
use vg_core::testing::gradcheck::gradcheck;
use vg_core::{Result, Rng};

mod distance;
use distance::{far, values};

const LEAKY: Activation = Activation::LeakyRelu(0.2);

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(5).stream(name).normal_tensor(shape, DType::F64, &Device::Cpu).unwrap()
}

/// `[B, C, ...]` as `[C, everything else]`.
fn by_channel(x: &Tensor) -> Tensor {
    let (b, c) = (x.dims()[0], x.dims()[1]);
    let flat = x.reshape((b, c, x.elem_count() / (b * c))).unwrap();
    flat.transpose(0, 1).unwrap().contiguous().unwrap().flatten_from(1).unwrap()
}

/// A vector `[C]` in the rank of `x`.
fn spread(v: &Tensor, x: &Tensor) -> Tensor {
    let mut shape = vec![1; x.rank()];
    shape[1] = v.elem_count();
    v.reshape(shape).unwrap().broadcast_as(x.shape()).unwrap()
}

fn naive(x: &Tensor, gamma: &Tensor, beta: Option<&Tensor>, eps: f64) -> Tensor {
    let rows = by_channel(x);
    let mean = rows.mean(1).unwrap();
    let var = rows.broadcast_sub(&mean.unsqueeze(1).unwrap()).unwrap().sqr().unwrap().mean(1).unwrap();
    let std = (var + eps).unwrap().sqrt().unwrap();
    let y = ((x - spread(&mean, x)).unwrap() / spread(&std, x)).unwrap();
    let y = (y * spread(gamma, x)).unwrap();
    beta.map_or(y.clone(), |b| (y + spread(b, x)).unwrap())
}

fn shape() -> impl Strategy<Value = Vec<usize>> {
    (1usize..5, 1usize..9, proptest::collection::vec(1usize..7, 0..=3)).prop_map(|(b, c, rest)| {
        // Two images at least: a single value per channel has variance 0.
        [b + 1, c].into_iter().chain(rest).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batch_norm_agrees_with_its_definition(shape in shape(), shifted in any::<bool>()) {
        let (x, gamma, beta) = (random("x", &shape), random("gamma", &shape[1..2]), random("beta", &shape[1..2]));
        let beta = shifted.then_some(&beta);
        let (y, stats) = batch_norm_train(&x, &gamma, beta, 1e-5, Activation::Identity).unwrap();
        let want = naive(&x, &gamma, beta, 1e-5);
        prop_assert!(far(&y, &want) < 1e-8);
        prop_assert_eq!(stats.population, x.elem_count() / shape[1]);

        let (y, _) = batch_norm_train(&x, &gamma, beta, 1e-5, LEAKY).unwrap();
        prop_assert!(far(&y, &want.maximum(&(&want * 0.2).unwrap()).unwrap()) < 1e-8);

        let single = |t: &Tensor| t.to_dtype(DType::F32).unwrap();
        let single_beta = beta.map(single);
        let (y, _) = batch_norm_train(&single(&x), &single(&gamma), single_beta.as_ref(), 1e-2, LEAKY).unwrap();
        let (wide, _) = batch_norm_train(&x, &gamma, beta, 1e-2, LEAKY).unwrap();
        // Two close values divided by their small distance magnify the rounding of the input.
        prop_assert!(far(&y, &wide) < 1e-4);
    }
}

#[test]
fn batch_norm_keeps_precision_around_a_large_mean() {
    let x = (random("x", &[8, 3, 40, 40]) + 1000.0).unwrap().to_dtype(DType::F32).unwrap();
    let ones = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
    let (_, stats) = batch_norm_train(&x, &ones, None, 1e-5, Activation::Identity).unwrap();
    let wide = by_channel(&x.to_dtype(DType::F64).unwrap());
    let mean = wide.mean(1).unwrap();
    let var = wide.broadcast_sub(&mean.unsqueeze(1).unwrap()).unwrap().sqr().unwrap().mean(1).unwrap();
    for c in 0..3 {
        // A naive sum of squares in f32 would be off by tens.
        assert!((stats.mean[c] - values(&mean)[c]).abs() < 1e-6);
        assert!((stats.var[c] - values(&var)[c]).abs() < 1e-6);
    }
}

#[test]
fn batch_norm_gradients_agree_with_differences() {
    for shape in [vec![5, 3], vec![3, 2, 4], vec![2, 2, 9, 8], vec![2, 3, 2, 3, 2]] {
        let inputs = [random("x", &shape), random("gamma", &shape[1..2]), random("beta", &shape[1..2])];
        for activation in [Activation::Identity, LEAKY, Activation::Tanh] {
            let train = |t: &[Tensor]| Ok(batch_norm_train(&t[0], &t[1], Some(&t[2]), 1e-3, activation)?.0);
            gradcheck(train, &inputs).unwrap();
            let train = |t: &[Tensor]| Ok(batch_norm_train(&t[0], &t[1], None, 1e-3, activation)?.0);
            gradcheck(train, &inputs[..2]).unwrap();
            let (mean, var) = (random("mean", &shape[1..2]), random("var", &shape[1..2]).sqr().unwrap());
            let eval =
                |t: &[Tensor]| batch_norm_eval(&t[0], &t[1], Some(&t[2]), &mean, &var, 1e-3, activation);
            gradcheck(eval, &inputs).unwrap();
        }
    }
}

#[test]
fn gamma_and_beta_get_their_gradients_without_an_input_gradient() {
    let x = random("x", &[4, 3, 5]);
    let with_constant = |t: &[Tensor]| Ok(batch_norm_train(&x, &t[0], Some(&t[1]), 1e-3, LEAKY)?.0);
    gradcheck(with_constant, &[random("gamma", &[3]), random("beta", &[3])]).unwrap();
}

#[test]
fn running_statistics_follow_momentum_and_mode() {
    let store = ParamStore::init(Rng::new(0), DType::F64, &Device::Cpu);
    let config = BatchNormConfig { momentum: 0.1, initial_var: 0.5, beta: false, ..Default::default() };
    let norm = BatchNorm::new(2, config, &store.source().pp("bn")).unwrap();
    // Channel 0 holds 0, 2, 4 (mean 2, unbiased variance 4), channel 1 is constant 3.
    let x = Tensor::new(&[[0f64, 3.0], [2.0, 3.0], [4.0, 3.0]], &Device::Cpu).unwrap();
    norm.forward(&x, Mode::TRAIN.keep_running()).unwrap();
    norm.forward(&x, Mode::EVAL).unwrap();
    assert_eq!(norm.running_mean().to_vec().unwrap(), [0.0, 0.0]);
    norm.forward(&x, Mode::TRAIN.frozen()).unwrap();
    let close = |got: Vec<f64>, want: [f64; 2]| got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-12);
    assert!(close(norm.running_mean().to_vec().unwrap(), [0.2, 0.3]));
    assert!(close(norm.running_var().to_vec().unwrap(), [0.85, 0.45]));
    let names: Vec<String> = store.tensors("").into_keys().collect();
    assert_eq!(names, ["bn.running_mean", "bn.running_var", "bn.weight"]);
    // Evaluation uses them: (2 - 0.2) / sqrt(0.85 + 1e-5).
    let y = values(&norm.forward(&x, Mode::EVAL).unwrap());
    assert!((y[2] - 1.8 / 0.85001f64.sqrt()).abs() < 1e-12);
}

#[test]
fn frozen_weights_get_no_gradient_and_the_input_does() {
    let store = ParamStore::init(Rng::new(0), DType::F64, &Device::Cpu);
    let norm = BatchNorm::new(3, BatchNormConfig::default(), &store.source()).unwrap();
    let x = candle_core::Var::from_tensor(&random("x", &[4, 3, 2])).unwrap();
    let y = norm.forward_with(x.as_tensor(), LEAKY, Mode::TRAIN.frozen()).unwrap();
    let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    assert!(grads.get(&x).is_some());
    assert!(store.vars("").iter().all(|(_, v)| grads.get(v).is_none()));
}

#[test]
fn linear_agrees_with_matmul_and_differences() {
    let (x, w, b) = (random("x", &[3, 4, 5]), random("w", &[6, 5]), random("b", &[6]));
    let want = x.reshape((12, 5)).unwrap().matmul(&w.t().unwrap()).unwrap();
    let want = want.broadcast_add(&b).unwrap().reshape((3, 4, 6)).unwrap();
    assert!(far(&linear(&x, &w, Some(&b)).unwrap(), &want) < 1e-13);
    gradcheck(|t| linear(&t[0], &t[1], Some(&t[2])), &[x.clone(), w.clone(), b]).unwrap();
    assert!(linear(&x, &random("w", &[6, 4]), None).unwrap_err().to_string().contains("[..., 4]"));
}

#[test]
fn pointwise_and_channel_gradients_agree_with_differences() {
    // Away from the kinks at 0.
    let x = random("x", &[3, 2, 5]);
    let x = (&x + (x.sign().unwrap() * 0.01).unwrap()).unwrap();
    let (y, v, w) = (random("y", &[3, 2, 5]), random("v", &[2]), random("w", &[2]));
    for f in [
        Activation::Identity,
        Activation::Relu,
        LEAKY,
        Activation::Elu,
        Activation::Tanh,
        Activation::Sigmoid,
    ] {
        gradcheck(|t| f.apply(&t[0]), std::slice::from_ref(&x)).unwrap();
    }
    gradcheck(|t| channel_affine(&t[0], &t[1], &t[2]), &[x.clone(), v.clone(), w]).unwrap();
    gradcheck(|t| channel_scale(&t[0], &t[1]), &[x.clone(), v.clone()]).unwrap();
    gradcheck(|t| channel_shift(&t[0], &t[1]), &[x.clone(), v]).unwrap();
    gradcheck(|t| channel_dot(&t[0], &t[1]), &[x.clone(), y]).unwrap();
    gradcheck(|t| channel_sum(&t[0]), &[x]).unwrap();
}

#[test]
fn activations_have_their_values() {
    let x = Tensor::new(&[-2f64, 0.0, 3.0], &Device::Cpu).unwrap();
    assert_eq!(values(&Activation::Relu.apply(&x).unwrap()), [0.0, 0.0, 3.0]);
    assert_eq!(values(&Activation::LeakyRelu(0.25).apply(&x).unwrap()), [-0.5, 0.0, 3.0]);
    let tanh = values(&Activation::Tanh.apply(&x.to_dtype(DType::F32).unwrap()).unwrap());
    assert!((tanh[2] - 3f64.tanh()).abs() < 1e-6 && (tanh[0] + 2f64.tanh()).abs() < 1e-6);
    assert_eq!(values(&Activation::Sigmoid.apply(&x).unwrap())[1], 0.5);
}

#[test]
fn threads_change_nothing() {
    let single = |t: Tensor| t.to_dtype(DType::F32).unwrap();
    let (x, gamma) = (single(random("x", &[16, 70, 9, 9])), single(random("gamma", &[70])));
    let (a, w) = (single(random("a", &[300, 90])), single(random("w", &[400, 90])));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| -> Result<Vec<Vec<f32>>> {
            let var = candle_core::Var::from_tensor(&x)?;
            let y = batch_norm_train(var.as_tensor(), &gamma, None, 1e-5, LEAKY)?.0;
            let grad = (&y * &y)?.sum_all()?.backward()?;
            let all = [y.clone(), grad.get(&var).unwrap().clone(), channel_sum(&x)?, linear(&a, &w, None)?];
            all.iter().map(|t| Ok(t.detach().flatten_all()?.to_vec1()?)).collect()
        })
        .unwrap()
    };
    let one = run(1);
    assert_eq!(one.len(), 4);
    assert!(one == run(2) && one == run(4));
}

#[test]
fn wrong_shapes_are_refused() {
    let (x, gamma) = (random("x", &[2, 3, 4]), random("gamma", &[4]));
    let message = batch_norm_train(&x, &gamma, None, 1e-5, LEAKY).unwrap_err().to_string();
    assert!(message.contains("gamma: expected [3]"), "{message}");
    let empty = Tensor::zeros((0, 4), DType::F64, &Device::Cpu).unwrap();
    assert!(batch_norm_train(&empty, &gamma, None, 1e-5, LEAKY).is_err());
    assert_eq!(channel_sum(&empty).unwrap().dims(), [4]);
}
