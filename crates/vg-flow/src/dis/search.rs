//! A vector for each patch of a grid, by gradient steps on the difference of two frames.

use super::PATCH;
use super::lanes::Lanes;
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
        for backwards in [false, true] {
            simd::run(Pass { level, steps: self.steps / 2, backwards, patches: &mut patches });
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
}

impl simd::Kernel for Pass<'_> {
    #[inline(always)]
    fn run(self) {
        let Patches { stride, rows, columns, vectors } = self.patches;
        let (rows, columns, stride) = (*rows, *columns, *stride);
        for k in 0..rows * columns {
            let k = if self.backwards { rows * columns - 1 - k } else { k };
            let (i, j) = (k / columns, k % columns);
            let patch = Patch::cut(self.level, i * stride, j * stride);
            // The neighbours that this scan has visited.
            let (beside, over) = if self.backwards {
                ((j + 1 < columns).then(|| vectors[k + 1]), (i + 1 < rows).then(|| vectors[k + columns]))
            } else {
                ((j > 0).then(|| vectors[k - 1]), (i > 0).then(|| vectors[k - columns]))
            };
            let mut start = (vectors[k], patch.compare(&self.level.to, vectors[k]));
            for vector in [beside, over].into_iter().flatten().filter(|n| *n != vectors[k]) {
                let match_ = patch.compare(&self.level.to, vector);
                if match_.distance < start.1.distance {
                    start = (vector, match_);
                }
            }
            vectors[k] = patch.descend(&self.level.to, start, self.steps);
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

/// A patch of the first frame.
struct Patch {
    /// Top and left pixel.
    y: f32,
    x: f32,
    values: [Lanes; PATCH],
    along_x: [Lanes; PATCH],
    along_y: [Lanes; PATCH],
    /// Sums of the gradients along x and y.
    sums: [f32; 2],
}

impl Patch {
    #[inline(always)]
    fn cut(level: &Level, y: usize, x: usize) -> Self {
        let cut = |plane: &Plane| -> [Lanes; PATCH] {
            let mut rows = [Lanes::default(); PATCH];
            for (r, row) in rows.iter_mut().enumerate() {
                *row = Lanes::load(&plane.data[(y + r) * plane.width + x..]);
            }
            rows
        };
        let (values, along_x, along_y) = (cut(&level.from), cut(&level.along_x), cut(&level.along_y));
        let mut sums = [Lanes::default(); 2];
        for (gx, gy) in along_x.iter().zip(&along_y) {
            sums = [sums[0] + *gx, sums[1] + *gy];
        }
        Self { y: y as f32, x: x as f32, values, along_x, along_y, sums: sums.map(Lanes::sum) }
    }

    /// Compares the patch with the other frame at a vector `[u, v]`, sampled bilinearly, one pixel of the patch at least inside the frame.
    #[inline(always)]
    fn compare(&self, to: &Framed, vector: [f32; 2]) -> Match {
        let reach = (PATCH - 1) as f32;
        let mut sampled = Sampler::new(to, self.y + vector[1], self.x + vector[0], reach, 1.0);
        let [mut sum, mut squares, mut slope_x, mut slope_y] = [Lanes::default(); 4];
        for r in 0..PATCH {
            let difference = sampled.row(r) - self.values[r];
            sum = sum + difference;
            squares = squares + difference * difference;
            slope_x = slope_x + difference * self.along_x[r];
            slope_y = slope_y + difference * self.along_y[r];
        }
        let mean = sum.sum() / (PATCH * PATCH) as f32;
        Match {
            distance: squares.sum() - mean * sum.sum(),
            slope: [slope_x.sum() - mean * self.sums[0], slope_y.sum() - mean * self.sums[1]],
        }
    }

    /// Gradient steps from a vector with its match. A result more than a patch away from the start is given up for the start.
    ///
    /// The gradients are 8 times the derivative, so that each step is an eighth of a Gauss-Newton step.
    #[inline(always)]
    fn descend(&self, to: &Framed, start: ([f32; 2], Match), steps: usize) -> [f32; 2] {
        let inverse = self.inverse();
        let (mut vector, mut at) = start;
        let mut least = f32::INFINITY;
        for step in 0..steps {
            if step > 0 {
                at = self.compare(to, vector);
            }
            let [dx, dy] = at.slope;
            vector[0] -= inverse[0] * dx + inverse[1] * dy;
            vector[1] -= inverse[1] * dx + inverse[2] * dy;
            if at.distance >= least {
                break;
            }
            least = at.distance;
        }
        let (du, dv) = (vector[0] - start.0[0], vector[1] - start.0[1]);
        if du * du + dv * dv <= (PATCH * PATCH) as f32 { vector } else { start.0 }
    }

    /// Inverse of the structure tensor: its entries xx, xy and yy.
    #[inline(always)]
    fn inverse(&self) -> [f32; 3] {
        let [mut xx, mut xy, mut yy] = [Lanes::default(); 3];
        for (gx, gy) in self.along_x.iter().zip(&self.along_y) {
            xx = xx + *gx * *gx;
            xy = xy + *gx * *gy;
            yy = yy + *gy * *gy;
        }
        let [xx, xy, yy] = [xx.sum(), xy.sum(), yy.sum()];
        let determinant = xx * yy - xy * xy;
        // OpenCV's EPS: nothing to follow in a patch without texture.
        let determinant = if determinant.abs() < 0.001 { 0.001 } else { determinant };
        [yy / determinant, -xy / determinant, xx / determinant]
    }
}

/// Rows of eight bilinear samples below one another.
pub(super) struct Sampler<'a> {
    /// The pixels from the first one on.
    pixels: &'a [f32],
    pitch: usize,
    /// Weights of the right and of the lower pixel.
    right: Lanes,
    left: Lanes,
    lower: Lanes,
    upper: Lanes,
    /// The last row of pixels, blended along x.
    last: Lanes,
}

impl<'a> Sampler<'a> {
    /// Samples from `(y, x)` on, clamped to `-before` and `size - behind` in both directions.
    #[inline(always)]
    pub fn new(to: &'a Framed, y: f32, x: f32, before: f32, behind: f32) -> Self {
        let place = |p: f32, size: usize| {
            let p = p.max(-before).min(size as f32 - behind) + MARGIN as f32;
            let whole = p as usize;
            (whole, p - whole as f32)
        };
        let ((row, lower), (column, right)) = (place(y, to.height), place(x, to.width));
        let pixels = &to.data[row * to.pitch + column..][..PATCH * to.pitch + PATCH + 1];
        let mut sampler = Self {
            pixels,
            pitch: to.pitch,
            right: Lanes::splat(right),
            left: Lanes::splat(1.0 - right),
            lower: Lanes::splat(lower),
            upper: Lanes::splat(1.0 - lower),
            last: Lanes::default(),
        };
        sampler.last = sampler.along_x(0);
        sampler
    }

    #[inline(always)]
    fn along_x(&self, r: usize) -> Lanes {
        let row = &self.pixels[r * self.pitch..][..PATCH + 1];
        Lanes::load(row) * self.left + Lanes::load(&row[1..]) * self.right
    }

    /// Row `r` of the samples; rows are asked for one after another.
    #[inline(always)]
    pub fn row(&mut self, r: usize) -> Lanes {
        let next = self.along_x(r + 1);
        let samples = self.last * self.upper + next * self.lower;
        self.last = next;
        samples
    }
}
