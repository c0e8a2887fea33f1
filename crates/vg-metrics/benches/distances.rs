//! Fréchet distance, its accumulator and the kernel distance at the sizes of FVD and FID.

use criterion::{Criterion, criterion_group, criterion_main};
use vg_core::rng::Rng;
use vg_metrics::kernel::{Estimator, discrepancy};
use vg_metrics::{Divisor, Features, Gaussian, frechet};

fn features(name: &str, n: usize, d: usize) -> Features {
    let mut stream = Rng::new(0).stream(name);
    let values: Vec<f64> = (0..n * d).map(|_| stream.normal()).collect();
    Features::from_rows(name, d, &values).expect("finite numbers")
}

fn distances(c: &mut Criterion) {
    let mut group = c.benchmark_group("metrics");
    group.sample_size(10);
    for (d, n) in [(400, 2048), (2048, 4096)] {
        let (x, y) = (features("x", n, d), features("y", n, d));
        group.bench_function(format!("moments {n} x {d}"), |b| {
            b.iter(|| Gaussian::of(&x).mean().expect("vectors"))
        });
        let (a, b) = (Gaussian::of(&x), Gaussian::of(&y));
        group.bench_function(format!("frechet d = {d}"), |bench| {
            bench.iter(|| frechet::distance(&a, &b, Divisor::NMinusOne).expect("finite").value())
        });
    }
    let (x, y) = (features("x", 2048, 400), features("y", 2048, 400));
    group.bench_function("kvd 2048 x 400", |b| {
        b.iter(|| discrepancy(&x, &y, Estimator::Unbiased).expect("finite"))
    });
    let (x, y) = (features("x", 1000, 2048), features("y", 1000, 2048));
    group.bench_function("kid subset 1000 x 2048", |b| {
        b.iter(|| discrepancy(&x, &y, Estimator::Unbiased).expect("finite"))
    });
    group.finish();
}

criterion_group!(benches, distances);
criterion_main!(benches);
