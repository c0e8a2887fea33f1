//! Dense Inverse Search on frames whose motion is known.

mod scene;

use scene::{about_centre, clouds, pair, shift, waves, zoom_and_block};
use vg_flow::{Dis, Flow, Gray};

/// Mean end-point error of a search, without a rim.
fn error(dis: &Dis, scene: fn(f64, f64) -> f32, motion: &Flow, rim: usize) -> f64 {
    let (previous, current) = pair(scene, motion);
    let gray = |frame: &'_ Vec<f32>| Gray::new(motion.height, motion.width, frame).unwrap().into_owned();
    dis.flow(&gray(&current), &gray(&previous)).unwrap().end_point_error(motion, rim).unwrap()
}

#[test]
fn the_texture_is_the_reference_s() {
    let row = |y: i32| -> Vec<f32> { (0..6).map(|x| waves(f64::from(y), f64::from(x))).collect() };
    assert_eq!(row(0), [189.0, 194.0, 196.0, 195.0, 193.0, 191.0]);
    assert_eq!(row(1), [195.0, 199.0, 200.0, 199.0, 197.0, 194.0]);
}

/// Bounds: OpenCV 5.0's errors on the same frames, finest scale 1 and 0.
#[test]
fn shifts_of_the_texture() {
    let motions = [
        (128, 192, [0.0, 0.0], [0.0, 0.0]),
        (128, 192, [2.0, -1.0], [0.0180, 0.0000]),
        (128, 192, [1.5, -0.75], [0.0252, 0.0155]),
        (128, 192, [5.0, 3.0], [0.0259, 0.0001]),
        (64, 96, [2.0, -1.0], [0.0183, 0.0001]),
        (64, 96, [5.0, 3.0], [0.0350, 0.0004]),
    ];
    for (height, width, [u, v], bounds) in motions {
        for (finest, bound) in [1, 0].into_iter().zip(bounds) {
            let dis = Dis::medium().finest_scale(finest);
            let got = error(&dis, waves, &shift(height, width, u, v), 12);
            // Half of the last digit that was printed.
            assert!(got < bound + 5e-5, "{height} x {width} by ({u}, {v}), finest {finest}: {got}");
        }
    }
}

/// Bounds: OpenCV 5.0's errors on the same frames, measured by `bench/opencv/dense_flow.py`. A rim is left out, because points that a motion
/// takes out of the frame cannot be found.
#[test]
fn errors_are_at_most_those_of_opencv() {
    let (height, width) = (256, 512);
    let motions = [
        ("shift", shift(height, width, 3.0, -2.0), [0.0525, 0.0179, 0.0008]),
        ("zoom", about_centre(height, width, 0.03, 0.0), [0.1101, 0.0477, 0.0330]),
        ("zoom and block", zoom_and_block(height, width), [0.2919, 0.1719, 0.0917]),
        ("long shift", shift(height, width, 25.0, 0.0), [0.0757, 0.0419, 0.0102]),
        ("turn", about_centre(height, width, 0.0, 0.03), [0.1164, 0.0571, 0.0373]),
    ];
    let searches = [Dis::fast(), Dis::medium(), Dis::medium().finest_scale(0)];
    let mut worse = Vec::new();
    for (name, motion, bounds) in &motions {
        for (search, bound) in searches.iter().zip(bounds) {
            let got = error(search, clouds, motion, 25);
            // Half of the last digit that was printed.
            if got > bound + 5e-5 {
                worse.push(format!("{name}: {got} > {bound} by {search:?}"));
            }
        }
    }
    assert!(worse.is_empty(), "{worse:#?}");
}

#[test]
fn turns_and_odd_sizes() {
    let dis = Dis::medium().finest_scale(0);
    for (height, width) in [(97, 131), (113, 64), (64, 201)] {
        let got = error(&dis, clouds, &about_centre(height, width, 0.0, 0.03), 8);
        assert!(got < 0.1, "{height} x {width}: {got}");
        let got = error(&Dis::medium(), clouds, &shift(height, width, 2.0, 1.0), 8);
        assert!(got < 0.1, "{height} x {width}: {got}");
    }
}

#[test]
fn nothing_moves_in_equal_frames() {
    for (height, width) in [(16, 16), (17, 40), (120, 90)] {
        let (frame, _) = pair(clouds, &Flow::zeros(height, width));
        let gray = Gray::new(height, width, &frame).unwrap();
        for dis in [Dis::ultrafast(), Dis::fast(), Dis::medium(), Dis::medium().finest_scale(0)] {
            let longest = dis.flow(&gray, &gray).unwrap().longest();
            assert!(longest < 1e-3, "{height} x {width}: {longest}");
        }
    }
}

#[test]
fn frames_without_texture_have_finite_flows() {
    let (height, width) = (48, 64);
    let flat = vec![128.0; height * width];
    let stripes: Vec<f32> = (0..height * width).map(|i| ((i % width) / 8 % 2 * 255) as f32).collect();
    let noise: Vec<f32> = (0..height * width).map(|i| (i * 7919 % 251) as f32).collect();
    for from in [&flat, &stripes, &noise] {
        for to in [&flat, &stripes, &noise] {
            let gray = |frame| Gray::new(height, width, frame).unwrap();
            let flow = Dis::medium().finest_scale(0).flow(&gray(from), &gray(to)).unwrap();
            assert!(flow.data.iter().all(|x| x.is_finite()));
        }
    }
}

#[test]
fn bits_do_not_depend_on_threads() {
    let pairs: Vec<_> = [[1.0, 0.5], [-3.0, 2.0], [6.0, -4.0], [0.25, 0.75]]
        .into_iter()
        .map(|[u, v]| pair(clouds, &shift(72, 88, u, v)))
        .collect();
    let grays: Vec<_> =
        pairs.iter().map(|(a, b)| (Gray::new(72, 88, a).unwrap(), Gray::new(72, 88, b).unwrap())).collect();
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| Dis::medium().flows(&grays).unwrap())
    };
    let alone: Vec<Flow> = grays.iter().map(|(a, b)| Dis::medium().flow(a, b).unwrap()).collect();
    assert_eq!(with(1), alone);
    assert_eq!(with(4), alone);
}

#[test]
fn bad_frames_are_refused() {
    let data = vec![0.0; 32 * 64];
    let frame = |height, width| Gray::new(height, width, &data[..height * width]).unwrap();
    let message = |a: (usize, usize), b: (usize, usize)| {
        Dis::medium().flow(&frame(a.0, a.1), &frame(b.0, b.1)).unwrap_err().to_string()
    };
    assert_eq!(message((32, 64), (64, 32)), "second frame: expected 32 x 64 (height x width), got 64 x 32");
    assert_eq!(
        message((15, 64), (15, 64)),
        "dense inverse search needs at least 16 pixels on each side, got 15 x 64; enlarge the frames or take no flow for them"
    );
    assert!(Dis::medium().flows(&[(frame(32, 64), frame(32, 32))]).is_err());
}
