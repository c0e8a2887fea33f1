//! Flows as colours: the hue is the direction, the saturation the length.
//!
//! Source: the colour wheel of Baker et al., "A Database and Evaluation Methodology for Optical Flow" (2007), `colorcode.cpp`.

use crate::flow::Flow;

/// Colours from each corner of the wheel to the next: red, yellow, green, cyan, blue, magenta. More steps where the eye sees more.
const STEPS: [usize; 6] = [15, 6, 4, 11, 13, 6];
const COLOURS: usize = 55;

/// Picture of a flow as interleaved 8-bit RGB, `[H, W, 3]`.
///
/// `scale` is the length in pixels that gets full colour; shorter displacements are paler, none is white, longer ones are darker by a
/// quarter. With a `scale` that is not positive the flow's own longest displacement is taken. Pixels whose flow is unknown (no number, or
/// 1e9 and more, as the benchmark marks it) are black.
pub fn picture(flow: &Flow, scale: f32) -> Vec<u8> {
    let known = |&(u, v): &(f32, f32)| u.abs() < 1e9 && v.abs() < 1e9;
    let vectors = || flow.u().iter().copied().zip(flow.v().iter().copied());
    let scale = if scale > 0.0 {
        scale
    } else {
        // Nothing moves: any scale gives white.
        vectors().filter(known).map(|(u, v)| u.hypot(v)).fold(f32::MIN_POSITIVE, f32::max)
    };
    let wheel = wheel();
    let colour = |pair: (f32, f32)| {
        if known(&pair) { colour(&wheel, pair.0 / scale, pair.1 / scale) } else { [0; 3] }
    };
    vectors().flat_map(colour).collect()
}

/// The colours of the wheel, in 0 to 1.
fn wheel() -> [[f32; 3]; COLOURS] {
    let mut colours = [[0.0; 3]; COLOURS];
    let mut at = 0;
    for (corner, steps) in STEPS.into_iter().enumerate() {
        // From one corner to the next, one channel is full, one rises (even corners) or falls (odd ones).
        let full = [0, 1, 1, 2, 2, 0][corner];
        let changing = [1, 0, 2, 1, 0, 2][corner];
        for step in 0..steps {
            let part = (255 * step / steps) as f32 / 255.0;
            colours[at][full] = 1.0;
            colours[at][changing] = if corner % 2 == 0 { part } else { 1.0 - part };
            at += 1;
        }
    }
    colours
}

fn colour(wheel: &[[f32; 3]; COLOURS], u: f32, v: f32) -> [u8; 3] {
    let length = u.hypot(v);
    let angle = (-v).atan2(-u) / std::f32::consts::PI;
    let place = (angle + 1.0) / 2.0 * (COLOURS - 1) as f32;
    let first = (place as usize).min(COLOURS - 1);
    let second = (first + 1) % COLOURS;
    let part = place - first as f32;
    std::array::from_fn(|channel| {
        let pure = (1.0 - part) * wheel[first][channel] + part * wheel[second][channel];
        let shade = if length <= 1.0 { 1.0 - length * (1.0 - pure) } else { pure * 0.75 };
        (255.0 * shade) as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_and_lengths() {
        let one = |u: f32, v: f32| -> [u8; 3] {
            picture(&Flow::new(1, 1, vec![u, v]).unwrap(), 2.0).try_into().unwrap()
        };
        assert_eq!(one(0.0, 0.0), [255; 3]);
        // To the right is red; half as far is half as pale.
        assert_eq!(one(2.0, 0.0), [255, 0, 0]);
        assert_eq!(one(1.0, 0.0), [255, 127, 127]);
        // Too long: darker.
        assert_eq!(one(4.0, 0.0), [191, 0, 0]);
        // Down is yellow with some green missing, left cyan to blue, up blue to magenta.
        let down = one(0.0, 2.0);
        assert!(down[0] > 200 && down[1] > 200 && down[2] == 0, "{down:?}");
        let left = one(-2.0, 0.0);
        assert!(left[0] == 0 && left[1] > 100 && left[2] == 255, "{left:?}");
        let up = one(0.0, -2.0);
        assert!(up[0] > 50 && up[1] == 0 && up[2] == 255, "{up:?}");
        assert_eq!(one(f32::NAN, 0.0), [0; 3]);
        assert_eq!(one(0.0, 1e10), [0; 3]);
    }

    #[test]
    fn own_scale() {
        let flow = Flow::new(1, 3, vec![4.0, 2.0, 0.0, 0.0, 0.0, 0.0]).unwrap();
        assert_eq!(picture(&flow, 0.0), picture(&flow, 4.0));
        assert_eq!(picture(&Flow::zeros(2, 2), 0.0), [255; 12]);
    }

    #[test]
    fn corners_of_the_wheel() {
        let wheel = wheel();
        let corners: Vec<[f32; 3]> = [0, 15, 21, 25, 36, 49].iter().map(|i| wheel[*i]).collect();
        let (o, l) = (0.0, 1.0);
        assert_eq!(corners, [[l, o, o], [l, l, o], [o, l, o], [o, l, l], [o, o, l], [l, o, l]]);
    }
}
