//! From vectors of patches to a vector for each pixel.

use super::PATCH;
use super::lanes::Lanes;
use super::plane::Plane;
use super::pyramid::Level;
use super::search::{Patches, Sampler};
use crate::simd;

/// Each pixel takes the mean vector of the patches over it, weighted by `1 / max(1, |difference of the frames there|)`. Rows and columns that
/// no patch covers copy the last ones that have a vector.
pub(super) fn densify(level: &Level, patches: &Patches, u: &mut Plane, v: &mut Plane) {
    simd::run(Densify { level, patches, u: &mut *u, v: &mut *v });
    let covered = |count: usize| (count - 1) * patches.stride + PATCH;
    for plane in [u, v] {
        fill_rim(plane, covered(patches.rows), covered(patches.columns));
    }
}

struct Densify<'a> {
    level: &'a Level,
    patches: &'a Patches,
    u: &'a mut Plane,
    v: &'a mut Plane,
}

impl simd::Kernel for Densify<'_> {
    #[inline(always)]
    fn run(self) {
        let width = self.u.width;
        self.u.data.fill(0.0);
        self.v.data.fill(0.0);
        let mut weights = vec![0.0; self.u.data.len()];
        for (k, vector) in self.patches.vectors.iter().enumerate() {
            let (i, j) = (k / self.patches.columns, k % self.patches.columns);
            let (y, x) = (i * self.patches.stride, j * self.patches.stride);
            // A patch that lies outside altogether still covers its pixels, with copies of the border.
            let at = (y as f32 + vector[1], x as f32 + vector[0]);
            let sampled = Sampler::new(&self.level.to, at.0, at.1, PATCH as f32, 0.0);
            for r in 0..PATCH {
                let place = (y + r) * width + x..(y + r) * width + x + PATCH;
                let difference = Lanes(sampled.row(r)) - Lanes::load(&self.level.from.data[place.clone()]);
                let weight = difference.map(|d| 1.0 / if d.abs() > 1.0 { d.abs() } else { 1.0 });
                let add = |to: &mut [f32], what: Lanes| {
                    let to: &mut [f32; PATCH] = to.first_chunk_mut().expect("eight pixels");
                    *to = (Lanes(*to) + what).0;
                };
                add(&mut weights[place.clone()], weight);
                add(&mut self.u.data[place.clone()], weight * Lanes::splat(vector[0]));
                add(&mut self.v.data[place], weight * Lanes::splat(vector[1]));
            }
        }
        let sums = self.u.data.iter_mut().zip(&mut self.v.data);
        for ((u, v), weight) in sums.zip(&weights) {
            // Pixels without a patch are filled later; they must not become NaN.
            let weight = 1.0 / if *weight > 0.0 { *weight } else { 1.0 };
            *u *= weight;
            *v *= weight;
        }
    }
}

/// Copies the last of `rows` rows and of `columns` columns into those behind it.
fn fill_rim(plane: &mut Plane, rows: usize, columns: usize) {
    for row in plane.data.chunks_exact_mut(plane.width).take(rows) {
        let last = row[columns - 1];
        row[columns..].fill(last);
    }
    let (done, rest) = plane.data.split_at_mut(rows * plane.width);
    let last = &done[(rows - 1) * plane.width..];
    rest.chunks_exact_mut(plane.width).for_each(|row| row.copy_from_slice(last));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rim_copies_the_border() {
        let data = (0..12).map(|i| i as f32).collect();
        let mut plane = Plane { height: 3, width: 4, data };
        fill_rim(&mut plane, 2, 3);
        assert_eq!(plane.data, [0.0, 1.0, 2.0, 2.0, 4.0, 5.0, 6.0, 6.0, 4.0, 5.0, 6.0, 6.0]);
    }
}
