//! The kernels with `unsafe` code on shapes so small that Miri runs them in minutes, on two threads, where it also looks for data
//! races: `scripts/check-kernels miri`. Without Miri an ordinary test of the same results.
//!
//! Miri knows no vector instructions beyond the target's own, so these are the portable kernels, also without Miri; gemm, which asks the CPU what it has
//! in assembly, is left out.

use candle_core::{DType, Device, Tensor, Var};
use vg_core::grad::{Tape, backward};
use vg_core::ops::batch_norm::{batch_norm_eval, batch_norm_train};
use vg_core::ops::conv::{
    ConvParams, Epilogue, Precision, conv, conv_fused, conv_transpose, conv_weight_grad, reference,
};
use vg_core::ops::norm::{conditional_batch_norm_train, instance_norm, layer_norm, pixel_norm};
use vg_core::ops::pool::{PoolParams, avg_pool, max_pool};
use vg_core::ops::upsample::{Interpolation, upsample_by};
use vg_core::ops::{Activation, Instructions, attention, channel, gates, limit_instructions};

mod distance;
use distance::values;

/// Runs `f` on a pool of two threads, with the kernels that Miri knows: before the first operation, since none may see them change.
fn on_two_threads(f: impl FnOnce() + Send) {
    limit_instructions(Instructions::Portable);
    rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap().install(f);
}

