//! KID and KVD against golden values and the specification's numbers.

mod common;

use common::{close, entry, features, q_sets, statistics};
use proptest::prelude::*;
use vg_metrics::Features;
use vg_metrics::kernel::{Estimator, discrepancy, over_subsets};

#[test]
fn numbers_of_the_specification() {
    let (x, y) = q_sets(12, 5);
    for (estimator, want) in [
        (Estimator::Unbiased, 0.420864765889),
        (Estimator::Biased, 0.560715450517),
        (Estimator::UStatistic, 0.475339552516),
    ] {
        close(&format!("{estimator:?}"), discrepancy(&x, &y, estimator).unwrap(), want, 1e-12);
    }
    let halves = [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]];
    let of = |rows: &[usize]| discrepancy(&x.select(rows), &y.select(rows), Estimator::Unbiased).unwrap();
    close("two blocks", halves.iter().map(|rows| of(rows)).sum::<f64>() / 2.0, 0.357615107360, 1e-12);
    close("itself", discrepancy(&x, &x, Estimator::Unbiased).unwrap(), -0.226984283876, 1e-12);
}

#[test]
fn golden_values() {
    let file = statistics();
    let (x, y) = (features(&file, "in.x"), features(&file, "in.y"));
    let want = |name: &str| entry(&file, &format!("out.kid.{name}")).1;
    close("unbiased", discrepancy(&x, &y, Estimator::Unbiased).unwrap(), want("unbiased")[0], 1e-9);
    close("biased", discrepancy(&x, &y, Estimator::Biased).unwrap(), want("biased")[0], 1e-9);
    let first: Vec<usize> = (0..x.len()).collect();
    let u = discrepancy(&x, &y.select(&first), Estimator::UStatistic).unwrap();
    close("u-statistic", u, want("u_statistic")[0], 1e-9);

    let (shape, rows) = entry(&file, "in.subsets");
    let rows: Vec<usize> = rows.iter().map(|v| *v as usize).collect();
    let size = shape[2];
    for (pair, want) in rows.chunks_exact(2 * size).zip(want("subsets")) {
        let (i, j) = pair.split_at(size);
        close("subset", discrepancy(&x.select(i), &y.select(j), Estimator::Unbiased).unwrap(), want, 1e-9);
    }
}

#[test]
fn subsets_depend_on_the_seed_alone() {
    let (x, y) = q_sets(60, 5);
    let on = |threads, seed| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| over_subsets(&x, &y, 10, 20, seed).unwrap())
    };
    assert_eq!(on(1, 7), on(3, 7));
    assert_ne!(on(1, 7), on(1, 8));
    let whole = discrepancy(&x, &y, Estimator::Unbiased).unwrap();
    let values = over_subsets(&x, &y, 200, 20, 0).unwrap();
    // Every subset's value is an unbiased estimate of the same population.
    close("mean over subsets", values.mean(), whole, 4.0 * values.std() / 200f64.sqrt());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// More vectors than a block of the kernel matrix, against sums in the plainest form.
    #[test]
    fn blocks_do_not_matter(m in 2..1300usize, n in 2..60usize) {
        let (x, y) = (q_sets(m, 3).0, q_sets(n, 3).1);
        let k = |a: &[f64], b: &[f64]| (a.iter().zip(b).map(|(u, v)| u * v).sum::<f64>() / 3.0 + 1.0).powi(3);
        let sum = |a: &Features, b: &Features, off: bool| -> f64 {
            let pairs = a.rows().enumerate().flat_map(|(i, u)| b.rows().enumerate().map(move |(j, v)| (i, j, u, v)));
            pairs.filter(|(i, j, ..)| !off || i != j).map(|(_, _, u, v)| k(u, v)).sum()
        };
        let (p, r) = (m as f64, n as f64);
        let want = sum(&x, &x, true) / (p * (p - 1.0)) + sum(&y, &y, true) / (r * (r - 1.0))
            - 2.0 * sum(&x, &y, false) / (p * r);
        let got = discrepancy(&x, &y, Estimator::Unbiased).unwrap();
        prop_assert!((got - want).abs() < 1e-9, "{} {}", got, want);
        prop_assert!((discrepancy(&y, &x, Estimator::Unbiased).unwrap() - got).abs() < 1e-9);
        let backwards = x.select(&(0..m).rev().collect::<Vec<_>>());
        prop_assert!((discrepancy(&backwards, &y, Estimator::Unbiased).unwrap() - got).abs() < 1e-9);
    }
}
