//! Spectral norm: numbers of DVD-GAN's specification, gradients, and the layers that use it.

use candle_core::{DType, Device, Tensor};
use vg_core::Rng;
use vg_core::nn::{
    ConvConfig, Init, LinearConfig, Mode, ParamStore, SpectralConv, SpectralEmbedding, SpectralLinear,
};
use vg_core::ops::pool::{PoolParams, avg_pool, halving_kernel};
use vg_core::ops::spectral_norm::spectral_norm;
use vg_core::testing::{assert_close, gradcheck::gradcheck};

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(1).stream(name).uniform_tensor(shape, -1.0, 1.0, DType::F64, &Device::Cpu).unwrap()
}

fn tensor(values: &[f64], shape: &[usize]) -> Tensor {
    Tensor::from_vec(values.to_vec(), shape, &Device::Cpu).unwrap()
}

fn even(rows: usize) -> Tensor {
    Tensor::full(1.0 / (rows as f64).sqrt(), rows, &Device::Cpu).unwrap()
}

/// Sigma after 1, 2, ... iterations.
fn sigmas(weight: &Tensor, mut u: Tensor, times: usize) -> Vec<f64> {
    let step = |u: &mut Tensor| {
        let found = spectral_norm(weight, u, 1e-12).unwrap();
        assert_close("divided", &(&found.weight * found.sigma).unwrap(), weight, 1e-14, 0.0);
        *u = found.u;
        found.sigma
    };
    (0..times).map(|_| step(&mut u)).collect()
}

/// Specification, section 10.2.
#[test]
fn iterations_give_the_published_numbers() {
    let wide: Vec<f64> = (0..24).map(|i| (f64::from(7 * i % 11) - 5.0) / 4.0).collect();
    let cases = [
        (
            tensor(&[3.0, 0.0, 4.0, 5.0], &[2, 2]),
            vec![6.6271350461, 6.7071817689, 6.7081913099, 6.7082037767],
        ),
        (tensor(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3]), vec![9.5028009453, 9.5080317721, 9.5080320007]),
        (
            tensor(&wide, &[2, 3, 2, 2]),
            vec![2.1222604368, 2.3002670147, 2.8095079097, 3.2207073517, 3.3283311862],
        ),
    ];
    for (weight, want) in cases {
        let found = sigmas(&weight, even(2), want.len());
        assert!(found.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} {want:?}");
    }
    let trapped = tensor(&[2.0, 0.0, 0.0, 1.9], &[2, 2]);
    let found = sigmas(&trapped, tensor(&[0.0, 1.0], &[2]), 20);
    assert!(found.iter().all(|s| (s - 1.9).abs() < 1e-12), "{found:?}");
    let u = spectral_norm(&tensor(&[3.0, 0.0, 4.0, 5.0], &[2, 2]), &even(2), 1e-12).unwrap().u;
    assert_close("u", &u, &tensor(&[0.36836437, 0.92968150], &[2]), 1e-8, 0.0);
}

#[test]
fn gradients_see_sigma_but_not_the_vectors() {
    // At a converged u the vectors do not move to first order: differences then agree with the constant ones.
    for shape in [&[3, 4][..], &[4, 3, 2], &[2, 3, 2, 2], &[3, 2, 2, 2, 2], &[1, 5], &[5, 1], &[4]] {
        let weight = random("w", shape);
        let mut u = even(shape[0]);
        for _ in 0..400 {
            u = spectral_norm(&weight, &u, 1e-12).unwrap().u;
        }
        let weights = std::slice::from_ref(&weight);
        gradcheck(|t| Ok(spectral_norm(&t[0], &u, 1e-12)?.weight), weights).unwrap();
    }
}

/// Against the formula written in candle's operations, away from convergence and in sizes of several tasks.
#[test]
fn gradients_of_one_iteration_are_the_formula() {
    let (weight, u) = (random("w", &[37, 1100]), random("u", &[37]));
    let var = candle_core::Var::from_tensor(&weight).unwrap();
    let probe = random("g", &[37, 1100]);
    let loss = |w: &Tensor| (w * &probe).unwrap().sum_all().unwrap();
    let ours = loss(&spectral_norm(var.as_tensor(), &u, 1e-12).unwrap().weight);
    let length = |x: &Tensor| x.sqr().unwrap().sum_all().unwrap().sqrt().unwrap();
    let unit = |x: Tensor| x.broadcast_div(&length(&x)).unwrap();
    let u = u.unsqueeze(1).unwrap();
    let v = unit(weight.t().unwrap().matmul(&u).unwrap());
    let u = unit(weight.matmul(&v).unwrap());
    let along = (u.matmul(&v.t().unwrap()).unwrap() * var.as_tensor()).unwrap().sum_all().unwrap();
    let theirs = loss(&var.as_tensor().broadcast_div(&along).unwrap());
    assert_close("loss", &ours, &theirs, 1e-12, 0.0);
    let grad = |loss: &Tensor| loss.backward().unwrap().get(var.as_tensor()).unwrap().clone();
    assert_close("gradient", &grad(&ours), &grad(&theirs), 1e-11, 0.0);
    let single = spectral_norm(
        &weight.to_dtype(DType::F32).unwrap(),
        &random("u", &[37]).to_dtype(DType::F32).unwrap(),
        1e-12,
    );
    assert!((single.unwrap().sigma - along.to_scalar::<f64>().unwrap()).abs() < 1e-5);
}

