//! A vector for each patch of a grid, by gradient steps on the difference of two frames.

use super::PATCH;
use super::plane::{Framed, MARGIN, Plane};
use super::pyramid::Level;
use crate::simd;

/// Settings of the search.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// Distance of patches in pixels.
    pub stride: usize,
    /// Gradient steps per patch, half of them in each of two passes.
    pub steps: usize,
}

/// Patches on a grid, each with the vector of its match in the other frame.
pub(super) struct Patches {
    pub stride: usize,
    pub rows: usize,
    pub columns: usize,
    /// `[rows, columns]` of `[u, v]` in pixels.
    pub vectors: Vec<[f32; 2]>,
}

/// `Patches` per axis.
fn count(size: usize, stride: usize) -> usize {
    1 + (size - PATCH) / stride
}

impl Search {
    /// Searches a level from a dense flow.
    pub fn run(&self, level: &Level, u: &Plane, v: &Plane) -> Patches {
        let (rows, columns) = (count(level.from.height, self.stride), count(level.from.width, self.stride));
        let mut vectors = Vec::with_capacity(rows * columns);
        for i in 0..rows {
            let y = i * self.stride + PATCH / 2;
            let centres = (0..columns).map(|j| j * self.stride + PATCH / 2);
            vectors.extend(centres.map(|x| [u.row(y)[x], v.row(y)[x]]));
        }
        let mut patches = Patches { stride: self.stride, rows, columns, vectors };
        let mut patch = Box::new(Patch::default());
        for backwards in [false, true] {
            let (patches, patch) = (&mut patches, &mut *patch);
            simd::run(Pass { level, steps: self.steps / 2, backwards, patches, patch });
        }
        patches
    }
}

/// One scan over the patches.
struct Pass<'a> {
    level: &'a Level,
    steps: usize,
    /// From the bottom right to the top left instead of the other way round.
    backwards: bool,
    patches: &'a mut Patches,
    patch: &'a mut Patch,
}

impl simd::Kernel for Pass<'_> {
    #[inline(always)]
    fn run(self) {
        let Patches { stride, rows, columns, vectors } = self.patches;
        let (rows, columns, stride) = (*rows, *columns, *stride);
        let to = &self.level.to;
        for k in 0..rows * columns {
            let k = if self.backwards { rows * columns - 1 - k } else { k };
            let (i, j) = (k / columns, k % columns);
            self.patch.cut(self.level, i * stride, j * stride);
            // The neighbours that this scan has visited.
            let (beside, over) = if self.backwards {
                ((j + 1 < columns).then_some(k + 1), (i + 1 < rows).then_some(k + columns))
            } else {
                (k.checked_sub(1).filter(|_| j > 0), k.checked_sub(columns))
            };
            let mut start = Start { vector: vectors[k], found: self.patch.compare(to, vectors[k]) };
            for neighbour in [beside, over] {
                let Some(vector) = neighbour.map(|n| vectors[n]) else { continue };
                if vector != vectors[k] {
                    let found = self.patch.compare(to, vector);
                    if found.distance < start.found.distance {
                        start = Start { vector, found };
                    }
                }
            }
            vectors[k] = self.patch.descend(to, start, self.steps);
        }
    }
}

/// How well a patch matches a place of the other frame.
#[derive(Clone, Copy)]
struct Match {
    /// Sum of the squared differences from the mean difference.
    distance: f32,
    /// Sums of difference times gradient, means taken off: along x and y.
    slope: [f32; 2],
}

/// Where the descent of a patch begins.
#[derive(Clone, Copy)]
struct Start {
    vector: [f32; 2],
    found: Match,
}

type Rows = [[f32; PATCH]; PATCH];

/// A patch of the first frame, with room for what is computed from it. It lies on the heap: the compiler joins stores to memory into vectors,
/// not sums that stay in registers.
#[derive(Default)]
struct Patch {
    /// Top and left pixel.
    y: f32,
    x: f32,
    values: Rows,
    along_x: Rows,
    along_y: Rows,
    /// Sums of the gradients along x and y.
    gradient: [f32; 2],
    /// Inverse of the structure tensor: its entries xx, xy and yy.
    inverse: [f32; 3],
    /// Differences of the frames.
    differences: Rows,
    sums: [[f32; PATCH]; 5],
    halves: [[f32; PATCH / 2]; 5],
}

impl Patch {
    /// Takes another patch.
    #[inline(always)]
    fn cut(&mut self, level: &Level, y: usize, x: usize) {
        (self.y, self.x) = (y as i32 as f32, x as i32 as f32);
        let width = level.from.width;
        let pairs = [
            (&level.from, &mut self.values),
            (&level.along_x, &mut self.along_x),
            (&level.along_y, &mut self.along_y),
        ];
        for (plane, rows) in pairs {
            let pixels = &plane.data[y * width + x..][..(PATCH - 1) * width + PATCH];
            for (r, row) in rows.iter_mut().enumerate() {
                *row = *pixels[r * width..].first_chunk().expect("eight pixels");
            }
        }
        let (gx, gy) = (&self.along_x, &self.along_y);
        let [x, y, xx, xy, yy] = &mut self.sums;
        columns(|r, c| gx[r][c], x);
        columns(|r, c| gy[r][c], y);
        columns(|r, c| gx[r][c] * gx[r][c], xx);
        columns(|r, c| gx[r][c] * gy[r][c], xy);
        columns(|r, c| gy[r][c] * gy[r][c], yy);
        let [x, y, xx, xy, yy] = totals(&self.sums, &mut self.halves);
        self.gradient = [x, y];
        let determinant = xx * yy - xy * xy;
        // OpenCV's EPS: nothing to follow in a patch without texture.
        let determinant = if determinant.abs() < 0.001 { 0.001 } else { determinant };
        self.inverse = [yy / determinant, -xy / determinant, xx / determinant];
    }

