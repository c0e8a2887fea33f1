//! PSNR, SSIM and MS-SSIM against golden values and the specification's numbers.

mod common;

use common::{close, entry, statistics};
use proptest::prelude::*;
use vg_core::testing::Fixture;
use vg_metrics::similarity::{FiniteMean, Psnr, Ssim, ms_ssim};
use vg_metrics::{Error, Frames, Image};

/// The four images of the specification, 32 x 32.
fn specified() -> [Image; 4] {
    let image = |f: &dyn Fn(usize, usize) -> f64| {
        let values = (0..32 * 32).map(|i| f(i % 32, i / 32)).collect();
        Image::new([1, 32, 32], values).unwrap()
    };
    let base = |x: usize, y: usize| 3 * x + 5 * y + x * y / 8;
    let one = |x: usize, y: usize| (base(x, y) % 64) as f64 / 63.0;
    let wave =
        |x: usize, y: usize| (0.1 * (0.7 * x as f64 + 0.3 * y as f64).sin() + one(x, y)).clamp(0.0, 1.0);
    [
        image(&one),
        image(&|x, y| ((base(x, y) + (7 * x + 13 * y) % 5) % 64) as f64 / 63.0),
        image(&|x, y| 0.8 * one(x, y) + 0.1),
        image(&wave),
    ]
}

#[test]
fn numbers_of_the_specification() {
    let [i1, i2, i3, i4] = specified();
    close("sum of I1", i1.values().iter().sum(), 508.952380952, 1e-8);
    close("sum of I4", i4.values().iter().sum(), 508.956510004, 1e-8);
    let rows = [
        (&i2, 0.829290799637, 0.733328385088, 0.825533735364, 0.828270351429, 15.213522353172),
        (&i3, 0.974785016343, 0.974899654385, 0.975600619673, 0.976070008921, 24.703222240397),
        (&i4, 0.969436310457, 0.956320428867, 0.972491664349, 0.972942464033, 23.294627151270),
    ];
    for (other, finn, first, skimage, svg, psnr) in rows {
        close("ssim-finn", Ssim::FINN.value(&i1, other).unwrap(), finn, 1e-11);
        close("first position", Ssim::FINN.maps(&i1, other).unwrap()[0].ssim[0], first, 1e-11);
        close("ssim-skimage", Ssim::SKIMAGE.value(&i1, other).unwrap(), skimage, 1e-11);
        close("ssim-svg", Ssim::SVG.value(&i1, other).unwrap(), svg, 1e-11);
        for variant in [Psnr::Frame, Psnr::Channel] {
            close("psnr", variant.value(&i1, other, 1.0).unwrap(), psnr, 1e-10);
        }
    }
    let decibels = rows.map(|row| row.5);
    close("mean of decibels", FiniteMean::of(decibels).mean.unwrap(), 21.07, 0.005);
}

/// Two images of three channels each.
fn images(file: &Fixture, name: &str) -> Vec<Image> {
    let (shape, values) = entry(file, name);
    let size = [shape[1], shape[2], shape[3]];
    values.chunks_exact(size.iter().product()).map(|v| Image::new(size, v.to_vec()).unwrap()).collect()
}

#[test]
fn golden_values() {
    let file = statistics();
    let (a, b) = (images(&file, "in.image_a"), images(&file, "in.image_b"));
    let want = |name: &str| entry(&file, &format!("out.{name}")).1;
    for (i, (a, b)) in a.iter().zip(&b).enumerate() {
        let check = |what: &str, got: &[f64], tolerance| {
            let want = want(what);
            let part = &want[i * got.len()..][..got.len()];
            got.iter().zip(part).for_each(|(g, w)| close(what, *g, *w, tolerance));
        };
        check("psnr.channel", &Psnr::channels(a, b, 1.0).unwrap(), 1e-10);
        check("psnr.channel_range2", &Psnr::channels(a, b, 2.0).unwrap(), 1e-10);
        check("psnr.frame", &[Psnr::Frame.value(a, b, 1.0).unwrap()], 1e-10);
        let channels = Psnr::channels(a, b, 1.0).unwrap();
        close("psnr-svg", Psnr::Channel.value(a, b, 1.0).unwrap(), channels.iter().sum::<f64>() / 3.0, 1e-12);
        check("ssim.gaussian", &Ssim::FINN.channels(a, b).unwrap(), 1e-11);
        check("ssim.uniform", &Ssim::SKIMAGE.channels(a, b).unwrap(), 1e-11);
        check("ssim.uniform_range2", &Ssim::SVG.channels(a, b).unwrap(), 1e-11);
        let scaled =
            |x: &Image| Image::new(x.dims(), x.values().iter().map(|v| v * 255.0).collect()).unwrap();
        check("ms_ssim", &[ms_ssim(&scaled(a), &scaled(b)).unwrap()], 1e-11);
    }
}

