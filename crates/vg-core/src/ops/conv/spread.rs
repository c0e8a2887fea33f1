//! Convolution and its input gradient on the CPU: both multiply the weight, as a matrix, with patches of a tensor.
//!
//! A convolution with stride s reads every s-th patch. Its input gradient splits into s^d dense convolutions, one for each
//! remainder of the output position by s (its phase), each with the taps of the kernel that fall on that phase.

use std::ops::Range;

use super::super::activation::Activation;
use super::super::kernel::DEPTH;
use super::super::real::Real;
use super::super::threads::{Shared, filled, for_each, with_scratch};
use super::gather::{Gather, Segment, Source, pack, segments};
use super::geometry::Geometry;

/// What is done to each result before it is written.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a, T> {
    /// One per output channel.
    pub bias: Option<&'a [T]>,
    pub activation: Activation,
}

/// Convolution: `[B, C_in, *input]` to `[B, C_out, *output]`.
pub(super) fn forward<T: Real>(g: &Geometry, input: &[T], weight: &[T], finish: Finish<'_, T>) -> Vec<T> {
    let g = g.flattened();
    let (c_in, volume) = (g.c_in / g.groups, g.volume());
    let taps = std::array::from_fn(|a| {
        (0..g.kernel[a]).map(|k| ((k * g.dilation[a]) as isize - g.padding[a] as isize, k)).collect()
    });
    let phase = Phase::new(&g, g.input, g.output, g.stride, &taps);
    let plan = Plan {
        batch: g.batch,
        groups: g.groups,
        channels: c_in,
        rows: g.c_out / g.groups,
        from: g.input,
        to: g.output,
        step: [1; 3],
        sweeps: vec![Sweep { origin: [0, 0], phases: vec![phase] }],
        weight: WeightLayout {
            group: g.c_out / g.groups * c_in * volume,
            row: c_in * volume,
            channel: volume,
        },
    };
    plan.run(input, weight, finish)
}

/// Transposed convolution, the input gradient of the above: `[B, C_out, *output]` to `[B, C_in, *input]`.
pub(super) fn backward<T: Real>(g: &Geometry, grad: &[T], weight: &[T], finish: Finish<'_, T>) -> Vec<T> {
    let g = g.flattened();
    let (rows, channels, volume) = (g.c_in / g.groups, g.c_out / g.groups, g.volume());
    let axis = |a: usize, r: usize| -> Vec<(isize, usize)> {
        // Input position s*j + r gets the output positions i with s*i + k*dilation - padding = s*j + r.
        let (s, f) = (g.stride[a], r + g.padding[a]);
        let meets = |k: &usize| (k * g.dilation[a]) % s == f % s;
        let shift = |k: usize| (f as isize - (k * g.dilation[a]) as isize) / s as isize;
        (0..g.kernel[a]).filter(meets).map(|k| (shift(k), k)).collect()
    };
    let mut sweeps = Vec::new();
    for rz in 0..g.stride[0].min(g.input[0]) {
        for ry in 0..g.stride[1].min(g.input[1]) {
            let count = |a: usize, r: usize| (g.input[a] - r).div_ceil(g.stride[a]);
            // All phases of the last axis get the same number of positions; those beyond the end are dropped.
            let counts = [count(0, rz), count(1, ry), count(2, 0)];
            let phases = (0..g.stride[2].min(g.input[2]))
                .map(|rx| Phase::new(&g, g.output, counts, [1; 3], &[axis(0, rz), axis(1, ry), axis(2, rx)]))
                .collect();
            sweeps.push(Sweep { origin: [rz, ry], phases });
        }
    }
    let plan = Plan {
        batch: g.batch,
        groups: g.groups,
        channels,
        rows,
        from: g.output,
        to: g.input,
        step: g.stride,
        sweeps,
        weight: WeightLayout { group: channels * rows * volume, row: volume, channel: rows * volume },
    };
    plan.run(grad, weight, finish)
}

/// One dense convolution with unit output stride.
struct Phase {
    gather: Gather,
    /// Kernel element of each tap.
    elements: Vec<usize>,
}

impl Phase {
    fn new(
        g: &Geometry,
        from: [usize; 3],
        counts: [usize; 3],
        step: [usize; 3],
        taps: &[Vec<(isize, usize)>; 3],
    ) -> Self {
        let [tz, ty, tx] = taps;
        let mut elements = Vec::with_capacity(tz.len() * ty.len() * tx.len());
        for (_, z) in tz {
            for (_, y) in ty {
                elements.extend(tx.iter().map(|(_, x)| (z * g.kernel[1] + y) * g.kernel[2] + x));
            }
        }
        let offsets = std::array::from_fn(|a| taps[a].iter().map(|(offset, _)| *offset).collect());
        Self { gather: Gather { input: from, counts, step, offsets }, elements }
    }
}

/// Phases that share their first two axes, computed together so that the rows they interleave in are written once.
struct Sweep {
    origin: [usize; 2],
    phases: Vec<Phase>,
}

