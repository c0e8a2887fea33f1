//! Fréchet distances against scipy, golden values and the specification's numbers.

mod common;

use common::{close, entry, features, fixture, q_sets, statistics};
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use serde::Deserialize;
use vg_metrics::frechet::{Form, Frechet, diagonal, distance, distance_by};
use vg_metrics::{Divisor, Error, Features, Gaussian};

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

/// A case of `tools/reference/metrics.py frechet`.
#[derive(Deserialize)]
struct Case {
    d: usize,
    n: usize,
    m: usize,
    x_sum: f64,
    y_sum: f64,
    mean_term: f64,
    sqrtm: Option<f64>,
    nuclear: Option<f64>,
    small_side: Option<f64>,
}

/// SplitMix64 of an index, in [0, 1).
fn unit(index: u64) -> f64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// `features` of the reference script.
fn formula(seed: u64, n: usize, d: usize, decay: f64, scale: f64, shift: f64) -> Features {
    let mut values = Vec::with_capacity(n * d);
    for i in 0..n {
        let mut previous = 0.0;
        for j in 0..d {
            previous = unit((seed << 32) + (i * d + j) as u64) - 0.5 + decay * previous;
            values.push(scale * previous + shift);
        }
    }
    Features::from_rows("formula", d, &values).unwrap()
}

#[test]
fn distances_agree_with_scipy() {
    let text = include_str!("fixtures/frechet.json");
    let cases = serde_json::from_str::<Reference>(text).unwrap().cases;
    assert!(cases.iter().any(|c| c.d == 2048 && c.sqrtm.is_some()));
    for case in cases {
        let (x, y) = (formula(1, case.n, case.d, 0.9, 1.0, 0.0), formula(2, case.m, case.d, 0.7, 1.5, 0.05));
        close("sum of x", x.values().iter().sum(), case.x_sum, 1e-6);
        close("sum of y", y.values().iter().sum(), case.y_sum, 1e-6);
        let (a, b) = (Gaussian::of(&x), Gaussian::of(&y));
        let got = distance(&a, &b, Divisor::NMinusOne).unwrap();
        let expected = [
            (case.sqrtm, Form::Eigenvalues),
            (case.nuclear, Form::NuclearNorm),
            (case.small_side, Form::SmallSide),
        ];
        let (want, form) = expected.into_iter().find_map(|(v, f)| Some((v?, f))).unwrap();
        assert_eq!(got.form, form);
        let what = format!("d {}, {} and {} vectors", case.d, case.n, case.m);
        close(&what, got.value(), want, 1e-6 * want);
        close(&what, got.mean_term, case.mean_term, 1e-9 * want);
        if form == Form::SmallSide {
            let swapped = distance(&b, &a, Divisor::NMinusOne).unwrap();
            close("swapped", swapped.value(), want, 1e-6 * want);
            assert_eq!(swapped.traces, [got.traces[1], got.traces[0]]);
        }
    }
}

fn both(x: &Features, y: &Features) -> (Gaussian, Gaussian) {
    (Gaussian::of(x), Gaussian::of(y))
}

#[test]
fn numbers_of_the_specification() {
    let (x, y) = q_sets(12, 5);
    let (a, b) = both(&x, &y);
    let got = distance(&a, &b, Divisor::NMinusOne).unwrap();
    close("mean term", got.mean_term, 0.853209391556, 1e-12);
    close("12 x 5, N - 1", got.value(), 1.338865287712, 1e-12);
    close("12 x 5, N", distance(&a, &b, Divisor::N).unwrap().value(), 1.298393963032, 1e-12);
    close("diagonal", diagonal(&a, &b, Divisor::N).unwrap(), 1.263459543346, 1e-12);
    let (x, y) = q_sets(200, 16);
    let (a, b) = both(&x, &y);
    close("200 x 16, N - 1", distance(&a, &b, Divisor::NMinusOne).unwrap().value(), 2.919593530964, 1e-11);
    close("200 x 16, N", distance(&a, &b, Divisor::N).unwrap().value(), 2.912556228889, 1e-11);
    let (x, y) = q_sets(16, 64);
    let (a, b) = both(&x, &y);
    let nuclear = distance(&a, &b, Divisor::NMinusOne).unwrap();
    assert_eq!(nuclear.form, Form::NuclearNorm);
    close("16 x 64", nuclear.value(), 22.419890853549, 1e-11);
    let eigen = distance_by(Form::Eigenvalues, &a, &b, Divisor::NMinusOne).unwrap();
    close("16 x 64 by eigenvalues", eigen.value(), 22.4198905, 1e-6);
}