#[test]
fn equal_images_are_infinitely_near_and_counted_apart() {
    let [i1, i2, ..] = specified();
    let psnr = |x| Psnr::Frame.value(&i1, x, 1.0).unwrap();
    assert_eq!(psnr(&i1), f64::INFINITY);
    let mean = FiniteMean::of([psnr(&i1), psnr(&i2), psnr(&i1)]);
    assert_eq!((mean.finite, mean.infinite), (1, 2));
    close("mean of the finite", mean.mean.unwrap(), 15.213522353172, 1e-10);
    assert_eq!(FiniteMean::of([f64::INFINITY]).mean, None);
}

#[test]
fn clips_are_compared_frame_by_frame() {
    let pixels: Vec<u8> = (0..2 * 12 * 16 * 3).map(|i| (i * 7 % 256) as u8).collect();
    let other: Vec<u8> = pixels.iter().enumerate().map(|(i, v)| if i < 576 { *v } else { v / 2 }).collect();
    let a = Frames::new("test 4", &pixels, [2, 12, 16, 3]).unwrap();
    let b = Frames::new("future 9", &other, [2, 12, 16, 3]).unwrap();
    let psnr = Psnr::Frame.of_clips(&a, &b).unwrap();
    assert_eq!(psnr[0], f64::INFINITY);
    close("psnr", psnr[1], Psnr::Frame.value(&a.image(1, 255.0), &b.image(1, 255.0), 255.0).unwrap(), 1e-10);
    let ssim = Ssim::FINN.of_clips(&a, &b).unwrap();
    assert!((ssim[0] - 1.0).abs() < 1e-12 && ssim[1] < 0.9, "{ssim:?}");
    let short = Frames::new("future 9", &other[..576], [1, 12, 16, 3]).unwrap();
    let error = Psnr::Frame.of_clips(&a, &short).unwrap_err().to_string();
    let want = "clip future 9: expected 2 x 12 x 16 x 3 [T, H, W, C] as clip test 4, got [1, 12, 16, 3]";
    assert_eq!(error, want);
}

#[test]
fn sizes_that_do_not_fit_are_named() {
    let plain = |h, w| Image::new([1, h, w], vec![0.5; h * w]).unwrap();
    assert!(matches!(Psnr::Frame.value(&plain(4, 4), &plain(4, 5), 1.0), Err(Error::Shape { .. })));
    let error = ms_ssim(&plain(24, 32), &plain(24, 32)).unwrap_err().to_string();
    assert_eq!(error, "image for MS-SSIM: expected sides divisible by 16, got [1, 24, 32]");
    let error = Image::new([1, 1, 2], vec![0.0, f64::NAN]).unwrap_err().to_string();
    assert_eq!(error, "image, channel 0: value 1 is NaN; expected a finite number");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn similarities_are_symmetric_and_best_for_equal_images(
        values in prop::collection::vec(0.0..1.0f64, 2 * 16 * 16),
    ) {
        let image = |v: &[f64]| Image::new([1, 16, 16], v.to_vec()).unwrap();
        let (a, b) = (image(&values[..256]), image(&values[256..]));
        for ssim in [Ssim::FINN, Ssim::SVG, Ssim::SKIMAGE] {
            let (one, other) = (ssim.value(&a, &b).unwrap(), ssim.value(&b, &a).unwrap());
            prop_assert!((one - other).abs() < 1e-12 && one.abs() <= 1.0);
            prop_assert!((ssim.value(&a, &a).unwrap() - 1.0).abs() < 1e-12);
        }
        prop_assert!((Psnr::Frame.value(&a, &b, 1.0).unwrap() - Psnr::Frame.value(&b, &a, 1.0).unwrap()).abs() < 1e-10);
    }
}