    /// Compares the patch with the other frame at a vector `[u, v]`, sampled bilinearly, one pixel of the patch at least inside the frame.
    #[inline(always)]
    fn compare(&mut self, to: &Framed, vector: [f32; 2]) -> Match {
        let reach = (PATCH - 1) as f32;
        let sampler = Sampler::new(to, self.y + vector[1], self.x + vector[0], reach, 1.0);
        for (r, (differences, values)) in self.differences.iter_mut().zip(&self.values).enumerate() {
            let sampled = sampler.row(r);
            for ((difference, sample), value) in differences.iter_mut().zip(sampled).zip(values) {
                *difference = sample - value;
            }
        }
        let (d, gx, gy) = (&self.differences, &self.along_x, &self.along_y);
        let [sums, squares, slope_x, slope_y, _] = &mut self.sums;
        columns(|r, c| d[r][c], sums);
        columns(|r, c| d[r][c] * d[r][c], squares);
        columns(|r, c| d[r][c] * gx[r][c], slope_x);
        columns(|r, c| d[r][c] * gy[r][c], slope_y);
        let [sum, squares, slope_x, slope_y, _] = totals(&self.sums, &mut self.halves);
        let mean = sum / (PATCH * PATCH) as f32;
        let slope = [slope_x - mean * self.gradient[0], slope_y - mean * self.gradient[1]];
        Match { distance: squares - mean * sum, slope }
    }

    /// Gradient steps from a vector with its match, until the match gets no better. A result more than a patch away from the start is given
    /// up for the start. Unlike OpenCV's, it is not a step past the best match that was seen (README).
    ///
    /// The gradients are 8 times the derivative, so that each step is an eighth of a Gauss-Newton step.
    #[inline(always)]
    fn descend(&mut self, to: &Framed, start: Start, steps: usize) -> [f32; 2] {
        let [xx, xy, yy] = self.inverse;
        let Start { mut vector, mut found } = start;
        let mut least = f32::INFINITY;
        let mut best = vector;
        for step in 0..steps {
            if step > 0 {
                found = self.compare(to, vector);
            }
            if found.distance >= least {
                vector = best;
                break;
            }
            best = vector;
            let [dx, dy] = found.slope;
            vector[0] -= xx * dx + xy * dy;
            vector[1] -= xy * dx + yy * dy;
            least = found.distance;
        }
        let (du, dv) = (vector[0] - start.vector[0], vector[1] - start.vector[1]);
        if du * du + dv * dv <= (PATCH * PATCH) as f32 { vector } else { start.vector }
    }
}

/// Sums of the columns of `PATCH` rows.
#[inline(always)]
fn columns(value: impl Fn(usize, usize) -> f32, out: &mut [f32; PATCH]) {
    for (c, out) in out.iter_mut().enumerate() {
        let upper = (value(0, c) + value(1, c)) + (value(2, c) + value(3, c));
        let lower = (value(4, c) + value(5, c)) + (value(6, c) + value(7, c));
        *out = upper + lower;
    }
}

/// Sums of rows, in a fixed order; `halves` is room for what is between.
#[inline(always)]
fn totals<const N: usize>(rows: &[[f32; PATCH]; N], halves: &mut [[f32; PATCH / 2]; N]) -> [f32; N] {
    for (half, row) in halves.iter_mut().zip(rows) {
        for (c, half) in half.iter_mut().enumerate() {
            *half = row[c] + row[c + PATCH / 2];
        }
    }
    let mut totals = [0.0; N];
    for (total, [a, b, c, d]) in totals.iter_mut().zip(&*halves) {
        *total = (a + c) + (b + d);
    }
    totals
}

/// Rows of eight bilinear samples below one another.
pub(super) struct Sampler<'a> {
    /// The pixels from the first one on.
    pixels: &'a [f32],
    pitch: usize,
    /// Weights of a pixel, its right, its lower and its lower right neighbour.
    weights: [f32; 4],
}

impl<'a> Sampler<'a> {
    /// Samples from `(y, x)` on, clamped to `-before` and `size - behind` in both directions.
    #[inline(always)]
    pub fn new(to: &'a Framed, y: f32, x: f32, before: f32, behind: f32) -> Self {
        let place = |p: f32, size: usize| {
            let p = p.max(-before).min(size as i32 as f32 - behind) + MARGIN as f32;
            // Through i32: conversions of longer numbers take several instructions.
            let whole = p as i32;
            (whole as usize, p - whole as f32)
        };
        let ((row, lower), (column, right)) = (place(y, to.height), place(x, to.width));
        let pixels = &to.data[row * to.pitch + column..][..PATCH * to.pitch + PATCH + 1];
        let (left, upper) = (1.0 - right, 1.0 - lower);
        let weights = [upper * left, upper * right, lower * left, lower * right];
        Self { pixels, pitch: to.pitch, weights }
    }

    /// Row `r` of the samples.
    #[inline(always)]
    pub fn row(&self, r: usize) -> [f32; PATCH] {
        let pixels = |r: usize| -> &[f32; PATCH + 1] {
            self.pixels[r * self.pitch..].first_chunk().expect("nine pixels")
        };
        let (above, below) = (pixels(r), pixels(r + 1));
        let [a, b, c, d] = self.weights;
        let mut out = [0.0; PATCH];
        for (i, out) in out.iter_mut().enumerate() {
            *out = (above[i] * a + above[i + 1] * b) + (below[i] * c + below[i + 1] * d);
        }
        out
    }
}
