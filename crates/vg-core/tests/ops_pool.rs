//! Pooling against its definition, its derivatives and itself on other numbers of threads.

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use vg_core::Rng;
use vg_core::grad::{Tape, backward};
use vg_core::ops::pool::{PoolParams, avg_pool, max_pool};
use vg_core::testing::gradcheck::gradcheck;

mod distance;
use distance::{apart as far, values};

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(3).stream(name).normal_tensor(shape, DType::F64, &Device::Cpu).unwrap()
}

/// Position and value of every element of every window, with the number of positions that an average divides by.
fn windows(x: &Tensor, p: &PoolParams, output: &[usize]) -> Vec<(Vec<(usize, f64)>, usize)> {
    let axes = x.rank() - 2;
    let size = |a: usize| x.dims()[2 + a];
    let plane: usize = x.dims()[2..].iter().product();
    let values = values(x);
    let count: usize = output.iter().product();
    let mut all = Vec::new();
    for i in 0..count {
        let mut place = i;
        let mut at = vec![0; axes];
        for a in (0..axes).rev() {
            at[a] = place % output[2 + a];
            place /= output[2 + a];
        }
        let (mut inside, mut counted) = (vec![], 0);
        let kernel: Vec<usize> = p.kernel[3 - axes..].to_vec();
        for k in 0..kernel.iter().product::<usize>() {
            let (mut k, mut offset, mut step, mut outside, mut behind) = (k, 0, 1, false, false);
            for a in (0..axes).rev() {
                let q = a + 3 - axes;
                let pos = (at[a] * p.stride[q] + k % kernel[a]) as isize - p.padding[q] as isize;
                k /= kernel[a];
                outside |= pos < 0 || pos >= size(a) as isize;
                behind |= pos >= (size(a) + p.padding[q]) as isize;
                offset += pos * step;
                step *= size(a) as isize;
            }
            if !outside {
                let at = place * plane + offset as usize;
                inside.push((at, values[at]));
            }
            counted += usize::from(if p.count_include_pad { !behind } else { !outside });
        }
        all.push((inside, counted));
    }
    all
}

fn case() -> impl Strategy<Value = (Vec<usize>, PoolParams)> {
    let axis = (1usize..=4, 1usize..=3, 0usize..=2, 0usize..=9);
    (0usize..=2, 1usize..=3, proptest::collection::vec(axis, 1..=3), any::<bool>(), any::<bool>()).prop_map(
        |(batch, channels, axes, ceil, count)| {
            let mut shape = vec![batch, channels];
            let mut p = PoolParams::uniform(1, 1).ceil_mode(ceil).count_include_pad(count);
            for (a, (kernel, stride, padding, extra)) in axes.iter().enumerate() {
                let q = a + 3 - axes.len();
                (p.kernel[q], p.stride[q], p.padding[q]) = (*kernel, *stride, *padding.min(&(kernel / 2)));
                shape.push((kernel + extra).saturating_sub(2 * p.padding[q]).max(1));
            }
            (shape, p)
        },
    )
}

/// The gradient of the sum of `weights * f(x)`.
fn gradient(f: impl Fn(&Tensor) -> Tensor, x: &Tensor, weights: &Tensor) -> Tensor {
    let var = Var::from_tensor(x).unwrap();
    let loss = (f(var.as_tensor()) * weights).unwrap().sum_all().unwrap();
    loss.backward().unwrap().remove(&var).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn averages_agree_with_their_definition((shape, p) in case()) {
        let x = random("x", &shape);
        let y = avg_pool(&x, &p).unwrap();
        let windows = windows(&x, &p, y.dims());
        for ((inside, count), got) in windows.iter().zip(values(&y)) {
            let want = inside.iter().map(|(_, v)| v).sum::<f64>() / *count as f64;
            prop_assert!((got - want).abs() < 1e-12);
        }
        let g = random("g", y.dims());
        let mut want = vec![0.0; x.elem_count()];
        for ((inside, count), g) in windows.iter().zip(values(&g)) {
            inside.iter().for_each(|(at, _)| want[*at] += g / *count as f64);
        }
        if !want.is_empty() {
            let got = gradient(|x| avg_pool(x, &p).unwrap(), &x, &g);
            prop_assert!(far(&got, &Tensor::from_vec(want, x.shape(), &Device::Cpu).unwrap()) < 1e-12);
        }
        let single = avg_pool(&x.to_dtype(DType::F32).unwrap(), &p).unwrap();
        prop_assert!(far(&single, &y) < 1e-5);
    }

    #[test]
    fn maxima_agree_with_their_definition((shape, p) in case(), ties in any::<bool>()) {
        let x = random("x", &shape);
        // Whole numbers from a small range: almost every window has several maxima.
        let x = if ties { x.round().unwrap() } else { x };
        let y = max_pool(&x, &p).unwrap();
        let g = random("g", y.dims());
        let mut grad = vec![0.0; x.elem_count()];
        let windows = windows(&x, &p, y.dims());
        for (((inside, _), got), g) in windows.iter().zip(values(&y)).zip(values(&g)) {
            let best = inside.iter().map(|(_, v)| *v).fold(f64::NEG_INFINITY, f64::max);
            prop_assert_eq!(got, best);
            grad[inside.iter().find(|(_, v)| *v == best).unwrap().0] += g;
        }
        if !grad.is_empty() {
            let got = gradient(|x| max_pool(x, &p).unwrap(), &x, &g);
            prop_assert!(far(&got, &Tensor::from_vec(grad, x.shape(), &Device::Cpu).unwrap()) < 1e-12);
        }
        let single = max_pool(&x.to_dtype(DType::F32).unwrap(), &p).unwrap();
        prop_assert_eq!(far(&single, &y.to_dtype(DType::F32).unwrap()), 0.0);
    }
}

