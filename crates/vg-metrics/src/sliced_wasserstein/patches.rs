//! Standardised 7x7 patches and their projections.

use rayon::prelude::*;

use super::sort_columns;
use crate::error::{Error, Result};
use crate::linalg::product_transposed;
use crate::pixels::Image;

const SIDE: usize = 7;
const AREA: usize = SIDE * SIDE;
/// Patches that are standardised and projected at a time.
const BLOCK: usize = 4096;
/// Directions whose projections are in memory at a time.
const DIRECTIONS: usize = 16;

/// Patches of one pyramid level, `C x 7 x 7` numbers each in the order channel, row, column; f32, as pyramids of bytes need no more.
#[derive(Clone, Debug)]
pub struct PatchSet {
    channels: usize,
    values: Vec<f32>,
}

/// Mean and reciprocal standard deviation of every channel.
type Scales = Vec<(f64, f64)>;

impl PatchSet {
    /// An empty set.
    pub fn new(channels: usize) -> Self {
        Self { channels, values: Vec::new() }
    }

    /// Numbers per patch.
    pub fn dim(&self) -> usize {
        self.channels.saturating_mul(AREA)
    }

    /// Number of patches.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim().max(1)
    }

    /// Whether there are no patches.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Adds the patches around centres (row, column) of a level.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of channels, [`Error::Setting`] when a patch leaves the image.
    pub fn push(&mut self, level: &Image, centres: &[(usize, usize)]) -> Result<()> {
        let [channels, height, width] = level.dims();
        if channels != self.channels {
            let expected = format!("{} channels", self.channels);
            return Err(Error::shape("image of a patch", expected, &level.dims()));
        }
        let half = SIDE / 2;
        let inside = |at: usize, side: usize| at >= half && at + half < side;
        if let Some(c) = centres.iter().find(|(y, x)| !inside(*y, height) || !inside(*x, width)) {
            let expected = format!("3 pixels or more inside {height} x {width}");
            return Err(Error::setting("centre of a patch", format!("{c:?}"), expected));
        }
        for &(y, x) in centres {
            for plane in level.planes() {
                for row in y - half..=y + half {
                    let part = &plane[row * width + x - half..][..SIDE];
                    self.values.extend(part.iter().map(|v| *v as f32));
                }
            }
        }
        Ok(())
    }

    /// Patch `i` after standardisation: per channel, over all patches and positions, mean 0 and population variance 1.
    ///
    /// # Panics
    /// When `i` is out of range.
    pub fn descriptor(&self, i: usize) -> Vec<f64> {
        self.standardised(&self.values[i * self.dim()..][..self.dim()], &self.scales())
    }

    fn scales(&self) -> Scales {
        let count = (self.len() * AREA) as f64;
        (0..self.channels)
            .map(|c| {
                let over = |f: &(dyn Fn(f64) -> f64 + Sync)| {
                    // One sum per block, then the blocks in order: the same with any number of threads.
                    let blocks = self.values.par_chunks(BLOCK * self.dim());
                    let sums = blocks.map(|b| {
                        let patches = b.chunks_exact(self.dim());
                        patches.flat_map(|p| &p[c * AREA..][..AREA]).map(|v| f(f64::from(*v))).sum::<f64>()
                    });
                    sums.collect::<Vec<f64>>().iter().sum::<f64>() / count
                };
                let mean = over(&|v| v);
                let std = over(&|v| (v - mean) * (v - mean)).sqrt();
                // A constant channel says nothing, instead of NaN.
                (mean, if std > 0.0 { 1.0 / std } else { 0.0 })
            })
            .collect()
    }

    fn standardised(&self, patches: &[f32], scales: &Scales) -> Vec<f64> {
        let channels = patches.chunks_exact(AREA).zip(scales.iter().cycle());
        channels
            .flat_map(|(v, (mean, scale))| v.iter().map(move |v| (f64::from(*v) - mean) * scale))
            .collect()
    }

    /// Sorted projections on `directions` `[n, dim]`: `n` columns of one number per patch.
    fn projections(&self, directions: &[f64], scales: &Scales) -> Vec<f64> {
        let (dim, count) = (self.dim(), self.len());
        let n = directions.len() / dim;
        let blocks: Vec<Vec<f64>> = self
            .values
            .par_chunks(BLOCK * dim)
            .map(|b| product_transposed(&self.standardised(b, scales), directions, dim))
            .collect();
        let mut columns = vec![0.0; n * count];
        columns.par_chunks_exact_mut(count).enumerate().for_each(|(j, column)| {
            let values = blocks.iter().flat_map(|b| b.iter().skip(j).step_by(n));
            column.iter_mut().zip(values).for_each(|(to, v)| *to = *v);
        });
        sort_columns(&mut columns, count);
        columns
    }
}

impl PatchSet {
    /// Mean over directions `[n, dim]`, of any length but 0, of the Wasserstein-1 distance between the projections of two sets of
    /// standardised patches; not multiplied by 1000.
    ///
    /// # Errors
    /// [`Error::Shape`] when the sets differ in size or channels or the directions do not fit, [`Error::TooFew`] for empty sets.
    pub fn distance_along(&self, other: &Self, directions: &[f64]) -> Result<f64> {
        let dim = self.dim();
        if other.dim() != dim || other.len() != self.len() {
            let expected = format!("{} patches of {dim} numbers", self.len());
            return Err(Error::shape("second set of patches", expected, &[other.len(), other.dim()]));
        }
        if dim == 0 || directions.is_empty() || !directions.len().is_multiple_of(dim) {
            return Err(Error::shape("directions", format!("rows of {dim} numbers"), &[directions.len()]));
        }
        Error::at_least("patches", self.len(), 1)?;
        let unit: Vec<f64> = directions
            .chunks_exact(dim)
            .flat_map(|d| {
                let norm = d.iter().map(|v| v * v).sum::<f64>().sqrt();
                d.iter().map(move |v| v / norm)
            })
            .collect();
        let (scales_a, scales_b) = (self.scales(), other.scales());
        let mut sum = 0.0;
        for group in unit.chunks(DIRECTIONS * dim) {
            let (p, q) = (self.projections(group, &scales_a), other.projections(group, &scales_b));
            let columns = p.par_chunks_exact(self.len()).zip(q.par_chunks_exact(self.len()));
            let gaps = columns
                .map(|(p, q)| p.iter().zip(q).map(|(u, v)| (u - v).abs()).sum::<f64>() / self.len() as f64);
            sum += gaps.collect::<Vec<f64>>().iter().sum::<f64>();
        }
        Ok(sum / (unit.len() / dim) as f64)
    }
}