/// Small numbers without a pattern.
fn numbers(seed: usize, shape: &[usize], dtype: DType) -> Tensor {
    let n: usize = shape.iter().product();
    let values: Vec<f64> = (0..n).map(|i| (((i + seed) * 37 + 11) % 23) as f64 / 8.0 - 1.375).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn assert_near(got: &Tensor, want: &Tensor) {
    assert_eq!(got.dims(), want.dims());
    for (got, want) in values(got).into_iter().zip(values(want)) {
        assert!((got - want).abs() <= 1e-4 * want.abs().max(1.0), "{got}, not {want}");
    }
}

/// Input, weight, parameters, output padding of the transposed one.
type Shape = (Vec<usize>, Vec<usize>, ConvParams, [usize; 3]);

/// More channels than a vector has lanes, fewer than a vector, groups, dilation, several blocks, every rank.
fn convolutions() -> Vec<Shape> {
    let plane = |stride: usize, padding: usize| ConvParams::per_axis([stride; 2], [padding; 2]);
    vec![
        (vec![1, 3, 7], vec![9, 3, 4], ConvParams::per_axis([2], [1]), [0, 0, 1]),
        (vec![2, 4, 9], vec![4, 2, 3], ConvParams::per_axis([1], [2]).dilation([2]).groups(2), [0; 3]),
        (vec![1, 9, 6, 5], vec![2, 9, 3, 3], plane(1, 1), [0; 3]),
        (vec![2, 2, 6, 6], vec![10, 2, 4, 4], plane(2, 1), [0; 3]),
        (vec![1, 5, 4, 4], vec![3, 5, 4, 4], plane(1, 0), [0; 3]),
        (vec![2, 3, 3, 3], vec![5, 3, 1, 1], plane(1, 0), [0; 3]),
        (vec![1, 2, 5, 4], vec![3, 2, 2, 3], plane(3, 1), [0, 2, 0]),
        (vec![1, 2, 3, 4, 4], vec![3, 2, 2, 2, 2], ConvParams::uniform(2, 1), [0, 1, 0]),
        (vec![0, 2, 5, 5], vec![3, 2, 3, 3], plane(1, 1), [0; 3]),
    ]
}

#[test]
fn convolutions_agree_with_the_definition() {
    on_two_threads(|| {
        for (i, (input, weight, params, extra)) in convolutions().into_iter().enumerate() {
            let dtype = if i % 3 == 2 { DType::F64 } else { DType::F32 };
            let (x, w) = (numbers(1, &input, dtype), numbers(2, &weight, dtype));
            let y = conv(&x, &w, &params).unwrap();
            assert_near(&y, &reference::conv(&x, &w, &params).unwrap());
            let g = numbers(3, y.dims(), dtype);
            let back = conv_transpose(&g, &w, &params, extra).unwrap();
            assert_near(&back, &reference::conv_transpose(&g, &w, &params, extra).unwrap());
            let kernel = &weight[2..];
            let d_weight = conv_weight_grad(&x, &g, kernel, &params).unwrap();
            assert_near(&d_weight, &reference::conv_weight_grad(&x, &g, kernel, &params).unwrap());
        }
    });
}

#[test]
fn a_fused_convolution_and_its_gradients_agree_with_the_definition() {
    on_two_threads(|| {
        let [x, w, b] = [[1, 3, 4, 4], [9, 3, 3, 3], [1, 9, 1, 1]]
            .map(|s| Var::from_tensor(&numbers(s[1], &s, DType::F32)).unwrap());
        let params = ConvParams::uniform(1, 1);
        let _tape = Tape::start();
        let bias = b.as_tensor().flatten_all().unwrap();
        let epilogue = Epilogue { bias: Some(&bias), activation: Activation::LeakyRelu(0.5) };
        let y = conv_fused(&x, &w, epilogue, &params).unwrap();
        let sum = reference::conv(&x, &w, &params).unwrap();
        let sum = sum.broadcast_add(&b.as_tensor().to_dtype(DType::F64).unwrap()).unwrap();
        assert_near(&y, &sum.maximum(&(&sum * 0.5).unwrap()).unwrap());

        let grads = backward(&y.sum_all().unwrap()).unwrap();
        // At 0 the slope is that of negative numbers.
        let slope = sum.gt(0.0).unwrap().to_dtype(DType::F64).unwrap().affine(0.5, 0.5).unwrap();
        let want = reference::conv_transpose(&slope, &w, &params, [0; 3]).unwrap();
        assert_near(grads.get(&x).unwrap(), &want);
        let want = reference::conv_weight_grad(&x, &slope, &[3, 3], &params).unwrap();
        assert_near(grads.get(&w).unwrap(), &want);
        assert_near(grads.get(&b).unwrap(), &slope.sum_keepdim((0, 2, 3)).unwrap());
    });
}

const EPS: f64 = 1e-2;

/// Normalised over the given axes, by the definition.
fn normalised(x: &Tensor, axes: &[usize]) -> Tensor {
    let x = x.to_dtype(DType::F64).unwrap();
    let centred = x.broadcast_sub(&x.mean_keepdim(axes.to_vec()).unwrap()).unwrap();
    let var = centred.sqr().unwrap().mean_keepdim(axes.to_vec()).unwrap();
    centred.broadcast_div(&(var + EPS).unwrap().sqrt().unwrap()).unwrap()
}

/// Sums of a tensor and its gradient with respect to `x`, which leaves nothing unread.
fn gradient(x: &Var, y: &Tensor) -> Tensor {
    let grads = backward(&(y * y).unwrap().sum_all().unwrap()).unwrap();
    grads.get(x).unwrap().clone()
}

#[test]
fn norms_agree_with_their_definitions() {
    on_two_threads(|| {
        // Rows shorter and longer than those that are added up at once.
        for shape in [[3, 5, 2, 3], [2, 2, 8, 9]] {
            let x = Var::from_tensor(&numbers(4, &shape, DType::F32)).unwrap();
            let one = Tensor::ones(shape[1], DType::F32, &Device::Cpu).unwrap();
            let rows = Tensor::ones(&shape[..2], DType::F32, &Device::Cpu).unwrap();
            let none = rows.zeros_like().unwrap();
            let same = Activation::Identity;
            let _tape = Tape::start();
            let (batch, stats) = batch_norm_train(&x, &one, None, EPS, same).unwrap();
            assert_near(&batch, &normalised(&x, &[0, 2, 3]));
            let (conditional, _) = conditional_batch_norm_train(&x, &rows, &none, EPS, same).unwrap();
            assert_near(&conditional, &batch);
            let of = |v: &[f64]| Tensor::new(v, &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap();
            let (mean, var) = (of(&stats.mean), of(&stats.var));
            assert_near(&batch_norm_eval(&x, &one, None, &mean, &var, EPS, same).unwrap(), &batch);
            let instance = instance_norm(&x, None, None, EPS, same).unwrap();
            assert_near(&instance, &normalised(&x, &[2, 3]));
            let layer = layer_norm(&x, 1, None, None, EPS, same).unwrap();
            assert_near(&layer, &normalised(&x, &[1, 2, 3]));
            let pixel = pixel_norm(&x, EPS).unwrap();
            let length = (x.sqr().unwrap().mean_keepdim(1).unwrap() + EPS).unwrap().sqrt().unwrap();
            assert_near(&pixel, &x.broadcast_div(&length).unwrap());
            for (y, axes) in [(&batch, vec![0, 2, 3]), (&instance, vec![2, 3]), (&layer, vec![1, 2, 3])] {
                // The gradient of a norm has no part along the constants.
                let sum = gradient(&x, y).sum_keepdim(axes).unwrap();
                assert_near(&sum, &sum.zeros_like().unwrap());
            }
            assert_eq!(gradient(&x, &pixel).dims(), shape);
        }
    });
}

#[test]
fn pooling_and_resizing_agree_with_their_definitions() {
    on_two_threads(|| {
        let x = Var::from_tensor(&numbers(5, &[2, 2, 4, 6], DType::F32)).unwrap();
        let params = PoolParams::per_axis([2, 2]);
        let _tape = Tape::start();
        let windows = x.reshape((2, 2, 2, 2, 3, 2)).unwrap();
        let best = max_pool(&x, &params).unwrap();
        assert_near(&best, &windows.max(5).unwrap().max(3).unwrap());
        let mean = avg_pool(&x, &params).unwrap();
        assert_near(&mean, &windows.mean((3, 5)).unwrap());
        let grads = backward(&best.sum_all().unwrap()).unwrap();
        assert_eq!(values(grads.get(&x).unwrap()).iter().sum::<f64>(), best.elem_count() as f64);
        let overlapping = max_pool(&x, &PoolParams::per_axis([3, 3]).stride([1, 2]).padding([1, 1])).unwrap();
        assert_eq!(overlapping.dims(), [2, 2, 4, 3]);
        assert_eq!(gradient(&x, &overlapping).dims(), x.dims());

        let larger = upsample_by(&x, &[2, 3], Interpolation::Nearest).unwrap();
        assert_near(&avg_pool(&larger, &PoolParams::per_axis([2, 3])).unwrap(), &x);
        assert_near(&gradient(&x, &larger), &(x.as_tensor() * 12.0).unwrap());
        let line = numbers(0, &[1, 1, 3], DType::F32);
        let ramp = upsample_by(&line, &[2], Interpolation::Linear { align_corners: true }).unwrap();
        let (line, ramp) = (values(&line), values(&ramp));
        assert!((ramp[0] - line[0]).abs() < 1e-6 && (ramp[5] - line[2]).abs() < 1e-6, "{line:?} {ramp:?}");
    });
}

#[test]
fn gates_softmax_and_channel_sums_agree_with_their_definitions() {
    on_two_threads(|| {
        let state = [2, 3, 2, 2];
        let of =
            |k: usize, seed: usize| Var::from_tensor(&numbers(seed, &[2, 3 * k, 2, 2], DType::F32)).unwrap();
        let (x, h) = (of(4, 6), of(1, 7));
        let _tape = Tape::start();
        let (next, cell) = gates::lstm(&x, &h).unwrap();
        assert_near(&next, &{
            let squashed = cell.tanh().unwrap();
            let open = Activation::Sigmoid.apply(&x.narrow(1, 9, 3).unwrap()).unwrap();
            (open * squashed).unwrap()
        });
        assert_eq!(gradient(&h, &(next + cell).unwrap()).dims(), state);
        let (a, b) = (of(3, 8), of(3, 9));
        assert_eq!(gradient(&h, &gates::gru(&a, &b, &h).unwrap()).dims(), state);
        let read = of(2, 10);
        assert_eq!(gradient(&h, &gates::conv_gru_reset(&read, &h).unwrap()).dims(), state);
        // Of the same candidate and state, any blend is the state.
        assert_near(&gates::conv_gru_blend(&read, &h, &h).unwrap(), &h);

        let shares = attention::softmax(&x).unwrap();
        let sum = shares.sum_keepdim(3).unwrap();
        assert_near(&sum, &sum.ones_like().unwrap());
        assert_near(&channel::channel_sum(&x).unwrap(), &x.sum((0, 2, 3)).unwrap());
    });
}

#[test]
fn products_in_bf16_agree_with_the_definition() {
    on_two_threads(|| {
        let plane = |stride, padding| ConvParams::per_axis([stride; 2], [padding; 2]);
        let all = [
            ([1, 16, 2, 3], [16, 16, 1, 2], plane(2, 1)),
            ([2, 17, 5, 3], [18, 17, 3, 2], plane(1, 1)),
            ([1, 16, 6, 7], [17, 16, 4, 3], plane(2, 1)),
            ([1, 34, 4, 4], [32, 17, 2, 2], plane(3, 1).groups(2)),
        ];
        // Tiles of 16 by 32 sums take Miri minutes: the first case has all that is unsafe.
        for (x, w, params) in all.into_iter().take(if cfg!(miri) { 1 } else { 4 }) {
            let narrow = params.precision(Precision::Bf16);
            let [x, w] = [(1, x), (2, w)].map(|(seed, shape)| numbers(seed, &shape, DType::F32));
            let y = conv(&x, &w, &narrow).unwrap();
            assert_near(&y, &reference::conv(&x, &w, &params).unwrap());
            let g = numbers(3, y.dims(), DType::F32);
            let back = conv_transpose(&g, &w, &narrow, [0; 3]).unwrap();
            assert_near(&back, &reference::conv_transpose(&g, &w, &params, [0; 3]).unwrap());
            let dw = conv_weight_grad(&x, &g, &w.dims()[2..], &narrow).unwrap();
            assert_near(&dw, &reference::conv_weight_grad(&x, &g, &w.dims()[2..], &params).unwrap());
        }
    });
}