#[test]
fn golden_values() {
    let file = statistics();
    let (a, b) = both(&features(&file, "in.x"), &features(&file, "in.y"));
    let want = |name: &str| entry(&file, &format!("out.frechet.{name}")).1[0];
    for (form, name) in
        [(Form::Eigenvalues, "eigen"), (Form::NuclearNorm, "nuclear"), (Form::TfReference, "tf")]
    {
        let got = distance_by(form, &a, &b, Divisor::NMinusOne).unwrap();
        close(name, got.unclamped(), want(name), 1e-10);
        close("mean term", got.mean_term, want("mean_term"), 1e-12);
    }
    close("divisor N", distance(&a, &b, Divisor::N).unwrap().value(), want("divisor_n"), 1e-10);
    let (wide_a, wide_b) = both(&features(&file, "in.wide_x"), &features(&file, "in.wide_y"));
    close("wide", distance(&wide_a, &wide_b, Divisor::NMinusOne).unwrap().value(), want("wide"), 1e-9);

    let (mean, covariance) = a.mean_and_covariance(Divisor::NMinusOne).unwrap();
    for (got, name) in [(mean, "out.moments.mean"), (covariance, "out.moments.cov")] {
        let want = entry(&file, name).1;
        got.iter().zip(&want).for_each(|(g, w)| close(name, *g, *w, 1e-13));
    }
}

/// Logits of the real I3D for two sets of eight clips: how the forms differ on singular covariances.
#[test]
fn features_of_eight_clips_of_the_real_network() {
    let file = fixture("i3d_features.safetensors");
    let (a, b) = both(&features(&file, "in.x"), &features(&file, "in.y"));
    let got = distance(&a, &b, Divisor::NMinusOne).unwrap();
    assert_eq!(got.form, Form::NuclearNorm);
    // The features are those of another f32 run than the specification's.
    close("FVD", got.value(), 5091.1943, 0.01);
    close("mean term", got.mean_term, 3484.4897, 0.01);
    close("trace of the first", got.traces[0], 1866.5060, 0.005);
    close("trace of the second", got.traces[1], 201.4958, 0.001);
    close("divisor N", distance(&a, &b, Divisor::N).unwrap().value(), 4890.3562, 0.01);
    let tf = distance_by(Form::TfReference, &a, &b, Divisor::NMinusOne).unwrap().value();
    close("tfgan's form against the nuclear norm", tf, got.value(), 1e-5);
    let eigen = distance_by(Form::Eigenvalues, &a, &b, Divisor::NMinusOne).unwrap().value();
    close("eigenvalues against the nuclear norm", eigen, got.value(), 1e-3);

    let itself = distance(&a, &a, Divisor::NMinusOne).unwrap().unclamped();
    close("distance to itself", itself, 0.0, 1e-9);
    let tf = distance_by(Form::TfReference, &a, &a, Divisor::NMinusOne).unwrap().unclamped();
    close("distance to itself, tfgan's form", tf, 0.0, 1e-4);
}

#[test]
fn a_small_set_is_at_distance_zero_from_itself() {
    let x = formula(3, 40, 400, 0.9, 10.0, 5.0);
    let a = Gaussian::of(&x);
    close("40 x 400", distance(&a, &a, Divisor::NMinusOne).unwrap().unclamped(), 0.0, 1e-6);
    let x = formula(3, 400, 400, 0.9, 10.0, 5.0);
    let a = Gaussian::of(&x);
    assert_eq!(distance(&a, &a, Divisor::NMinusOne).unwrap().form, Form::NuclearNorm);
    close("400 x 400", distance(&a, &a, Divisor::NMinusOne).unwrap().unclamped(), 0.0, 1e-6);
}

#[test]
fn shifted_features_keep_their_covariance() {
    let (x, _) = q_sets(200, 16);
    let shifted: Vec<f64> = x.values().iter().map(|v| v + 1000.0).collect();
    let shifted = Features::from_rows("shifted", 16, &shifted).unwrap();
    let covariance = |f| Gaussian::of(f).mean_and_covariance(Divisor::NMinusOne).unwrap().1;
    for (a, b) in covariance(&x).iter().zip(&covariance(&shifted)) {
        close("covariance", *a, *b, 1e-12);
    }
}

