//! The sliced Wasserstein distance against golden values and the specification's numbers.

mod common;

use common::{close, entry, q, statistics};
use vg_core::testing::Fixture;
use vg_metrics::sliced_wasserstein::{
    PatchSet, SlicedWasserstein, laplacian_pyramid, pyramid_down, pyramid_up,
};
use vg_metrics::{Error, Image};

/// Two images 3 x 32 x 32 by a formula of (b, c, y, x).
fn formula(f: impl Fn(usize, usize, usize, usize) -> usize) -> Vec<Image> {
    let value = |b: usize, i: usize| (f(b, i / 1024, i / 32 % 32, i % 32) % 256) as f64;
    (0..2).map(|b| Image::new([3, 32, 32], (0..3072).map(|i| value(b, i)).collect()).unwrap()).collect()
}

fn sets() -> (Vec<Image>, Vec<Image>) {
    let a = formula(|b, c, y, x| 7 * x + 3 * y + 50 * c + 90 * b + x * y / 4);
    let b = formula(|b, c, y, x| 5 * x + 9 * y + 20 * c + 60 * b + x * x / 8);
    (a, b)
}

fn sum(images: &[Image], f: impl Fn(f64) -> f64) -> f64 {
    images.iter().flat_map(Image::values).map(|v| f(*v)).sum()
}

#[test]
fn pyramid_of_the_specification() {
    let (a, _) = sets();
    let down: Vec<Image> = a.iter().map(|i| pyramid_down(i).unwrap()).collect();
    assert_eq!(&down[0].values()[..4], &[7.515625, 16.375, 30.8125, 45.125]);
    assert_eq!(sum(&down, |v| v), 198003.9609375);
    let up: Vec<Image> = down.iter().map(|i| pyramid_up(i).unwrap()).collect();
    assert_eq!(&up[0].values()[..4], &[10.7236328125, 12.966796875, 18.15576171875, 24.75]);
    let detail: Vec<Image> = a.iter().map(|i| laplacian_pyramid(i).unwrap().swap_remove(0)).collect();
    close("total", sum(&detail, |v| v), -268.39794921875, 1e-9);
    close("mean size", sum(&detail, f64::abs) / 6144.0, 15.727936863899, 1e-11);
}

#[test]
fn distance_of_the_specification() {
    let (a, b) = sets();
    let centres = [(3, 3), (3, 12), (12, 3), (12, 12), (5, 9)];
    let patches = |images: &[Image]| {
        let mut set = PatchSet::new(3);
        images.iter().for_each(|i| set.push(&pyramid_down(i).unwrap(), &centres).unwrap());
        set
    };
    let (a, b) = (patches(&a), patches(&b));
    let first = a.descriptor(0);
    for (got, want) in first.iter().zip([-1.934393572557, -1.792933964141, -1.562407194872]) {
        close("descriptor", *got, want, 1e-11);
    }
    // The directions are columns in the specification, rows here.
    let directions: Vec<f64> = (0..8).flat_map(|j| (0..147).map(move |i| q(8 * i + j, 3))).collect();
    close("eight directions", 1000.0 * a.distance_along(&b, &directions).unwrap(), 454.354805643807, 1e-9);
    let mut first = vec![0.0; 147];
    first[0] = 5.0;
    close("first direction", 1000.0 * a.distance_along(&b, &first).unwrap(), 284.350887409077, 1e-9);
}

fn golden_images(file: &Fixture, name: &str) -> Vec<Image> {
    let (shape, values) = entry(file, name);
    let size = [shape[1], shape[2], shape[3]];
    values.chunks_exact(size.iter().product()).map(|v| Image::new(size, v.to_vec()).unwrap()).collect()
}

