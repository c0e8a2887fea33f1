//! Convolutions, norms and clipping at the sizes of TGAN's UCF-101 configuration, batch 32.
//!
//! Criterion's "elements" are floating-point operations for convolutions and tensor elements for the rest.

#[path = "../../../xtask/src/allocator.rs"]
mod allocator;

use std::hint::black_box;
use std::time::Duration;

use candle_core::{DType, Device, Tensor, Var};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vg_core::Rng;
use vg_core::grad::{Tape, backward_from};
use vg_core::ops::Activation;
use vg_core::ops::batch_norm::batch_norm_train;
use vg_core::ops::channel::channel_dot;
use vg_core::ops::conv::{ConvParams, Epilogue, conv, conv_fused, conv_transpose, conv_weight_grad};
use vg_core::ops::norm::{conditional_batch_norm_train, layer_norm};
use vg_core::ops::svc::clip_singular_values;

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(1).stream(name).uniform_tensor(shape, -1.0, 1.0, DType::F32, &Device::Cpu).expect("a CPU tensor")
}

/// A convolution as the critic or the generator uses it.
struct Layer {
    name: &'static str,
    input: &'static [usize],
    weight: &'static [usize],
    params: ConvParams,
    transposed: bool,
}

const K4: ConvParams = ConvParams::uniform(2, 1);
const K3: ConvParams = ConvParams::uniform(1, 1);

#[rustfmt::skip]
const LAYERS: &[Layer] = &[
    Layer { name: "critic.c0", input: &[32, 3, 16, 64, 64], weight: &[64, 3, 4, 4, 4], params: K4, transposed: false },
    Layer { name: "critic.c1", input: &[32, 64, 8, 32, 32], weight: &[128, 64, 4, 4, 4], params: K4, transposed: false },
    Layer { name: "critic.c2", input: &[32, 128, 4, 16, 16], weight: &[256, 128, 4, 4, 4], params: K4, transposed: false },
    Layer { name: "critic.c3", input: &[32, 256, 2, 8, 8], weight: &[512, 256, 4, 4, 4], params: K4, transposed: false },
    Layer { name: "image.dc1", input: &[512, 512, 4, 4], weight: &[512, 256, 4, 4], params: K4, transposed: true },
    Layer { name: "image.dc2", input: &[512, 256, 8, 8], weight: &[256, 128, 4, 4], params: K4, transposed: true },
    Layer { name: "image.dc3", input: &[512, 128, 16, 16], weight: &[128, 64, 4, 4], params: K4, transposed: true },
    Layer { name: "image.dc4", input: &[512, 64, 32, 32], weight: &[64, 32, 4, 4], params: K4, transposed: true },
    Layer { name: "image.dc5", input: &[512, 32, 64, 64], weight: &[32, 3, 3, 3], params: K3, transposed: true },
    Layer { name: "temporal.dc1", input: &[32, 512, 1], weight: &[512, 256, 4], params: K4, transposed: true },
];

fn convolutions(c: &mut Criterion) {
    for layer in LAYERS {
        let (x, w) = (random("x", layer.input), random("w", layer.weight));
        let forward = |x: &Tensor| match layer.transposed {
            true => conv_transpose(x, &w, &layer.params, [0; 3]),
            false => conv(x, &w, &layer.params),
        };
        let g = random("g", forward(&x).expect("the layer's sizes fit").dims());
        // Every element of the weight meets every position of the smaller of the two tensors' volumes.
        let dense = if layer.transposed { layer.input } else { g.dims() };
        let positions: usize = dense[2..].iter().product::<usize>() * dense[0];
        let products = layer.weight.iter().product::<usize>() * positions;
        let mut group = c.benchmark_group(layer.name);
        group.throughput(Throughput::Elements(2 * products as u64));
        group.bench_function("forward", |b| b.iter(|| forward(black_box(&x)).expect("fits")));
        group.bench_function("input_grad", |b| {
            b.iter(|| match layer.transposed {
                true => conv(black_box(&g), &w, &layer.params),
                false => conv_transpose(black_box(&g), &w, &layer.params, [0; 3]),
            })
        });
        group.bench_function("weight_grad", |b| {
            let (big, small) = if layer.transposed { (&g, &x) } else { (&x, &g) };
            b.iter(|| {
                conv_weight_grad(black_box(big), small, &layer.weight[2..], &layer.params).expect("fits")
            });
        });
        group.finish();
    }
}