/// Element strides of the weight as seen from `(group, result channel, summed channel)`.
struct WeightLayout {
    group: usize,
    row: usize,
    channel: usize,
}

struct Plan {
    batch: usize,
    groups: usize,
    /// Channels summed over, per group.
    channels: usize,
    /// Channels of the result, per group.
    rows: usize,
    from: [usize; 3],
    to: [usize; 3],
    /// Distance in the result between positions of a phase.
    step: [usize; 3],
    sweeps: Vec<Sweep>,
    weight: WeightLayout,
}

/// A piece of the result: `rows` of a group at `columns` of a sweep.
struct Task {
    group: usize,
    sweep: usize,
    rows: Range<usize>,
    columns: Range<usize>,
}

/// Elements of a task's results that stay in the second-level cache.
const TILE_ELEMENTS: usize = 96 * 1024;
/// Most columns of a task: bounds the packed patches to the other part of the cache.
const TILE_COLUMNS: usize = 384;
/// Tasks wanted where the shape allows, for the sake of machines with several cores.
const TASKS: usize = 16;

impl Plan {
    fn run<T: Real>(&self, data: &[T], weight: &[T], finish: Finish<'_, T>) -> Vec<T> {
        let n = self.batch * self.groups * self.rows * self.to.iter().product::<usize>();
        if n == 0 {
            return Vec::new();
        }
        let (packed, starts) = self.pack_weight(weight);
        let tasks = self.tasks::<T>();
        // SAFETY: the tasks partition rows and columns of every sweep, and the sweeps' phases partition the positions.
        unsafe {
            filled(n, |out| {
                for_each(tasks.len(), |i| {
                    let task = &tasks[i];
                    let starts = &starts[task.group * self.phases() + self.phase_index(task.sweep)..];
                    self.run_task(task, data, &packed, starts, finish, out);
                });
            })
        }
    }

    fn phases(&self) -> usize {
        self.sweeps.iter().map(|s| s.phases.len()).sum()
    }

    fn phase_index(&self, sweep: usize) -> usize {
        self.sweeps[..sweep].iter().map(|s| s.phases.len()).sum()
    }

    fn depth(&self, phase: &Phase) -> usize {
        self.channels * phase.elements.len()
    }

    /// The weight of each (group, phase) as `[block of the inner dimension][row][DEPTH]`, and where each of them starts.
    fn pack_weight<T: Real>(&self, weight: &[T]) -> (Vec<T>, Vec<usize>) {
        let phases: Vec<(usize, &Phase)> = (0..self.groups)
            .flat_map(|g| self.sweeps.iter().flat_map(move |s| s.phases.iter().map(move |p| (g, p))))
            .collect();
        let mut starts = Vec::with_capacity(phases.len());
        let mut jobs = Vec::new();
        let mut total = 0;
        for (i, (_, phase)) in phases.iter().enumerate() {
            starts.push(total);
            for block in 0..self.depth(phase).div_ceil(DEPTH) {
                jobs.push((i, block, total));
                total += self.rows * DEPTH;
            }
        }
        // SAFETY: the jobs' stretches of `rows * DEPTH` elements follow each other without gaps up to `total`.
        let packed = unsafe {
            filled(total, |out: Shared<T>| {
                for_each(jobs.len(), |j| {
                    let (i, block, start) = jobs[j];
                    let (group, phase) = phases[i];
                    let to = std::slice::from_raw_parts_mut(out.ptr().add(start), self.rows * DEPTH);
                    self.pack_weight_block(&weight[group * self.weight.group..], phase, block, to);
                });
            })
        };
        (packed, starts)
    }

    fn pack_weight_block<T: Real>(&self, weight: &[T], phase: &Phase, block: usize, to: &mut [T]) {
        let taps = phase.elements.len();
        let first = block * DEPTH;
        let depth = (self.depth(phase) - first).min(DEPTH);
        for (row, to) in to.chunks_exact_mut(DEPTH).enumerate() {
            let (mut channel, mut tap) = (first / taps, first % taps);
            for t in &mut to[..depth] {
                *t = weight[row * self.weight.row + channel * self.weight.channel + phase.elements[tap]];
                tap += 1;
                if tap == taps {
                    (channel, tap) = (channel + 1, 0);
                }
            }
            to[depth..].fill(T::nil());
        }
    }

    fn tasks<T: Real>(&self) -> Vec<Task> {
        let width = T::kernel().width;
        let mut tasks = Vec::new();
        for (s, sweep) in self.sweeps.iter().enumerate() {
            let counts = sweep.phases[0].gather.counts;
            let columns = self.batch * counts.iter().product::<usize>();
            let fitting = TILE_ELEMENTS / (self.rows * sweep.phases.len());
            let wanted = columns.div_ceil(TASKS.div_ceil(self.sweeps.len() * self.groups));
            let tile = wanted.min(fitting).clamp(2 * width, TILE_COLUMNS).next_multiple_of(width);
            let tiles = columns.div_ceil(tile);
            let splits = TASKS.div_ceil(self.sweeps.len() * self.groups * tiles);
            let height = self.rows.div_ceil(splits).max(24.min(self.rows));
            for group in 0..self.groups {
                for c in 0..tiles {
                    for r in 0..self.rows.div_ceil(height) {
                        tasks.push(Task {
                            group,
                            sweep: s,
                            rows: r * height..((r + 1) * height).min(self.rows),
                            columns: c * tile..((c + 1) * tile).min(columns),
                        });
                    }
                }
            }
        }
        tasks
    }