#[test]
fn gradients_agree_with_differences() {
    let overlapping = PoolParams::uniform(3, 2).padding([1, 1, 1]);
    for shape in [vec![2, 3, 9], vec![1, 2, 7, 6], vec![1, 2, 4, 5, 3]] {
        let x = random("x", &shape);
        for p in
            [PoolParams::uniform(2, 2), overlapping, overlapping.count_include_pad(false).ceil_mode(true)]
        {
            gradcheck(|t| avg_pool(&t[0], &p), std::slice::from_ref(&x)).unwrap();
            gradcheck(|t| max_pool(&t[0], &p), std::slice::from_ref(&x)).unwrap();
        }
    }
}

#[test]
fn a_tape_records_pooling() {
    let x = Var::from_tensor(&random("x", &[2, 3, 8, 8])).unwrap();
    let p = PoolParams::uniform(3, 2).padding([1, 1]);
    let pooled = |x: &Tensor| (max_pool(x, &p).unwrap() + avg_pool(x, &p).unwrap()).unwrap().sqr().unwrap();
    let want = pooled(x.as_tensor()).sum_all().unwrap().backward().unwrap();
    let tape = Tape::start();
    let grads = backward(&pooled(x.as_tensor()).sum_all().unwrap()).unwrap();
    drop(tape);
    assert!(far(grads.get(x.as_tensor()).unwrap(), want.get(&x).unwrap()) < 1e-12);
}

#[test]
fn values_that_are_not_finite_are_kept() {
    let x = [f64::NAN, 1.0, f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY, 2.0];
    let x = Tensor::new(&x, &Device::Cpu).unwrap().reshape((1, 1, 6)).unwrap();
    let p = PoolParams::uniform(2, 2);
    let (max, mean) = (values(&max_pool(&x, &p).unwrap()), values(&avg_pool(&x, &p).unwrap()));
    assert!(max[0].is_nan() && mean[0].is_nan());
    assert_eq!((&max[1..], &mean[1..]), (&[f64::NEG_INFINITY, f64::INFINITY][..], &max[1..]));
    let g = values(&gradient(
        |x| max_pool(x, &p).unwrap(),
        &x,
        &Tensor::ones((1, 1, 3), DType::F64, &Device::Cpu).unwrap(),
    ));
    assert_eq!(g, [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
}

#[test]
fn axes_that_are_not_named_are_left_alone() {
    let x = random("x", &[2, 3, 4, 6, 8]);
    let p = PoolParams::per_axis([2, 2]);
    let frames = x.transpose(1, 2).unwrap().contiguous().unwrap().reshape((8, 3, 6, 8)).unwrap();
    let want = avg_pool(&frames, &p).unwrap().reshape((2, 4, 3, 3, 4)).unwrap().transpose(1, 2).unwrap();
    assert!(far(&avg_pool(&x, &p).unwrap(), &want) < 1e-14);
    // A view is read as what it is.
    let turned = x.transpose(3, 4).unwrap();
    let want = max_pool(&turned.contiguous().unwrap(), &p).unwrap();
    assert_eq!(far(&max_pool(&turned, &p).unwrap(), &want), 0.0);
}

#[test]
fn threads_change_nothing() {
    let x = random("x", &[3, 40, 20, 37]).to_dtype(DType::F32).unwrap();
    let p = PoolParams::uniform(3, 2).padding([1, 1]);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let weights = random("g", avg_pool(&x, &p).unwrap().dims()).to_dtype(DType::F32).unwrap();
            [
                avg_pool(&x, &p).unwrap(),
                max_pool(&x, &p).unwrap(),
                gradient(|x| avg_pool(x, &p).unwrap(), &x, &weights),
                gradient(|x| max_pool(x, &p).unwrap(), &x, &weights),
            ]
            .map(|t| values(&t))
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(4));
}

#[test]
fn wrong_operands_are_refused() {
    let message = |r: vg_core::Result<Tensor>| r.unwrap_err().to_string();
    let x = random("x", &[1, 1, 4, 4]);
    assert!(message(avg_pool(&x, &PoolParams::uniform(5, 1))).contains("axis H"));
    let types = message(max_pool(&x.to_dtype(DType::U8).unwrap(), &PoolParams::uniform(2, 2)));
    assert!(types.contains("f32 or f64"), "{types}");
}
