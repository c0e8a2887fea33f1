//! Singular value clipping on cases with known answers and on kernels of the critic's sizes.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use vg_core::Rng;
use vg_core::ops::svc::{clip_singular_values, singular_values};

mod distance;
use distance::apart as far;

type Rows = &'static [&'static [f64]];

fn matrix(rows: &[&[f64]]) -> Tensor {
    let flat: Vec<f64> = rows.concat();
    Tensor::from_vec(flat, (rows.len(), rows[0].len()), &Device::Cpu).unwrap()
}

fn random(shape: &[usize], std: f64) -> Tensor {
    let t = Rng::new(11).stream("w").normal_tensor(shape, DType::F64, &Device::Cpu).unwrap();
    (t * std).unwrap()
}

/// Values computed with a full decomposition in another program.
#[test]
fn small_matrices_with_known_answers() {
    let cases: &[(Rows, Rows)] = &[
        (&[&[3.0, 1.0], &[1.0, 3.0]], &[&[1.0, 0.0], &[0.0, 1.0]]),
        (&[&[2.0, 0.0], &[0.0, 0.5]], &[&[1.0, 0.0], &[0.0, 0.5]]),
        (&[&[3.0, 4.0]], &[&[0.6, 0.8]]),
        (&[&[3.0], &[4.0]], &[&[0.6], &[0.8]]),
        (&[&[1.0, 1.0], &[0.0, 1.0]], &[&[0.723607, 0.552786], &[-0.170820, 0.723607]]),
        (&[&[1.0, 2.0], &[3.0, 4.0]], &[&[-0.040531, 0.523481], &[0.647825, 0.662253]]),
        (
            &[&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]],
            &[&[-0.408945, 0.138661, 0.686266], &[0.636027, 0.555897, 0.475766]],
        ),
        (
            &[&[1.0, 4.0], &[2.0, 5.0], &[3.0, 6.0]],
            &[&[-0.408945, 0.636027], &[0.138661, 0.555897], &[0.686266, 0.475766]],
        ),
        (
            &[&[2.0, 0.0, 1.0], &[0.0, 0.5, 0.0], &[1.0, 0.0, 3.0]],
            &[&[1.0, 0.0, 0.0], &[0.0, 0.5, 0.0], &[0.0, 0.0, 1.0]],
        ),
    ];
    for (before, after) in cases {
        let clipped = clip_singular_values(&matrix(before), 1.0).unwrap();
        assert!(far(&clipped, &matrix(after)) < 1e-6, "{before:?} became {clipped}");
    }
}

#[test]
fn other_ceilings_scale_the_answer() {
    let w = matrix(&[&[3.0, 1.0], &[1.0, 3.0]]);
    assert!(far(&clip_singular_values(&w, 3.0).unwrap(), &matrix(&[&[2.5, 0.5], &[0.5, 2.5]])) < 1e-12);
    assert!(far(&clip_singular_values(&w, 0.0).unwrap(), &w.zeros_like().unwrap()) < 1e-12);
}

#[test]
fn kernels_of_the_critic_are_clipped_and_stay_so() {
    for (shape, std) in [
        (vec![64, 3, 4, 4, 4], 0.08),
        (vec![128, 64, 4, 4, 4], 0.02),
        (vec![1, 512, 4, 4], 0.05),
        (vec![300, 40], 0.1),
    ] {
        let w = random(&shape, std).to_dtype(DType::F32).unwrap();
        let before = singular_values(&w).unwrap();
        assert!(before[0] > 1.0, "{shape:?}: {}", before[0]);
        let once = clip_singular_values(&w, 1.0).unwrap();
        assert_eq!((once.dims(), once.dtype()), (w.dims(), w.dtype()));
        let after = singular_values(&once).unwrap();
        assert!(after[0] <= 1.0 + 1e-6, "{shape:?}: {}", after[0]);
        for (b, a) in before.iter().zip(&after) {
            assert!((b.min(1.0) - a).abs() < 1e-5, "{shape:?}: {b} became {a}");
        }
        assert!(far(&clip_singular_values(&once, 1.0).unwrap(), &once) < 1e-6);
    }
}

#[test]
fn matrices_below_the_ceiling_are_returned_bit_for_bit() {
    // The norm alone tells for the first; the second has norm 2 and largest value 1.
    for w in [random(&[6, 20], 0.01), (Tensor::eye(4, DType::F64, &Device::Cpu).unwrap() * 0.999).unwrap()] {
        let w = w.to_dtype(DType::F32).unwrap();
        assert_eq!(far(&clip_singular_values(&w, 1.0).unwrap(), &w), 0.0);
    }
}

#[test]
fn the_result_is_a_constant() {
    let var = candle_core::Var::from_tensor(&random(&[4, 9], 1.0)).unwrap();
    assert!(!clip_singular_values(var.as_tensor(), 1.0).unwrap().track_op());
    assert!(!clip_singular_values(var.as_tensor(), 100.0).unwrap().track_op());
}

#[test]
fn wrong_weights_are_refused() {
    let message = |t: &Tensor, c| clip_singular_values(t, c).unwrap_err().to_string();
    assert!(message(&matrix(&[&[1.0, f64::NAN]]), 1.0).contains("element 1"));
    assert!(message(&Tensor::ones(3, DType::F32, &Device::Cpu).unwrap(), 1.0).contains("two axes"));
    assert!(message(&matrix(&[&[1.0]]), -1.0).contains("-1"));
    let empty = Tensor::zeros((0, 3), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(clip_singular_values(&empty, 1.0).unwrap().dims(), [0, 3]);
}

#[test]
fn threads_change_nothing() {
    let w = random(&[130, 700], 0.1);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            clip_singular_values(&w, 1.0).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap()
        })
    };
    let one = run(1);
    assert!(one == run(2) && one == run(4));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_value_exceeds_the_ceiling(rows in 1usize..12, columns in 1usize..12, ceiling in 0.1f64..3.0) {
        let w = random(&[rows, columns], 1.0);
        let clipped = clip_singular_values(&w, ceiling).unwrap();
        let (before, after) = (singular_values(&w).unwrap(), singular_values(&clipped).unwrap());
        prop_assert_eq!(after.len(), rows.min(columns));
        for (b, a) in before.iter().zip(&after) {
            prop_assert!((b.min(ceiling) - a).abs() < 1e-7, "{} became {}", b, a);
        }
        prop_assert!(far(&clip_singular_values(&clipped, ceiling).unwrap(), &clipped) < 1e-9);
    }
}