#[test]
fn golden_values() {
    let file = statistics();
    let pyramids = |name: &str| -> Vec<Vec<Image>> {
        golden_images(&file, name).iter().map(|i| laplacian_pyramid(i).unwrap()).collect()
    };
    let (a, b) = (pyramids("in.swd_a"), pyramids("in.swd_b"));
    let (shape, centres) = entry(&file, "in.swd_centres");
    let (_, directions) = entry(&file, "in.swd_directions");
    let (repeats, n) = (2, directions.len() / 2 / 147);
    for level in 0..2 {
        let want = golden_images(&file, &format!("out.swd.pyramid.{level}"));
        for (got, want) in a.iter().zip(&want) {
            let pairs = got[level].values().iter().zip(want.values());
            pairs.for_each(|(g, w)| close("pyramid", *g, *w, 1e-5));
        }
        let patches = |pyramids: &[Vec<Image>]| {
            let mut set = PatchSet::new(3);
            for (i, levels) in pyramids.iter().enumerate() {
                let at = 2 * shape[2] * (level * shape[1] + i);
                let centres: Vec<_> = centres[at..at + 2 * shape[2]]
                    .chunks_exact(2)
                    .map(|c| (c[0] as usize, c[1] as usize))
                    .collect();
                set.push(&levels[level], &centres).unwrap();
            }
            set
        };
        let (a, b) = (patches(&a), patches(&b));
        let want = &entry(&file, "out.swd.descriptors").1[level * 147..][..147];
        a.descriptor(0).iter().zip(want).for_each(|(g, w)| close("descriptor", *g, *w, 1e-6));
        let mean = (0..repeats)
            .map(|r| {
                let rows: Vec<f64> = (0..n)
                    .flat_map(|j| (0..147).map(move |i| (i, j)))
                    .map(|(i, j)| directions[(r * 147 + i) * n + j])
                    .collect();
                a.distance_along(&b, &rows).unwrap()
            })
            .sum::<f64>()
            / repeats as f64;
        close("distance", 1000.0 * mean, entry(&file, "out.swd.levels").1[level], 1e-4);
    }
}

#[test]
fn whole_plan() {
    let (a, b) = sets();
    let plan = SlicedWasserstein { patches: 16, repeats: 2, directions: 24, seed: 5 };
    let set = |plan: &SlicedWasserstein, images: &[Image]| {
        let mut set = plan.images("fake", [3, 32, 32]).unwrap();
        images.iter().for_each(|i| set.push(i).unwrap());
        set
    };
    let run = |threads: usize, plan: &SlicedWasserstein| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| plan.distance(&set(plan, &a), &set(plan, &b)).unwrap())
    };
    let got = run(1, &plan);
    assert_eq!(got, run(3, &plan));
    assert_ne!(got, run(1, &SlicedWasserstein { seed: 6, ..plan }));
    assert_eq!(got.levels.len(), 2);
    assert!(got.mean() > 10.0);
    let itself = plan.distance(&set(&plan, &a), &set(&plan, &a)).unwrap();
    assert_eq!(itself.levels, [0.0, 0.0]);
    let backwards = plan.distance(&set(&plan, &b), &set(&plan, &a)).unwrap();
    close("symmetry", backwards.mean(), got.mean(), 1e-9);
}

#[test]
fn mistakes_are_named() {
    let plan = SlicedWasserstein::progan(0);
    let error = plan.images("fake", [3, 24, 24]).unwrap_err().to_string();
    assert!(error.contains("16 times a power of two") && error.contains("[3, 24, 24]"), "{error}");
    assert!(plan.images("fake", [3, 64, 98]).is_err());
    assert_eq!(plan.images("fake", [3, 64, 128]).unwrap().len(), 0);
    let (a, _) = sets();
    let mut one = plan.images("real", [3, 32, 32]).unwrap();
    one.push(&a[0]).unwrap();
    let none = plan.images("fake", [3, 32, 32]).unwrap();
    assert!(matches!(plan.distance(&one, &none), Err(Error::Shape { .. })));
    assert!(matches!(plan.distance(&none, &none), Err(Error::TooFew { .. })));
    assert!(matches!(SlicedWasserstein::progan(1).distance(&one, &one), Err(Error::Setting { .. })));
    let mut patches = PatchSet::new(3);
    assert!(matches!(patches.push(&a[0], &[(2, 10)]), Err(Error::Setting { .. })));
    // A constant image has no spread; it is no error.
    let flat = Image::new([3, 16, 16], vec![7.0; 768]).unwrap();
    let mut set = plan.images("flat", [3, 16, 16]).unwrap();
    set.push(&flat).unwrap();
    assert_eq!(plan.distance(&set, &set).unwrap().mean(), 0.0);
}