    fn run_task<T: Real>(
        &self,
        task: &Task,
        data: &[T],
        packed: &[T],
        starts: &[usize],
        finish: Finish<'_, T>,
        out: Shared<T>,
    ) {
        let width = T::kernel().width;
        let sweep = &self.sweeps[task.sweep];
        let columns = task.columns.len().next_multiple_of(width);
        let tile = task.rows.len() * columns;
        let volume: usize = self.from.iter().product();
        let data = &data[task.group * self.channels * volume..];
        with_scratch::<T, _>(DEPTH * columns + tile * sweep.phases.len(), |scratch| {
            let (patches, results) = scratch.split_at_mut(DEPTH * columns);
            for ((phase, result), start) in
                sweep.phases.iter().zip(results.chunks_exact_mut(tile)).zip(starts)
            {
                let source = Source {
                    data,
                    image_stride: self.groups * self.channels * volume,
                    gather: &phase.gather,
                };
                self.multiply(task, phase, source, &packed[*start..], patches, result);
            }
            self.write(task, results, tile, finish, out);
        });
    }

    /// The product of weight rows and patches, as tiles `[column panel][row block][row][width]`.
    fn multiply<T: Real>(
        &self,
        task: &Task,
        phase: &Phase,
        source: Source<'_, T>,
        packed: &[T],
        patches: &mut [T],
        result: &mut [T],
    ) {
        let kernel = T::kernel();
        let total = self.depth(phase);
        if total == 0 {
            result.fill(T::nil());
        }
        for first in (0..total).step_by(DEPTH) {
            let depth = (total - first).min(DEPTH);
            let stride = depth * kernel.width;
            pack(
                kernel.simd,
                source,
                first..first + depth,
                task.columns.clone(),
                kernel.width,
                stride,
                patches,
            );
            let weight = &packed[(first / DEPTH * self.rows + task.rows.start) * DEPTH..];
            super::tiles::multiply(kernel, task.rows.len(), depth, weight, patches, result, first > 0);
        }
    }

    fn write<T: Real>(
        &self,
        task: &Task,
        results: &mut [T],
        tile: usize,
        finish: Finish<'_, T>,
        out: Shared<T>,
    ) {
        let sweep = &self.sweeps[task.sweep];
        let (width, height, phases) = (T::kernel().width, task.rows.len(), sweep.phases.len());
        let volume: usize = self.to.iter().product();
        let plain = self.step == [1; 3];
        let counts = if plain { [1, 1, volume] } else { sweep.phases[0].gather.counts };
        let pieces: Vec<Segment> = segments(task.columns.clone(), counts, width).collect();
        for (row, channel) in task.rows.clone().enumerate() {
            let channel = task.group * self.rows + channel;
            let bias = finish.bias.map(|b| b[channel]);
            for piece in &pieces {
                let at = (piece.panel * height + row) * width + piece.at;
                let [z, y, x] = piece.position;
                let line =
                    (z * self.step[0] + sweep.origin[0]) * self.to[1] + (y * self.step[1] + sweep.origin[1]);
                let base = (piece.image * self.groups * self.rows + channel) * volume
                    + if plain { x } else { line * self.to[2] + x * self.step[2] };
                for phase in 0..phases {
                    let values = &mut results[phase * tile + at..][..piece.len];
                    if let Some(b) = bias {
                        values.iter_mut().for_each(|v| *v += b);
                    }
                    finish.activation.apply_in_place(values);
                    let room = if plain {
                        piece.len
                    } else {
                        (self.to[2] - x * self.step[2]).saturating_sub(phase).div_ceil(self.step[2])
                    };
                    // SAFETY: the positions lie inside the channel's volume, and no other task or phase writes them.
                    unsafe {
                        write_strided(values, out.ptr().add(base + phase), self.step[2], room);
                    }
                }
            }
        }
    }
}

/// Writes at most `room` of `values`, `step` apart.
///
/// # Safety
/// `to` is valid for writes of that many elements at that distance.
unsafe fn write_strided<T: Real>(values: &[T], to: *mut T, step: usize, room: usize) {
    let n = values.len().min(room);
    if step == 1 {
        // SAFETY: as promised by the caller; `values` is scratch memory and does not overlap the result.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), to, n) };
    } else {
        for (j, v) in values[..n].iter().enumerate() {
            // SAFETY: as promised by the caller.
            unsafe { to.add(j * step).write(*v) };
        }
    }
}
