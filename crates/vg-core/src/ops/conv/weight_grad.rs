//! Gradient of the weight on the CPU: a matrix product over all positions of all images.

use std::ops::Range;

use super::super::kernel::{DEPTH, MAX_WIDTH};
use super::super::real::Real;
use super::super::threads::{Shared, filled, for_each, with_scratch};
use super::gather::{Gather, Source, pack};
use super::geometry::Geometry;

/// `[C_out, C_in / groups, *kernel]` from `[B, C_in, *input]` and `[B, C_out, *output]`.
pub(super) fn weight_grad<T: Real>(g: &Geometry, input: &[T], grad: &[T]) -> Vec<T> {
    let plan = Plan::new::<T>(&g.flattened());
    let n = plan.groups * plan.elements();
    if plan.positions == 0 || n == 0 {
        return vec![T::nil(); n];
    }
    // SAFETY: the tasks partition groups, rows, columns and splits, and a split's part covers the whole weight.
    let parts = unsafe {
        filled(plan.splits * n, |out| {
            for_each(plan.tasks.len(), |i| plan.run_task(&plan.tasks[i], input, grad, out));
        })
    };
    if plan.splits == 1 { parts } else { add_parts(&parts, n) }
}

/// Which operand gives the rows of the product (the kernel's A), the other one giving the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    Patches,
    Gradient,
}

struct Plan {
    groups: usize,
    /// Channels per group.
    c_in: usize,
    c_out: usize,
    input_image: usize,
    grad_image: usize,
    patches: Gather,
    gradient: Gather,
    /// Columns of the patch matrix: batch times output positions.
    positions: usize,
    rows: Rows,
    /// Partial sums, each over a fixed range of positions.
    splits: usize,
    tasks: Vec<Task>,
}

struct Task {
    group: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    split: usize,
    positions: Range<usize>,
}

/// Elements of a task's two operands and its sums that stay in the second-level cache.
const TILE_ELEMENTS: usize = 192 * 1024;
/// Most columns of a task.
const TILE_COLUMNS: usize = 256;
/// Tasks wanted where the shape allows.
const TASKS: usize = 16;

impl Plan {
    fn new<T: Real>(g: &Geometry) -> Self {
        let out_volume: usize = g.output.iter().product();
        let offsets = std::array::from_fn(|a| {
            (0..g.kernel[a]).map(|k| (k * g.dilation[a]) as isize - g.padding[a] as isize).collect()
        });
        let mut plan = Self {
            groups: g.groups,
            c_in: g.c_in / g.groups,
            c_out: g.c_out / g.groups,
            input_image: g.c_in * g.input.iter().product::<usize>(),
            grad_image: g.c_out * out_volume,
            patches: Gather { input: g.input, counts: g.output, step: g.stride, offsets },
            gradient: Gather::identity(out_volume),
            positions: g.batch * out_volume,
            rows: Rows::Patches,
            splits: 1,
            tasks: Vec::new(),
        };
        let inner = plan.c_in * plan.patches.taps();
        if plan.c_out < T::kernel().width && inner > plan.c_out {
            plan.rows = Rows::Gradient;
        }
        plan.cut(inner);
        plan
    }

    fn elements(&self) -> usize {
        self.c_out * self.c_in * self.patches.taps()
    }

    fn cut(&mut self, inner: usize) {
        let (rows, columns) = match self.rows {
            Rows::Patches => (inner, self.c_out),
            Rows::Gradient => (self.c_out, inner),
        };
        let width = columns.clamp(1, TILE_COLUMNS);
        let height = rows.clamp(1, (TILE_ELEMENTS.saturating_sub(DEPTH * width) / (DEPTH + width)).max(12));
        let areas = rows.div_ceil(height) * columns.div_ceil(width) * self.groups;
        let blocks = self.positions.div_ceil(DEPTH);
        self.splits = TASKS.div_ceil(areas.max(1)).clamp(1, blocks.max(1));
        for split in 0..self.splits {
            let positions = split * blocks / self.splits * DEPTH
                ..((split + 1) * blocks / self.splits * DEPTH).min(self.positions);
            for group in 0..self.groups {
                for r in (0..rows).step_by(height) {
                    for c in (0..columns).step_by(width) {
                        self.tasks.push(Task {
                            group,
                            rows: r..(r + height).min(rows),
                            columns: c..(c + width).min(columns),
                            split,
                            positions: positions.clone(),
                        });
                    }
                }
            }
        }
    }

