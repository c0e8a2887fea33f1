//! Precision, recall and average content distance against golden values and the specification's numbers.

mod common;

use common::{close, entry, features, q, statistics};
use proptest::prelude::*;
use vg_metrics::Features;
use vg_metrics::acd::average_content_distance;
use vg_metrics::precision_recall::{precision_recall, radii};

fn specified() -> (Features, Features) {
    let of = |k, scale: f64, shift: f64| (0..40).map(|i| scale * q(i, k) + shift).collect::<Vec<_>>();
    let set = |what, values: Vec<f64>| Features::from_rows(what, 2, &values).unwrap();
    (set("real", of(5, 1.0, 0.0)), set("fake", of(6, 0.6, 0.5)))
}

#[test]
fn numbers_of_the_specification() {
    let (real, fake) = specified();
    for (k, precision, recall) in [(1, 0.20, 0.25), (2, 0.60, 0.40), (3, 0.85, 0.60)] {
        let got = precision_recall(&real, &fake, k).unwrap();
        assert_eq!((got.precision, got.recall), (precision, recall), "k = {k}");
    }
    close("first radius of the real", radii(&real, 3).unwrap()[0], 0.358556505588, 1e-12);
    close("first radius of the fake", radii(&fake, 3).unwrap()[0], 0.215133903353, 1e-12);
}

#[test]
fn golden_values() {
    let file = statistics();
    let (real, fake) = (features(&file, "in.manifold_real"), features(&file, "in.manifold_fake"));
    for (i, k) in [1, 3, 5].into_iter().enumerate() {
        let got = precision_recall(&real, &fake, k).unwrap();
        close("precision", got.precision, entry(&file, "out.precision").1[i], 1e-12);
        close("recall", got.recall, entry(&file, "out.recall").1[i], 1e-12);
    }
    let (shape, values) = entry(&file, "in.acd");
    for (clip, want) in values.chunks_exact(shape[1] * shape[2]).zip(entry(&file, "out.acd").1) {
        let frames = Features::from_rows("clip", shape[2], clip).unwrap();
        close("acd", average_content_distance(&frames).unwrap(), want, 1e-12);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// More vectors than a block of the distance matrix, against the definition; the order of a set does not matter.
    #[test]
    fn blocks_and_order_do_not_matter(n in 4..400usize, m in 4..60usize, k in 1..4usize) {
        let set = |n: usize, k| {
            let values: Vec<f64> = (0..3 * n).map(|i| q(i, k)).collect();
            Features::from_rows("x", 3, &values).unwrap()
        };
        let (real, fake) = (set(n, 1), set(m, 4));
        let square = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(u, v)| (u - v) * (u - v)).sum::<f64>();
        let share_inside = |from: &Features, of: &Features| {
            let radius = |v: &[f64]| {
                let mut all: Vec<f64> = of.rows().map(|u| square(u, v)).collect();
                all.sort_by(f64::total_cmp);
                all[k]
            };
            // A hair wider: distances on the very edge round either way.
            let balls: Vec<(&[f64], f64)> = of.rows().map(|v| (v, radius(v) + 1e-12)).collect();
            let hits = from.rows().filter(|u| balls.iter().any(|(v, r)| square(u, v) <= *r)).count();
            hits as f64 / from.len() as f64
        };
        let got = precision_recall(&real, &fake, k).unwrap();
        prop_assert!((got.precision - share_inside(&fake, &real)).abs() < 1e-12);
        prop_assert!((got.recall - share_inside(&real, &fake)).abs() < 1e-12);
        let swapped = precision_recall(&fake, &real, k).unwrap();
        prop_assert_eq!((swapped.precision, swapped.recall), (got.recall, got.precision));
        let backwards: Vec<usize> = (0..n).rev().collect();
        prop_assert_eq!(precision_recall(&real.select(&backwards), &fake, k).unwrap(), got);
    }
}