#[test]
fn threads_change_nothing() {
    let (x, y) = (formula(1, 300, 150, 0.9, 1.0, 0.0), formula(2, 280, 150, 0.7, 1.5, 0.05));
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| distance(&Gaussian::of(&x), &Gaussian::of(&y), Divisor::NMinusOne).unwrap())
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn stored_statistics_come_back_exactly() {
    for n in [0, 3, 64, 200] {
        let (x, _) = q_sets(n, 16);
        let before = Gaussian::of(&x);
        let bytes = before.to_bytes().unwrap();
        assert_eq!(Gaussian::from_bytes(&bytes).unwrap(), before, "{n} vectors");
        assert!(Gaussian::from_bytes(&bytes[..bytes.len() - 1]).is_err());
    }
    let other = safetensors::serialize::<&str, safetensors::tensor::TensorView<'_>, _>([], None).unwrap();
    let error = Gaussian::from_bytes(&other).unwrap_err().to_string();
    assert!(error.contains("expected \"vg-metrics gaussian\" version \"1\""), "{error}");
}

/// A file of statistics as `to_bytes` writes it, with other content.
fn stored(dim: usize, count: usize, parts: [(&str, Dtype, Vec<usize>, Vec<u8>); 3]) -> Vec<u8> {
    let views = parts
        .iter()
        .map(|(name, dtype, shape, data)| (*name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    let meta = [
        ("format", "vg-metrics gaussian".to_owned()),
        ("version", "1".to_owned()),
        ("what", "x".to_owned()),
        ("dim", dim.to_string()),
        ("count", count.to_string()),
    ];
    let meta = meta.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    safetensors::serialize(views, Some(meta)).unwrap()
}

fn numbers(name: &'static str, values: &[f64]) -> (&'static str, Dtype, Vec<usize>, Vec<u8>) {
    (name, Dtype::F64, vec![values.len()], values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

#[test]
fn damaged_statistics_are_named_and_do_not_panic() {
    let empty = || [numbers("mean", &[]), numbers("scatter", &[]), numbers("pending", &[])];
    let with = |part: usize, values: &[f64]| {
        let mut parts = empty();
        parts[part] = numbers(parts[part].0, values);
        parts
    };
    let full =
        |pending: &[f64]| [numbers("mean", &[1.0]), numbers("scatter", &[2.0]), numbers("pending", pending)];
    let narrow = || {
        let mut parts = full(&[]);
        parts[0] = ("mean", Dtype::F32, vec![2], vec![0; 8]);
        parts
    };
    assert_eq!(Gaussian::from_bytes(&stored(1, 5, full(&[1.0]))).unwrap().count(), 6);
    let cases = [
        // A block of one number is 64 vectors.
        ("a whole block", stored(1, 0, with(2, &[0.0; 64]))),
        ("more than a block", stored(1, 0, with(2, &[0.0; 65]))),
        ("a dimension whose square overflows", stored(1 << 32, 1, full(&[]))),
        ("the largest dimension", stored(usize::MAX, 1, full(&[]))),
        ("no dimension", stored(0, 0, empty())),
        ("a count that overflows", stored(1, usize::MAX, full(&[1.0]))),
        ("another element type", stored(1, 5, narrow())),
        ("not a number", stored(1, 5, full(&[f64::NAN]))),
        ("infinity", stored(1, 5, full(&[f64::INFINITY]))),
        ("no vectors and a mean", stored(1, 0, with(0, &[1.0]))),
        ("half a vector", stored(2, 0, with(2, &[1.0]))),
    ];
    for (what, bytes) in cases {
        let error = Gaussian::from_bytes(&bytes).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{what}: {error}");
        assert!(error.to_string().starts_with("stored feature statistics: "), "{what}: {error}");
    }
    // An empty set of any dimension has nothing that could be pushed in practice, but may be asked.
    let mut wide = Gaussian::from_bytes(&stored(usize::MAX, 0, empty())).unwrap();
    wide.push::<f64>(&[]).unwrap();
    assert_eq!(wide.count(), 0);
}

#[test]
fn counts_do_not_overflow() {
    let huge = Gaussian::from_moments("huge", usize::MAX, &[0.0], &[1.0], Divisor::N);
    assert!(matches!(huge, Err(Error::Setting { .. })), "{huge:?}");
    let mut most = Gaussian::from_moments("most", 1 << 53, &[0.0], &[1.0], Divisor::N).unwrap();
    for _ in 0..12 {
        most.merge(&most.clone()).unwrap();
    }
    assert!(most.count() >= 1 << 53);
}

#[test]
fn a_distance_that_is_not_finite_is_an_error() {
    let set = |rows: &[f64]| Gaussian::of(&Features::from_rows("x", 1, rows).unwrap());
    let (a, b) = (set(&[0.0, 1e160]), set(&[0.0, 3e160]));
    for form in [Form::Eigenvalues, Form::TfReference, Form::SmallSide] {
        // The forms from the features take no more vectors than dimensions.
        let result = distance_by(form, &a, &b, Divisor::NMinusOne);
        assert!(result.is_err(), "{form:?}: {result:?}");
    }
    let error = distance(&a, &b, Divisor::NMinusOne).unwrap_err();
    assert!(matches!(error, Error::NotFinite { .. }), "{error}");
    assert!(error.to_string().contains("is not finite") && error.hint().is_some(), "{error}");
    assert!(diagonal(&a, &b, Divisor::NMinusOne).is_err());
    let wide = |rows: &[f64]| Gaussian::of(&Features::from_rows("x", 3, rows).unwrap());
    let (a, b) = (wide(&[0.0, 0.0, 0.0, 1e160, 0.0, 0.0]), wide(&[0.0, 0.0, 0.0, 3e160, 0.0, 1.0]));
    assert!(matches!(distance(&a, &b, Divisor::N), Err(Error::NotFinite { .. })));
    // Finite traces whose product is not.
    let square = |v: f64| Gaussian::from_moments("x", 9, &[0.0], &[v], Divisor::N).unwrap();
    assert!(distance(&square(1e200), &square(1e200), Divisor::N).is_err());
    let broken = Frechet { mean_term: f64::NAN, traces: [0.0; 2], root_trace: 0.0, form: Form::Eigenvalues };
    assert!(broken.value().is_nan(), "never a perfect score");
    let rows = Features::from_rows("x", 1, &[0.0, 1e160, 2e160]).unwrap();
    let kernel = vg_metrics::kernel::discrepancy(&rows, &rows, vg_metrics::kernel::Estimator::Unbiased);
    assert!(matches!(kernel, Err(Error::NotFinite { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn batches_and_merges_do_not_matter(n in 2..150usize, d in 1..20usize, cut in 0..150usize, seed in 0..100u64) {
        let x = formula(seed, n, d, 0.5, 2.0, 7.0);
        let whole = Gaussian::of(&x);
        let cut = cut.min(n) * d;
        let mut parts = Gaussian::new("formula", d).unwrap();
        for part in [&x.values()[..cut], &x.values()[cut..]] {
            parts.push(part).unwrap();
        }
        prop_assert_eq!(&parts, &whole);

        let part = |values: &[f64]| Gaussian::of(&Features::from_rows("formula", d, values).unwrap());
        let mut merged = part(&x.values()[..cut]);
        merged.merge(&part(&x.values()[cut..])).unwrap();
        prop_assert_eq!(merged.count(), n);
        let (m1, c1) = merged.mean_and_covariance(Divisor::N).unwrap();
        let (m2, c2) = whole.mean_and_covariance(Divisor::N).unwrap();
        for (a, b) in m1.iter().chain(&c1).zip(m2.iter().chain(&c2)) {
            prop_assert!((a - b).abs() < 1e-11, "{} {}", a, b);
        }
    }

    #[test]
    fn distance_is_symmetric_and_blind_to_order(n in 2..80usize, m in 2..80usize, d in 1..16usize, seed in 0..100u64) {
        let (x, y) = (formula(seed, n, d, 0.9, 1.0, 0.0), formula(seed + 1, m, d, 0.5, 2.0, 0.3));
        let (a, b) = both(&x, &y);
        let one = distance(&a, &b, Divisor::NMinusOne).unwrap();
        let other = distance(&b, &a, Divisor::NMinusOne).unwrap();
        prop_assert!((one.value() - other.value()).abs() < 1e-6, "{:?} {:?}", one, other);
        let backwards: Vec<usize> = (0..n).rev().collect();
        let reordered = distance(&Gaussian::of(&x.select(&backwards)), &b, Divisor::NMinusOne).unwrap();
        prop_assert!((one.value() - reordered.value()).abs() < 1e-6);
        prop_assert!(distance(&a, &a, Divisor::NMinusOne).unwrap().unclamped().abs() < 1e-6);
    }
}
