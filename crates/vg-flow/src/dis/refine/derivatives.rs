//! Derivatives of two frames, the second one warped by the flow.

use super::super::plane::{Framed, MARGIN, Plane};
use super::super::pyramid::Level;
use super::rows::{Bundle, Layout};

/// Three linear equations for the change of the flow at each pixel, in the order `[t, x, y] * 3`: `t + x * du + y * dv` is what colour, its
/// derivative along x and its derivative along y differ by. Each is divided by the root of its squared gradient plus `zeta^2`.
///
/// Derivatives along space are those of the mean of both frames, differences of the two neighbours of a pixel (twice the derivative), with
/// the border repeated; derivatives along time are differences of the frames.
#[inline(always)]
pub(super) fn normalised(level: &Level, u: &Plane, v: &Plane, layout: Layout, zeta: f32) -> Bundle<9> {
    let (height, width) = (u.height, u.width);
    let (mean, time) = mean_and_difference(level, u, v);
    let mut first = [Plane::zeros(height, width), Plane::zeros(height, width)];
    for y in 0..height {
        let [along_x, along_y] = &mut first;
        let range = y * width..(y + 1) * width;
        horizontally(mean.row(y), &mut along_x.data[range.clone()]);
        vertically(&mean, y, &mut along_y.data[range]);
    }
    let [along_x, along_y] = &first;
    let mut bundle = Bundle::zeros(height, layout);
    let mut plain = vec![0.0; 5 * width];
    let mut scaled = vec![0.0; 9 * width];
    for y in 0..height {
        let mut rows = plain.chunks_exact_mut(width);
        let [xt, yt, xx, xy, yy] = std::array::from_fn(|_| rows.next().expect("five rows"));
        horizontally(time.row(y), xt);
        vertically(&time, y, yt);
        horizontally(along_x.row(y), xx);
        vertically(along_x, y, xy);
        vertically(along_y, y, yy);
        let equations = [[time.row(y), along_x.row(y), along_y.row(y)], [xt, xx, xy], [yt, xy, yy]];
        for (equation, out) in equations.into_iter().zip(scaled.chunks_exact_mut(3 * width)) {
            normalise(equation, zeta, out);
        }
        for (from, to) in scaled.chunks_exact(width).zip(bundle.get_mut(y)) {
            layout.split(from, to);
        }
    }
    bundle
}

/// Divides an equation by its gradient, softened; the three rows are written one behind another.
#[inline(always)]
fn normalise([t, x, y]: [&[f32]; 3], zeta: f32, out: &mut [f32]) {
    let width = t.len();
    let (out_t, rest) = out.split_at_mut(width);
    let (out_x, out_y) = rest.split_at_mut(width);
    let inputs = t.iter().zip(x).zip(y);
    for (((t, x), y), ((out_t, out_x), out_y)) in inputs.zip(out_t.iter_mut().zip(out_x).zip(out_y)) {
        let scale = 1.0 / (x * x + y * y + zeta * zeta).sqrt();
        (*out_t, *out_x, *out_y) = (t * scale, x * scale, y * scale);
    }
}

/// `(a + b) / 2` and `b - a` of the first frame and of the second one, warped.
#[inline(always)]
fn mean_and_difference(level: &Level, u: &Plane, v: &Plane) -> (Plane, Plane) {
    let (height, width) = (u.height, u.width);
    let (mut mean, mut difference) = (Plane::zeros(height, width), Plane::zeros(height, width));
    let mut warped = vec![0.0; width];
    let rows = mean.data.chunks_exact_mut(width).zip(difference.data.chunks_exact_mut(width));
    for (y, (mean, difference)) in rows.enumerate() {
        warp_row(&level.to, y, u.row(y), v.row(y), &mut warped);
        let pairs = level.from.row(y).iter().zip(&warped);
        for ((a, b), (mean, difference)) in pairs.zip(mean.iter_mut().zip(difference)) {
            (*mean, *difference) = (0.5 * (a + b), b - a);
        }
    }
    (mean, difference)
}

/// A row of the second frame at the places that the flow points to, bilinear, clamped to the frame.
#[inline(always)]
fn warp_row(to: &Framed, y: usize, u: &[f32], v: &[f32], out: &mut [f32]) {
    let (bottom, right) = ((to.height - 1) as f32, (to.width - 1) as f32);
    for (x, ((u, v), out)) in u.iter().zip(v).zip(out).enumerate() {
        let py = (y as f32 + v).max(0.0).min(bottom) + MARGIN as f32;
        let px = (x as f32 + u).max(0.0).min(right) + MARGIN as f32;
        let (row, column) = (py as i32 as usize, px as i32 as usize);
        let (fy, fx) = (py - row as f32, px - column as f32);
        let pixels = &to.data[row * to.pitch + column..][..to.pitch + 2];
        let above = pixels[0] + fx * (pixels[1] - pixels[0]);
        let below = pixels[to.pitch] + fx * (pixels[to.pitch + 1] - pixels[to.pitch]);
        *out = above + fy * (below - above);
    }
}

/// Difference of the right and the left neighbour, the border repeated.
#[inline(always)]
fn horizontally(row: &[f32], out: &mut [f32]) {
    let last = row.len() - 1;
    out[0] = row[1] - row[0];
    for (out, (left, right)) in out[1..last].iter_mut().zip(row.iter().zip(&row[2..])) {
        *out = right - left;
    }
    out[last] = row[last] - row[last - 1];
}

/// Difference of the row below and the row above, the border repeated.
#[inline(always)]
fn vertically(plane: &Plane, y: usize, out: &mut [f32]) {
    let above = plane.row(y.saturating_sub(1));
    let below = plane.row((y + 1).min(plane.height - 1));
    for (out, (above, below)) in out.iter_mut().zip(above.iter().zip(below)) {
        *out = below - above;
    }
}
