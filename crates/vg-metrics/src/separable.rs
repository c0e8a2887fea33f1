//! Maps of planes that are a weighted sum of a few rows and columns: resizing, blurring.

use candle_core::Tensor;
use rayon::prelude::*;
use vg_core::Result;

/// Where the values of an axis come from: the same number of input positions and weights for each.
pub(crate) struct Axis {
    input: usize,
    taps: usize,
    at: Vec<usize>,
    weight: Vec<f32>,
}

impl Axis {
    /// An axis of `input` positions, still without results, each of which will take `taps` positions.
    pub(crate) fn new(input: usize, taps: usize) -> Self {
        Self { input, taps, at: vec![], weight: vec![] }
    }

    /// The next tap of the result's positions; `at` is below the input's size.
    pub(crate) fn push(&mut self, at: usize, weight: f32) {
        self.at.push(at);
        self.weight.push(weight);
    }

    fn output(&self) -> usize {
        self.at.len() / self.taps
    }

    fn positions(&self) -> impl Iterator<Item = (&[usize], &[f32])> {
        self.at.chunks_exact(self.taps).zip(self.weight.chunks_exact(self.taps))
    }
}

/// Maps the last two axes of an f32 tensor whose sizes are the inputs of `rows` and `columns`, neither empty.
pub(crate) fn apply(x: &Tensor, rows: &Axis, columns: &Axis) -> Result<Tensor> {
    let (before, after) = (rows.input * columns.input, rows.output() * columns.output());
    let mut shape = x.dims().to_vec();
    let leading = shape.len() - 2;
    shape.truncate(leading);
    let mut out = vec![0.0; shape.iter().product::<usize>() * after];
    shape.extend([rows.output(), columns.output()]);
    let values = x.flatten_all()?.to_vec1::<f32>()?;
    let planes = out.par_chunks_exact_mut(after).zip(values.par_chunks_exact(before));
    planes.for_each(|(to, from)| plane(from, rows, columns, to));
    Ok(Tensor::from_vec(out, shape, x.device())?)
}

fn plane(from: &[f32], rows: &Axis, columns: &Axis, to: &mut [f32]) {
    let width = columns.input;
    let mut blend = vec![0.0_f32; width];
    for ((at, weights), to) in rows.positions().zip(to.chunks_exact_mut(columns.output())) {
        blend.fill(0.0);
        for (row, weight) in at.iter().zip(weights) {
            let row = &from[row * width..][..width];
            blend.iter_mut().zip(row).for_each(|(sum, v)| *sum += weight * v);
        }
        for ((at, weights), to) in columns.positions().zip(to) {
            *to = at.iter().zip(weights).map(|(at, weight)| weight * blend[*at]).sum();
        }
    }
}
