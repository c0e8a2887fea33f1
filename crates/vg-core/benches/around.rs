//! What stands around the convolutions: resampling, attention, recurrent cells, activations, optimizers, products in bf16; the sizes are
//! those of the models that use them.
//!
//! Operations run forward and backward on a tape, as in a training step. Criterion's "elements" are elements of the input.

#[path = "../../../xtask/src/allocator.rs"]
mod allocator;

use std::hint::black_box;
use std::time::Duration;

use candle_core::{DType, Device, Tensor, Var};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vg_core::Rng;
use vg_core::grad::{Tape, backward_from};
use vg_core::nn::{Init, ParamStore};
use vg_core::ops::Activation;
use vg_core::ops::attention::attention;
use vg_core::ops::conv::{ConvParams, Precision, conv, conv_transpose, conv_weight_grad};
use vg_core::ops::gates::{conv_gru_blend, conv_gru_reset, gru, lstm};
use vg_core::ops::linear::linear;
use vg_core::ops::norm::{instance_norm, pixel_norm};
use vg_core::ops::pool::{PoolParams, avg_pool, max_pool};
use vg_core::ops::upsample::{Interpolation, upsample_by};
use vg_core::optim::{Adam, Ema, EpsilonPlacement, Optimizer, ParamGroup, RmsProp, Warmup, step_all};

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(1).stream(name).uniform_tensor(shape, -1.0, 1.0, DType::F32, &Device::Cpu).expect("a CPU tensor")
}

fn var(name: &str, shape: &[usize]) -> Var {
    Var::from_tensor(&random(name, shape)).expect("a variable")
}

/// Forward and all gradients of `op` over variables of these shapes.
fn training(c: &mut Criterion, name: &str, shapes: &[&[usize]], op: impl Fn(&[Tensor]) -> Tensor) {
    let vars: Vec<Var> = shapes.iter().enumerate().map(|(i, shape)| var(&format!("x{i}"), shape)).collect();
    let inputs: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let g = random("g", op(&inputs).dims());
    let mut group = c.benchmark_group("training");
    group.throughput(Throughput::Elements(shapes[0].iter().product::<usize>() as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            let _tape = Tape::start();
            backward_from(&op(black_box(&inputs)), &g).expect("a gradient")
        });
    });
    group.finish();
}

const CLIPS: &[usize] = &[8, 64, 16, 32, 32];
const IMAGES: &[usize] = &[32, 64, 64, 64];

fn resampling(c: &mut Criterion) {
    let linear = Interpolation::Linear { align_corners: false };
    training(c, "avg_pool_2", &[CLIPS], |x| avg_pool(&x[0], &PoolParams::uniform(2, 2)).expect("fits"));
    training(c, "max_pool_2", &[IMAGES], |x| max_pool(&x[0], &PoolParams::uniform(2, 2)).expect("fits"));
    training(c, "nearest_2", &[IMAGES], |x| {
        upsample_by(&x[0], &[2, 2], Interpolation::Nearest).expect("fits")
    });
    training(c, "bilinear_2", &[IMAGES], |x| upsample_by(&x[0], &[2, 2], linear).expect("fits"));
}

fn pointwise(c: &mut Criterion) {
    for (name, activation) in
        [("relu", Activation::Relu), ("tanh", Activation::Tanh), ("sigmoid", Activation::Sigmoid)]
    {
        training(c, name, &[CLIPS], |x| activation.apply(&x[0]).expect("floats"));
    }
    training(c, "instance_norm", &[IMAGES], |x| {
        instance_norm(&x[0], None, None, 1e-5, Activation::Relu).expect("fits")
    });
    training(c, "pixel_norm", &[CLIPS], |x| pixel_norm(&x[0], 1e-8).expect("fits"));
}

