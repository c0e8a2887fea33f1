//! Draws the way of the camera and the light.

use vg_core::rng::Stream;

use super::{
    chance::{between, chance},
    scene::{Drive, Light},
    vector::{scale, unit},
};

pub(super) fn drive(stream: &mut Stream) -> Drive {
    let speed = if chance(stream, 8) { 0.0 } else { between(stream, 0.2, 0.8) };
    let bends = chance(stream, 35);
    let side = if chance(stream, 50) { 1.0 } else { -1.0 };
    Drive {
        speed,
        turn: between(stream, 0.0, 0.07),
        rate: between(stream, 0.08, 0.25),
        phase: between(stream, 0.0, std::f32::consts::TAU),
        bend: if bends { side * between(stream, 0.004, 0.012) } else { 0.0 },
        bend_frames: between(stream, 15.0, 35.0),
        lane: between(stream, 1.45, 2.0),
        drift: if chance(stream, 25) { between(stream, -0.9, 0.9) } else { 0.0 },
        height: between(stream, 1.3, 1.75),
    }
}

pub(super) fn light(stream: &mut Stream) -> Light {
    let towards =
        |stream: &mut Stream, up: f32| unit([between(stream, -1.0, 1.0), up, between(stream, -1.0, 0.6)]);
    match stream.below(4) {
        0 | 1 => Light {
            sun: towards(stream, 0.9),
            sun_colour: scale([0.62, 0.58, 0.50], between(stream, 0.85, 1.15)),
            ambient: scale([0.48, 0.52, 0.60], between(stream, 0.9, 1.1)),
            zenith: [0.25, 0.45, 0.80],
            horizon: [0.76, 0.85, 0.94],
            clouds: between(stream, 0.0, 0.7),
            haze: between(stream, 150.0, 400.0),
        },
        2 => Light {
            sun: [0.0, 1.0, 0.0],
            sun_colour: [0.16, 0.16, 0.16],
            ambient: scale([0.66, 0.67, 0.69], between(stream, 0.75, 1.1)),
            zenith: [0.66, 0.69, 0.73],
            horizon: [0.80, 0.81, 0.82],
            clouds: between(stream, 0.6, 1.0),
            haze: between(stream, 60.0, 160.0),
        },
        _ => Light {
            sun: towards(stream, 0.25),
            sun_colour: scale([0.66, 0.44, 0.24], between(stream, 0.8, 1.1)),
            ambient: scale([0.42, 0.40, 0.48], between(stream, 0.85, 1.15)),
            zenith: [0.25, 0.30, 0.52],
            horizon: [0.94, 0.68, 0.46],
            clouds: between(stream, 0.0, 0.5),
            haze: between(stream, 120.0, 300.0),
        },
    }
}
