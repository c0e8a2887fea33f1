//! Resizing against its definition, its adjoint, its derivatives and known values of PyTorch.

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use vg_core::Rng;
use vg_core::ops::upsample::{Interpolation, upsample, upsample_by};
use vg_core::testing::gradcheck::gradcheck;

mod distance;
use distance::{apart as far, values};

const HALF_PIXEL: Interpolation = Interpolation::Linear { align_corners: false };
const CORNERS: Interpolation = Interpolation::Linear { align_corners: true };

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(3).stream(name).normal_tensor(shape, DType::F64, &Device::Cpu).unwrap()
}

/// The matrix of one axis, `[output, input]`, from the definition.
fn matrix(input: usize, output: usize, interpolation: Interpolation) -> Tensor {
    let mut rows = vec![0.0; output * input];
    for o in 0..output {
        let x = match interpolation {
            Interpolation::Nearest => (o * input / output) as f64,
            CORNERS if output == 1 => 0.0,
            CORNERS => o as f64 * (input as f64 - 1.0) / (output as f64 - 1.0),
            _ => (o as f64 + 0.5) * input as f64 / output as f64 - 0.5,
        };
        // Linear interpolation: each value counts by a hat function around it, with the ends extended.
        let x = x.clamp(0.0, input as f64 - 1.0);
        for i in 0..input {
            rows[o * input + i] = (1.0 - (x - i as f64).abs()).max(0.0);
        }
    }
    Tensor::from_vec(rows, (output, input), &Device::Cpu).unwrap()
}

/// One axis after the other, as matrix products.
fn naive(x: &Tensor, size: &[usize], interpolation: Interpolation) -> Tensor {
    let mut y = x.clone();
    for (i, size) in size.iter().enumerate() {
        let axis = i + 2;
        let turned = y.transpose(axis, y.rank() - 1).unwrap().contiguous().unwrap();
        let mut shape = turned.dims().to_vec();
        let length = shape[y.rank() - 1];
        let flat = turned.reshape((turned.elem_count() / length, length)).unwrap();
        let flat = flat.matmul(&matrix(length, *size, interpolation).t().unwrap()).unwrap();
        *shape.last_mut().unwrap() = *size;
        y = flat.reshape(shape).unwrap().transpose(axis, y.rank() - 1).unwrap();
    }
    y.contiguous().unwrap()
}

fn interpolation() -> impl Strategy<Value = Interpolation> {
    prop_oneof![Just(Interpolation::Nearest), Just(HALF_PIXEL), Just(CORNERS)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sizes_of_all_kinds_agree_with_the_definition(
        channels in (1usize..=2, 1usize..=3),
        axes in proptest::collection::vec((1usize..=7, 1usize..=9), 1..=3),
        how in interpolation(),
    ) {
        let shape: Vec<usize> = [channels.0, channels.1].into_iter().chain(axes.iter().map(|a| a.0)).collect();
        let size: Vec<usize> = axes.iter().map(|a| a.1).collect();
        let x = random("x", &shape);
        let y = upsample(&x, &size, how).unwrap();
        prop_assert!(far(&y, &naive(&x, &size, how)) < 1e-12);
        let single = upsample(&x.to_dtype(DType::F32).unwrap(), &size, how).unwrap();
        prop_assert!(far(&single, &y) < 2e-6);

        // <up(x), g> = <x, gradient of x>
        let (var, g) = (Var::from_tensor(&x).unwrap(), random("g", y.dims()));
        let there = (upsample(var.as_tensor(), &size, how).unwrap() * g).unwrap().sum_all().unwrap();
        let grad = there.backward().unwrap().remove(&var).unwrap();
        let back = (grad * &x).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
        let there = there.to_scalar::<f64>().unwrap();
        prop_assert!((there - back).abs() < 1e-10 * there.abs().max(1.0));
    }
}

/// Computed with PyTorch's formulas by hand.
#[test]
fn a_ramp_is_resized_as_by_pytorch() {
    let x = Tensor::new(&[0f64, 1.0, 2.0, 3.0], &Device::Cpu).unwrap().reshape((1, 1, 4)).unwrap();
    let line = |size, how| values(&upsample(&x, &[size], how).unwrap());
    assert_eq!(line(8, Interpolation::Nearest), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]);
    assert_eq!(line(3, Interpolation::Nearest), [0.0, 1.0, 2.0]);
    assert_eq!(line(8, HALF_PIXEL), [0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]);
    assert_eq!(line(2, HALF_PIXEL), [0.5, 2.5]);
    assert_eq!(line(7, CORNERS), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
    assert_eq!(line(1, CORNERS), [0.0]);
}

#[test]
fn gradients_agree_with_differences() {
    for (shape, size) in
        [(vec![2, 2, 5], vec![11]), (vec![1, 2, 3, 4], vec![6, 3]), (vec![1, 1, 2, 3, 4], vec![3, 6, 8])]
    {
        for how in [Interpolation::Nearest, HALF_PIXEL, CORNERS] {
            gradcheck(|t| upsample(&t[0], &size, how), &[random("x", &shape)]).unwrap();
        }
    }
}

#[test]
fn threads_change_nothing() {
    let x = random("x", &[3, 30, 15, 17]).to_dtype(DType::F32).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let var = Var::from_tensor(&x).unwrap();
            let y = upsample_by(var.as_tensor(), &[2, 2], HALF_PIXEL).unwrap();
            let grad = y.sqr().unwrap().sum_all().unwrap().backward().unwrap().remove(&var).unwrap();
            (values(&y), values(&grad))
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(4));
}

#[test]
fn wrong_operands_are_refused() {
    let message = |r: vg_core::Result<Tensor>| r.unwrap_err().to_string();
    let x = random("x", &[1, 1, 4, 4]);
    assert!(message(upsample(&x, &[8], HALF_PIXEL)).contains("rank 3"));
    assert!(message(upsample(&x, &[8, 0], HALF_PIXEL)).contains("axis W"));
    assert!(message(upsample_by(&x, &[2, 2, 2], HALF_PIXEL)).contains("rank 5"));
    assert!(message(upsample_by(&random("y", &[4]), &[], HALF_PIXEL)).contains("[B, C, W]"));
    assert!(message(upsample(&x.to_dtype(DType::U8).unwrap(), &[8, 8], CORNERS)).contains("f32 or f64"));
}