/// Forward and all gradients of a layer with its bias and activation.
fn epilogue(c: &mut Criterion) {
    let var = |name: &str, shape: &[usize]| Var::from_tensor(&random(name, shape)).expect("a variable");
    let (x, w, bias) = (var("x", &[2, 64, 12, 32, 32]), var("w", &[64, 64, 3, 3, 3]), var("b", &[64]));
    let g = random("g", &[2, 64, 12, 32, 32]);
    for (name, activation) in [("leaky", Activation::LeakyRelu(0.2)), ("tanh", Activation::Tanh)] {
        let step = || {
            let _tape = Tape::start();
            let epilogue = Epilogue { bias: Some(bias.as_tensor()), activation };
            let y = conv_fused(x.as_tensor(), w.as_tensor(), epilogue, &K3).expect("fits");
            backward_from(&y, &g).expect("a gradient")
        };
        c.bench_function(&format!("conv3d_bias_{name}"), |b| b.iter(step));
    }
}

fn batch_norm(c: &mut Criterion) {
    for (name, shape) in [("image.bn4", [512, 32, 64, 64].as_slice()), ("critic.bn1", &[32, 128, 4, 16, 16])]
    {
        let x = Var::from_tensor(&random("x", shape)).expect("a variable");
        let gamma = random("gamma", &shape[1..2]);
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(shape.iter().product::<usize>() as u64));
        let run = || batch_norm_train(x.as_tensor(), &gamma, None, 2e-5, Activation::Relu).expect("fits").0;
        group.bench_function("forward", |b| b.iter(&run));
        // A loss whose own backward pass is one product.
        let g = random("g", shape);
        let loss = channel_dot(&run(), &g).and_then(|d| Ok(d.sum_all()?)).expect("a sum");
        group.bench_function("backward", |b| b.iter(|| loss.backward().expect("a gradient")));
        group.finish();
    }
}

/// Forward and all gradients of the norms with a scale and shift of another scope than their statistics.
fn norms(c: &mut Criterion) {
    type Norm = fn(&Tensor, &Tensor, &Tensor) -> Tensor;
    let conditional: Norm = |x, scale, shift| {
        conditional_batch_norm_train(x, scale, shift, 1e-5, Activation::Relu).expect("fits").0
    };
    let layer: Norm =
        |x, gamma, beta| layer_norm(x, 1, Some(gamma), Some(beta), 1e-5, Activation::Relu).expect("fits");
    let clips: &[usize] = &[8, 64, 16, 32, 32];
    for (name, shape, constants, norm) in [
        ("conditional_batch_norm", clips, &clips[..2], conditional),
        ("layer_norm_channels", clips, &clips[1..2], layer),
        ("layer_norm_elements", &[8192, 1024], &[1024], layer),
    ] {
        let [x, scale, shift] = [("x", shape), ("scale", constants), ("shift", constants)]
            .map(|(name, shape)| Var::from_tensor(&random(name, shape)).expect("a variable"));
        let g = random("g", shape);
        let step = || {
            let _tape = Tape::start();
            let y = norm(x.as_tensor(), scale.as_tensor(), shift.as_tensor());
            backward_from(&y, &g).expect("a gradient")
        };
        c.bench_function(name, |b| b.iter(step));
    }
}

fn clipping(c: &mut Criterion) {
    let w = (random("w", &[512, 16384]) * 0.02).expect("a product");
    c.bench_function("clip_512x16384", |b| b.iter(|| clip_singular_values(&w, 1.0).expect("finite")));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = convolutions, epilogue, batch_norm, norms, clipping
}
criterion_main!(benches);
