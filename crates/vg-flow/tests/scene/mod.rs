//! Frames whose motion is known: a scene that is defined everywhere, seen at moved points.

use vg_flow::Flow;

/// The texture of waves with integer values in 0 to 255: a reference printed its first rows.
pub fn waves(y: f64, x: f64) -> f32 {
    let value = 127.5
        + 40.0 * (0.23 * x + 0.11 * y).sin()
        + 35.0 * (0.07 * x - 0.19 * y + 1.0).sin()
        + 25.0 * (0.41 * x + 0.05 * y + 2.0).sin()
        + 20.0 * (0.03 * x + 0.37 * y + 0.5).sin();
    value.round().clamp(0.0, 255.0) as f32
}

/// Something like a photograph: structure of all sizes, most of it large, and steep edges.
pub fn clouds(y: f64, x: f64) -> f32 {
    let octaves: f64 = (0..6)
        .map(|k| {
            let size = 96.0 / f64::from(1 << k);
            (size / 96.0).powf(0.8) * lattice_noise(k as u64, y / size, x / size)
        })
        .sum();
    // Patches of two shades with borders about a pixel wide.
    let border = 40.0 * (lattice_noise(50, y / 50.0, x / 50.0) * 8.0).tanh();
    (127.5 + 95.0 * octaves + border).round().clamp(0.0, 255.0) as f32
}

/// Smooth noise in -1 to 1 with random values at whole coordinates.
fn lattice_noise(seed: u64, y: f64, x: f64) -> f64 {
    let (y0, x0) = (y.floor(), x.floor());
    let ease = |t: f64| t * t * t * (t * (t * 6.0 - 15.0) + 10.0);
    let (ty, tx) = (ease(y - y0), ease(x - x0));
    let at = |dy: f64, dx: f64| random(seed, (y0 + dy) as i64, (x0 + dx) as i64);
    let above = at(0.0, 0.0) + tx * (at(0.0, 1.0) - at(0.0, 0.0));
    let below = at(1.0, 0.0) + tx * (at(1.0, 1.0) - at(1.0, 0.0));
    above + ty * (below - above)
}

/// A number in -1 to 1 from a lattice point (SplitMix64).
fn random(seed: u64, y: i64, x: i64) -> f64 {
    let mut z = (seed << 48) ^ ((y as u64) << 24 & 0xffff_ff00_0000) ^ (x as u64 & 0xff_ffff);
    z = z.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

/// A frame of the scene, each pixel seen where `motion` takes it.
pub fn frame(scene: fn(f64, f64) -> f32, motion: &Flow) -> Vec<f32> {
    let moved = motion.u().iter().zip(motion.v()).enumerate();
    moved
        .map(|(i, (u, v))| {
            let (y, x) = (i / motion.width, i % motion.width);
            scene(y as f64 + f64::from(*v), x as f64 + f64::from(*u))
        })
        .collect()
}

/// The frame before, and the one whose points come from `motion` away.
pub fn pair(scene: fn(f64, f64) -> f32, motion: &Flow) -> (Vec<f32>, Vec<f32>) {
    (frame(scene, &Flow::zeros(motion.height, motion.width)), frame(scene, motion))
}

/// The same displacement everywhere.
pub fn shift(height: usize, width: usize, u: f32, v: f32) -> Flow {
    Flow::from_fn(height, width, |_, _| [u, v])
}

/// Points move away from the centre by `factor` of their distance and around it by `turn`.
pub fn about_centre(height: usize, width: usize, factor: f32, turn: f32) -> Flow {
    let centre = (height as f32 / 2.0, width as f32 / 2.0);
    Flow::from_fn(height, width, |y, x| {
        let (y, x) = (y as f32 - centre.0, x as f32 - centre.1);
        [factor * x - turn * y, factor * y + turn * x]
    })
}

/// A zoom by 3 % with a block in the middle that moves by (12, 2) besides.
pub fn zoom_and_block(height: usize, width: usize) -> Flow {
    let zoom = about_centre(height, width, 0.03, 0.0);
    Flow::from_fn(height, width, |y, x| {
        let [u, v] = zoom.at(y, x);
        let inside =
            (height * 3 / 8..height * 5 / 8).contains(&y) && (width * 3 / 8..width * 5 / 8).contains(&x);
        if inside { [u + 12.0, v + 2.0] } else { [u, v] }
    })
}
