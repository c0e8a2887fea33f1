//! Patterns on surfaces, each averaged over the piece that a pixel sees, so that nothing flickers in the distance.

/// Random number in [0, 1) of a cell.
pub(super) fn hash(x: i32, y: i32, seed: u32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x9e37_79b1)
        ^ (y as u32).wrapping_mul(0x85eb_ca77)
        ^ seed.wrapping_mul(0xc2b2_ae3d);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    (h ^ (h >> 15)).wrapping_shr(8) as f32 / (1 << 24) as f32
}

/// Smooth noise in [-1, 1] with cells of side one.
fn noise(x: f32, y: f32, seed: u32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (ease(x - fx), ease(y - fy));
    let (ix, iy) = (fx as i32, fy as i32);
    let row = |dy: i32| {
        let (a, b) = (hash(ix, iy + dy, seed), hash(ix + 1, iy + dy, seed));
        a + u * (b - a)
    };
    let (low, high) = (row(0), row(1));
    2.0 * (low + v * (high - low)) - 1.0
}

/// Three octaves of noise in [-1, 1], the coarsest with cells of side `size`; octaves that a pixel of side `seen` cannot show fade away.
pub(super) fn grain(x: f32, y: f32, size: f32, seen: f32, seed: u32) -> f32 {
    let (mut sum, mut weight, mut size) = (0.0, 0.55, size);
    for octave in 0..3 {
        let visible = (1.6 - 2.0 * seen / size).clamp(0.0, 1.0);
        if visible <= 0.0 {
            break;
        }
        sum += weight * visible * noise(x / size, y / size, seed + octave);
        weight *= 0.5;
        size *= 0.45;
    }
    sum
}

/// Share of `seen` about `x` that lies in stripes `0..width` of every `period`.
pub(super) fn stripes(x: f32, period: f32, width: f32, seen: f32) -> f32 {
    let (width, seen) = (width / period, (seen / period).max(1e-4));
    // Length of stripes between 0 and x.
    let covered = |x: f32| x.floor() * width + (x - x.floor()).min(width);
    let (low, high) = (x / period - 0.5 * seen, x / period + 0.5 * seen);
    ((covered(high) - covered(low)) / seen).clamp(0.0, 1.0)
}

/// Share of `seen` about `x` that lies in `low..high`.
pub(super) fn band(x: f32, low: f32, high: f32, seen: f32) -> f32 {
    let seen = seen.max(1e-4);
    let (left, right) = (x - 0.5 * seen, x + 0.5 * seen);
    ((right.min(high) - left.max(low)) / seen).clamp(0.0, 1.0)
}

/// `a` to `b` as `part` goes from 0 to 1.
pub(super) fn mix(a: [f32; 3], b: [f32; 3], part: f32) -> [f32; 3] {
    std::array::from_fn(|k| a[k] + part * (b[k] - a[k]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stripes_and_bands_are_averages() {
        // Stripes of 1 every 4, seen in steps of a thousandth and through windows.
        for (x, seen, share) in
            [(0.5, 0.1, 1.0), (2.0, 0.1, 0.0), (1.0, 1.0, 0.5), (7.0, 4.0, 0.25), (3.9, 8.0, 0.25)]
        {
            assert!((stripes(x, 4.0, 1.0, seen) - share).abs() < 1e-4, "{x} {seen}");
        }
        assert!((stripes(-3.5, 4.0, 1.0, 0.2) - 1.0).abs() < 1e-4);
        assert_eq!(
            [band(0.5, 0.0, 1.0, 0.5), band(0.0, 0.0, 1.0, 0.5), band(2.0, 0.0, 1.0, 0.5)],
            [1.0, 0.5, 0.0]
        );
    }

    #[test]
    fn grain_is_centred_and_fades_in_the_distance() {
        let of = |seen| {
            (0..4000).map(|k| grain(k as f32 * 0.37, k as f32 * 0.11, 1.0, seen, 3)).collect::<Vec<_>>()
        };
        let (near, far) = (of(0.01), of(1.0));
        let mean = near.iter().sum::<f32>() / 4000.0;
        let spread = near.iter().map(|v| v * v).sum::<f32>() / 4000.0;
        assert!(mean.abs() < 0.05 && (0.01..0.3).contains(&spread), "{mean} {spread}");
        assert!(far.iter().all(|v| *v == 0.0) && near.iter().all(|v| v.abs() <= 1.0));
    }
}
