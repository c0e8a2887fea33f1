//! Draws from the random numbers of a clip.

use vg_core::rng::Stream;

use super::vector::Vec3;

pub(super) fn between(stream: &mut Stream, low: f32, high: f32) -> f32 {
    stream.uniform(f64::from(low), f64::from(high)) as f32
}

pub(super) fn chance(stream: &mut Stream, percent: usize) -> bool {
    stream.below(100) < percent
}

pub(super) fn pick<T: Copy>(stream: &mut Stream, from: &[T]) -> T {
    from[stream.below(from.len())]
}

pub(super) fn seed(stream: &mut Stream) -> u32 {
    stream.below(1 << 30) as u32
}

/// A colour near another.
pub(super) fn near(stream: &mut Stream, colour: Vec3, by: f32) -> Vec3 {
    let light = between(stream, 1.0 - by, 1.0 + by);
    colour.map(|v| (v * light * between(stream, 1.0 - by / 3.0, 1.0 + by / 3.0)).clamp(0.02, 0.98))
}
