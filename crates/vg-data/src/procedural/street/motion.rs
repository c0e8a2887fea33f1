//! Exact optical flow between two times, and where it can be trusted.

use rayon::prelude::*;

use super::{
    raster::{Sight, Surface, View},
    vector::Vec3,
};

/// Backward flow `[2, H, W]` and confidence `[1, H, W]` of one pair of frames.
pub(super) struct Pair {
    pub flow: Vec<f32>,
    pub confidence: Vec<f32>,
}

/// A frame with what its pixels see.
pub(super) struct Seen<'a> {
    pub view: View<'a>,
    pub sights: Vec<Sight>,
}

/// From each pixel of `now` to the place in `before` where the same point of the scene was.
pub(super) fn pair(now: &Seen<'_>, before: &Seen<'_>, height: usize, width: usize) -> Pair {
    let pixels: Vec<(f32, f32, bool)> = (0..height * width)
        .into_par_iter()
        .map(|at| {
            let (x, y) = (at % width, at / width);
            let sight = now.sights[at];
            let Some((px, py, depth)) = back(now, before, x, y, sight) else { return (0.0, 0.0, false) };
            let visible = visible(before, sight.surface, (px, py, depth), height, width);
            (px - x as f32, py - y as f32, visible)
        })
        .collect();
    Pair {
        flow: pixels.iter().map(|p| p.0).chain(pixels.iter().map(|p| p.1)).collect(),
        confidence: pixels.iter().map(|p| f32::from(u8::from(p.2))).collect(),
    }
}

/// Where the point that pixel `(x, y)` sees was before, and how far away; none behind the camera.
fn back(now: &Seen<'_>, before: &Seen<'_>, x: usize, y: usize, sight: Sight) -> Option<(f32, f32, f32)> {
    let ray: Vec3 = now.view.camera.ray(x as f32, y as f32);
    match sight.surface {
        Surface::Sky => {
            let (px, py) = before.view.camera.project_direction(ray)?;
            Some((px, py, f32::INFINITY))
        }
        Surface::Ground => before.view.camera.project(now.view.point(ray, sight.depth)),
        Surface::Part(number) => {
            let point = now.view.poses[number as usize].own(now.view.point(ray, sight.depth));
            before.view.camera.project(before.view.poses[number as usize].place(point))
        }
    }
}

/// Whether the same surface is seen there by all pixels that a bilinear look-up takes.
fn visible(
    before: &Seen<'_>,
    surface: Surface,
    (x, y, depth): (f32, f32, f32),
    height: usize,
    width: usize,
) -> bool {
    // A hair outside is the rounding of a place on the rim.
    let inside = |v: f32, n: usize| v > -1e-3 && v < n as f32 - 1.0 + 1e-3;
    if !inside(x, width) || !inside(y, height) {
        return false;
    }
    let pixel = |v: f32, n: usize| {
        let low = (v + 1e-3).floor().max(0.0);
        let high = if v - low > 1e-3 { low + 1.0 } else { low };
        [low as usize, (high as usize).min(n - 1)]
    };
    let (columns, rows) = (pixel(x, width), pixel(y, height));
    let taps = rows.into_iter().flat_map(|row| columns.map(|column| before.sights[row * width + column]));
    let (mut near, mut far) = (f32::INFINITY, 0.0_f32);
    for tap in taps {
        if tap.surface != surface {
            return false;
        }
        near = near.min(tap.depth);
        far = far.max(tap.depth);
    }
    // The other side of a body is hidden by this one.
    surface == Surface::Sky || (depth > 0.97 * near - 0.05 && depth < 1.03 * far + 0.05)
}