fn products(c: &mut Criterion) {
    // DVD-GAN's attention at 32 x 32 with keys and values of half the side.
    training(c, "attention_1024x256", &[&[16, 1024, 24], &[16, 256, 24], &[16, 256, 96]], |x| {
        attention(&x[0], &x[1], &x[2], 1.0).expect("fits")
    });
    training(c, "linear_128x512", &[&[128, 512], &[2048, 512], &[2048]], |x| {
        linear(&x[0], &x[1], Some(&x[2])).expect("fits")
    });
    training(c, "linear_tall", &[&[16384, 64], &[32, 64]], |x| linear(&x[0], &x[1], None).expect("fits"));
}

fn cells(c: &mut Criterion) {
    training(c, "lstm_100x256", &[&[100, 1024], &[100, 256]], |x| lstm(&x[0], &x[1]).expect("fits").0);
    training(c, "gru_100x256", &[&[100, 768], &[100, 768], &[100, 256]], |x| {
        gru(&x[0], &x[1], &x[2]).expect("fits")
    });
    training(c, "conv_gru_64x16x16", &[&[8, 128, 16, 16], &[8, 64, 16, 16], &[8, 64, 16, 16]], |x| {
        let seen = conv_gru_reset(&x[0], &x[2]).expect("fits");
        conv_gru_blend(&x[0], &(seen + &x[1]).expect("same shapes"), &x[2]).expect("fits")
    });
}

/// Updates of 4.2 million parameters in three tensors.
fn optimizers(c: &mut Criterion) {
    let vars = || {
        [("a", [512, 4096]), ("b", [1024, 1024]), ("c", [1024, 1024])]
            .map(|(n, s)| (n.to_owned(), var(n, &s)))
    };
    let step = |c: &mut Criterion, name: &str, mut group: ParamGroup| {
        let tape = Tape::start();
        let sum = group.vars().map(|(_, v)| v.as_tensor().sqr()?.sum_all()).reduce(|a, b| a? + b?);
        let grads = vg_core::grad::backward(&sum.expect("variables").expect("a sum")).expect("gradients");
        drop(tape);
        c.bench_function(name, |b| b.iter(|| step_all([(&mut group, &grads)]).expect("finite")));
    };
    fn group(vars: [(String, Var); 3], optimizer: impl Optimizer + 'static) -> ParamGroup {
        ParamGroup::new("bench", vars, optimizer).expect("a group")
    }
    step(c, "adam_4M", group(vars(), Adam::new(1e-4, 0.5, 0.999)));
    step(
        c,
        "rmsprop_4M",
        group(vars(), RmsProp { lr: 1e-4, alpha: 0.99, eps: 1e-8, placement: EpsilonPlacement::Outside }),
    );
    let store = || {
        let store = ParamStore::init(Rng::new(0), DType::F32, &Device::Cpu);
        for (name, var) in vars() {
            store.source().var(&name, var.dims(), Init::Normal { std: 1.0 }).expect("a new name");
        }
        store
    };
    let live = store();
    let mut ema = Ema::new(0.999, Warmup::Copy(0), store(), &live).expect("the same names");
    c.bench_function("ema_4M", |b| b.iter(|| ema.update(&live).expect("the same names")));
}

/// A wide layer with products in bf16.
fn bf16(c: &mut Criterion) {
    let (x, w, g) =
        (random("x", &[16, 128, 32, 32]), random("w", &[128, 128, 3, 3]), random("g", &[16, 128, 32, 32]));
    let params = ConvParams::uniform(1, 1).precision(Precision::Bf16);
    let mut group = c.benchmark_group("bf16");
    group.throughput(Throughput::Elements(2 * 16 * 1024 * 128 * 128 * 9));
    group.bench_function("forward", |b| b.iter(|| conv(black_box(&x), &w, &params).expect("fits")));
    group.bench_function("input_grad", |b| {
        b.iter(|| conv_transpose(black_box(&g), &w, &params, [0; 3]).expect("fits"))
    });
    group.bench_function("weight_grad", |b| {
        b.iter(|| conv_weight_grad(black_box(&x), &g, &[3, 3], &params).expect("fits"));
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = resampling, pointwise, products, cells, optimizers, bf16
}
criterion_main!(benches);