#[test]
fn mistakes_are_named() {
    let text = |w: &Tensor, u: &Tensor| spectral_norm(w, u, 1e-12).unwrap_err().to_string();
    let w = random("w", &[3, 4]);
    assert!(text(&w, &even(4)).contains("[3]"));
    assert!(text(&w, &even(3).to_dtype(DType::F32).unwrap()).contains("F32"));
    assert!(text(&Tensor::zeros((0, 4), DType::F64, &Device::Cpu).unwrap(), &even(1)).contains("not empty"));
}

/// Every layer: the vector moves in training mode alone, also where weights are constants, and the same weight is used in all modes.
#[test]
fn layers_move_their_vector_in_training_alone() {
    let store = ParamStore::init(Rng::new(2), DType::F64, &Device::Cpu);
    let source = store.source();
    let conv1 = SpectralConv::new(3, 4, ConvConfig::<1>::new(3), 1e-12, &source.pp("conv1")).unwrap();
    let conv2 =
        SpectralConv::new(3, 4, ConvConfig::<2>::new(3).padding(1), 1e-12, &source.pp("conv2")).unwrap();
    let conv3 =
        SpectralConv::new(3, 4, ConvConfig::<3>::new(3).no_bias(), 1e-12, &source.pp("conv3")).unwrap();
    let linear = SpectralLinear::new(5, 4, LinearConfig::default(), 1e-12, &source.pp("linear")).unwrap();
    let table =
        SpectralEmbedding::new(6, 4, Init::Orthogonal { gain: 1.0 }, 1e-12, &source.pp("table")).unwrap();
    store.finish().unwrap();
    let run = |mode| {
        [
            conv1.forward(&random("x", &[2, 3, 6]), mode).unwrap(),
            conv2.forward(&random("x", &[2, 3, 6, 5]), mode).unwrap(),
            conv2.forward_halved(&random("x", &[2, 3, 6, 5]), mode).unwrap(),
            conv3.forward(&random("x", &[2, 3, 4, 5, 3]), mode).unwrap(),
            linear.forward(&random("x", &[2, 5]), mode).unwrap(),
            table.forward(&[5, 0, 5], mode).unwrap(),
        ]
    };
    let vectors = || store.buffers("").into_iter().map(|(k, v)| (k, v.to_vec1::<f64>().unwrap()));
    let vectors = || vectors().collect::<Vec<_>>();
    let before = vectors();
    assert_eq!(before.len(), 5);
    let evaluated = run(Mode::EVAL);
    assert_eq!(vectors(), before, "evaluation");
    let trained = run(Mode::TRAIN.frozen());
    assert!(vectors().iter().zip(&before).all(|(new, old)| new != old), "training");
    for (k, (a, b)) in evaluated.iter().zip(&trained).enumerate().filter(|(k, _)| *k != 2) {
        assert_close(&format!("layer {k}"), b, a, 0.0, 0.0);
    }
    assert_eq!(
        evaluated[5].get(0).unwrap().to_vec1::<f64>().unwrap(),
        evaluated[5].get(2).unwrap().to_vec1::<f64>().unwrap()
    );
}

/// One convolution for a convolution and means, in one to three dimensions and odd sizes.
#[test]
fn halving_kernels_stand_for_means_behind_convolutions() {
    use vg_core::ops::conv::{ConvParams, conv};
    for (shape, kernel) in [
        (&[2, 3, 7][..], &[4, 3, 3][..]),
        (&[2, 3, 6, 5], &[4, 3, 3, 3]),
        (&[1, 2, 5, 4, 6], &[3, 2, 3, 3, 3]),
    ] {
        let (x, w) = (random("x", shape), random("w", kernel));
        let params = ConvParams { padding: [1; 3], ..ConvParams::default() };
        let want = avg_pool(&conv(&x, &w, &params).unwrap(), &PoolParams::uniform(2, 2)).unwrap();
        let halved = ConvParams { stride: [2; 3], ..params };
        let got = |x: &Tensor, w: &Tensor| conv(x, &halving_kernel(w)?, &halved);
        assert_close("means", &got(&x, &w).unwrap(), &want, 1e-13, 0.0);
        gradcheck(|t| got(&t[0], &t[1]), &[x, w]).unwrap();
    }
    assert!(halving_kernel(&random("w", &[3, 3])).is_err());
}