    fn run_task<T: Real>(&self, task: &Task, input: &[T], grad: &[T], out: Shared<T>) {
        let kernel = T::kernel();
        let (height, panels) = (task.rows.len(), task.columns.len().div_ceil(kernel.width));
        let patches = Source {
            data: &input[task.group * self.c_in * self.patches.input.iter().product::<usize>()..],
            image_stride: self.input_image,
            gather: &self.patches,
        };
        let gradient = Source {
            data: &grad[task.group * self.c_out * self.gradient.input[2]..],
            image_stride: self.grad_image,
            gather: &self.gradient,
        };
        let (a_source, b_source) = match self.rows {
            Rows::Patches => (patches, gradient),
            Rows::Gradient => (gradient, patches),
        };
        let panel = DEPTH * kernel.width;
        let sizes = [height * DEPTH, panels * panel, MAX_WIDTH * DEPTH, panels * kernel.width * height];
        with_scratch::<T, _>(sizes.iter().sum(), |scratch| {
            let (a, rest) = scratch.split_at_mut(sizes[0]);
            let (b, rest) = rest.split_at_mut(sizes[1]);
            let (lines, sums) = rest.split_at_mut(sizes[2]);
            for first in task.positions.clone().step_by(DEPTH) {
                let span = first..(first + DEPTH).min(task.positions.end);
                pack(kernel.simd, a_source, task.rows.clone(), span.clone(), DEPTH, sizes[0], a);
                for p in 0..panels {
                    let start = task.columns.start + p * kernel.width;
                    let columns = start..(start + kernel.width).min(task.columns.end);
                    pack(kernel.simd, b_source, columns.clone(), span.clone(), DEPTH, sizes[2], lines);
                    let to = &mut b[p * span.len() * kernel.width..][..span.len() * kernel.width];
                    transpose(lines, columns.len(), to, kernel.width);
                }
                let again = first > task.positions.start;
                super::tiles::multiply(kernel, height, span.len(), a, b, sums, again);
            }
            self.write(task, sums, out);
        });
    }

    /// Writes the tiles `[panel][row][width]` into this split's part.
    fn write<T: Real>(&self, task: &Task, sums: &[T], out: Shared<T>) {
        let width = T::kernel().width;
        let inner = self.c_in * self.patches.taps();
        let base = (task.split * self.groups + task.group) * self.elements();
        let (row_step, column_step) = match self.rows {
            Rows::Patches => (1, inner),
            Rows::Gradient => (inner, 1),
        };
        for (j, column) in task.columns.clone().enumerate() {
            for (i, row) in task.rows.clone().enumerate() {
                let value = sums[(j / width * task.rows.len() + i) * width + j % width];
                // SAFETY: row and column lie in the weight of this group, and no other task of this split writes them.
                unsafe { out.ptr().add(base + row * row_step + column * column_step).write(value) };
            }
        }
    }
}

/// Turns `n` lines of [`DEPTH`] elements into rows of `width` elements, one for each element of the lines, filled with zeros.
fn transpose<T: Real>(lines: &[T], n: usize, to: &mut [T], width: usize) {
    /// Rows written at a time, so that they stay in the first-level cache.
    const ROWS: usize = 16;
    for (block, rows) in to.chunks_mut(ROWS * width).enumerate() {
        for (j, line) in lines.chunks_exact(DEPTH).take(n).enumerate() {
            for (row, v) in rows.chunks_exact_mut(width).zip(&line[block * ROWS..]) {
                row[j] = *v;
            }
        }
        if n < width {
            rows.chunks_exact_mut(width).for_each(|row| row[n..].fill(T::nil()));
        }
    }
}

/// The sum of the parts, in their order.
fn add_parts<T: Real>(parts: &[T], n: usize) -> Vec<T> {
    let (first, rest) = parts.split_at(n);
    let mut sum = first.to_vec();
    for part in rest.chunks_exact(n) {
        for (s, p) in sum.iter_mut().zip(part) {
            *s += *p;
        }
    }
    sum
}
