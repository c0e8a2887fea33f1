//! Convolution and transposed convolution, block by block.

use std::ops::Range;

use super::super::super::activation::Activation;
use super::super::super::kernel::Simd;
use super::super::super::kernel::pairs::{COLUMNS, PairKernel, PairProduct, TILE};
use super::super::super::real::Real;
use super::super::super::threads::{Shared, as_pairs, filled, for_each, with_scratch};
use super::super::apply::Finish;
use super::super::plan::{Plan, offset};
use super::super::region::{Block, Source, Window};
use super::Element;
use super::lattice::Lattice;
use super::weights::{Weights, taps};

/// Pairs of a task's piece of the input, which stay in the second-level cache.
const PIECE: usize = 224 * 1024;
/// Positions of a block, at most, and those below which the weight is not worth its way through the cache.
const MOST_POSITIONS: usize = 1024;
const FEW_POSITIONS: usize = 256;
/// Tasks wanted where the shape allows, for the sake of machines with several cores.
const TASKS: usize = 16;
/// Result channels of a strip.
const STRIP: usize = 2 * TILE;

pub(super) fn run<S: Element>(
    kernel: &PairKernel,
    plan: &Plan,
    data: &[S],
    weight: &[S],
    finish: Finish<'_, f32>,
) -> Vec<S> {
    if plan.len() == 0 {
        return Vec::new();
    }
    let simd = f32::simd();
    let weights = Weights::new(simd, plan, weight);
    let cut = Cut::new(plan, &weights);
    let chunks = weights.strips().div_ceil(cut.strips_at_once);
    // SAFETY: the tasks partition groups, strips and blocks, and the phases partition the positions of the result.
    unsafe {
        filled(plan.len(), |out| {
            for_each(plan.groups * chunks * cut.blocks.len(), |i| {
                let (rest, block) = (i / cut.blocks.len(), &cut.blocks[i % cut.blocks.len()]);
                let (group, first) = (rest / chunks, rest % chunks * cut.strips_at_once);
                let strips = first..(first + cut.strips_at_once).min(weights.strips());
                let lattice = Lattice::new(&cut.window, block);
                Task { kernel, simd, plan, weights: &weights, group, strips, block, lattice }
                    .run(data, finish, out);
            });
        })
    }
}

/// How the work is divided.
struct Cut {
    window: Window,
    blocks: Vec<Block>,
    strips_at_once: usize,
}

impl Cut {
    fn new(plan: &Plan, weights: &Weights) -> Self {
        let window = plan.window();
        let lines = weights.blocks * weights.pairs;
        let cut = |most: usize| Block::cut(plan.batch, plan.counts, most);
        let fits = |blocks: &[Block]| {
            let largest = blocks.iter().map(|b| Lattice::new(&window, b).len()).max().unwrap_or(0);
            lines * largest <= PIECE
        };
        let mut most = MOST_POSITIONS;
        let mut blocks = cut(most);
        while most > 1 && (!fits(&blocks) || (plan.groups * blocks.len() < TASKS && most > FEW_POSITIONS)) {
            most /= 2;
            blocks = cut(most);
        }
        let chunks = TASKS.div_ceil(plan.groups * blocks.len()).min(weights.strips());
        Self { window, blocks, strips_at_once: weights.strips().div_ceil(chunks) }
    }
}

/// A piece of the result: some strips of a group's channels at the positions of a block.
struct Task<'a> {
    kernel: &'a PairKernel,
    simd: Simd,
    plan: &'a Plan,
    weights: &'a Weights,
    group: usize,
    strips: Range<usize>,
    block: &'a Block,
    lattice: Lattice,
}

impl Task<'_> {
    fn run<S: Element>(&self, data: &[S], finish: Finish<'_, f32>, out: Shared<S>) {
        let (plan, weights) = (self.plan, self.weights);
        let volume: usize = plan.from.iter().product();
        let source = Source {
            data: &data[self.group * plan.channels * volume..],
            image_stride: plan.groups * plan.channels * volume,
        };
        let lines = weights.blocks * weights.pairs;
        // An odd number of cache lines: the channels of a tile fall into different sets of a cache.
        let stride = (self.lattice.len().div_ceil(TILE) | 1) * TILE;
        let columns = self.lattice.line().next_multiple_of(COLUMNS);
        // Behind the farthest tap's last position, columns are rounded up to whole vectors.
        let piece = lines * stride + COLUMNS;
        let across = plan.interleaved();
        let sums = STRIP * columns;
        with_scratch::<f32, _>(piece + across * sums, |scratch| {
            let (piece, sums) = scratch.split_at_mut(piece);
            let piece = as_pairs(piece);
            let (whole, slack) = piece.split_at_mut(lines * stride);
            self.simd.run(
                #[inline(always)]
                || self.lattice.pack(source, plan.channels, stride, whole),
            );
            slack.fill(0);
            for plane in 0..plan.phases.len() / across {
                let phases = plane * across..(plane + 1) * across;
                let rows = self.result_rows(plane);
                let steps: Vec<Vec<u32>> = phases.clone().map(|phase| self.steps(phase, stride)).collect();
                for strip in self.strips.clone() {
                    for ((phase, steps), c) in
                        phases.clone().zip(&steps).zip(sums.chunks_exact_mut(STRIP * columns))
                    {
                        self.multiply(phase, strip, steps, piece, stride, c);
                    }
                    self.write(strip, columns, finish, &rows, sums, out);
                }
            }
        });
    }

    /// Where the steps of a phase start in the piece: for each block of channels, its taps.
    fn steps(&self, phase: usize, stride: usize) -> Vec<u32> {
        let block = self.weights.pairs * stride;
        let taps: Vec<usize> = taps(&self.plan.phases[phase])
            .map(|taps| self.lattice.tap(offset(taps)))
            .map(|(residue, distance)| residue * self.lattice.volume + distance)
            .collect();
        (0..self.weights.blocks).flat_map(|b| taps.iter().map(move |tap| (b * block + tap) as u32)).collect()
    }

    fn multiply(
        &self,
        phase: usize,
        strip: usize,
        steps: &[u32],
        piece: &[u32],
        stride: usize,
        c: &mut [f32],
    ) {
        let (tiles, a) = self.weights.strip(self.group, phase, strip);
        if steps.is_empty() || self.plan.channels == 0 {
            c.fill(0.0);
            return;
        }
        let tile = self.weights.tile();
        let product = PairProduct {
            a,
            a_stride: self.weights.pairs,
            a_step: tiles * tile,
            a_tile: tile,
            tiles,
            b: piece,
            steps,
            pairs: self.weights.pairs,
            b_stride: stride,
            columns: self.lattice.line(),
            c_stride: c.len() / STRIP,
            accumulate: false,
        };
        self.kernel.multiply(&product, c);
    }

    /// Writes the results of a strip: `sums` holds `[phase of the last axis][channel][element of the line]`.
    fn write<S: Element>(
        &self,
        strip: usize,
        columns: usize,
        finish: Finish<'_, f32>,
        rows: &[ResultRow],
        sums: &mut [f32],
        out: Shared<S>,
    ) {
        let plan = self.plan;
        let channels = strip * STRIP..((strip + 1) * STRIP).min(plan.rows);
        let volume: usize = plan.to.iter().product();
        self.simd.run(
            #[inline(always)]
            || {
                for (i, line) in sums.chunks_exact_mut(columns).enumerate() {
                    let channel = self.group * plan.rows + strip * STRIP + i % STRIP;
                    if i % STRIP >= channels.len() {
                        continue;
                    }
                    if let Some(bias) = finish.bias {
                        line.iter_mut().for_each(|v| *v += bias[channel]);
                    }
                    if finish.activation != Activation::Identity {
                        finish.activation.apply_in_place(line);
                    }
                }
                for row in rows {
                    for (i, channel) in channels.clone().enumerate() {
                        let first =
                            ((row.image * plan.groups + self.group) * plan.rows + channel) * volume + row.to;
                        // SAFETY: no other task writes this row of the channel.
                        let to = unsafe { out.slice(first..first + row.len) };
                        let line = |phase: usize| &sums[(phase * STRIP + i) * columns + row.from..];
                        interleave(line, plan.interleaved(), to);
                    }
                }
            },
        );
    }

    /// The rows of the result that the phases of a plane give together.
    fn result_rows(&self, plane: usize) -> Vec<ResultRow> {
        let (plan, block) = (self.plan, self.block);
        let across = plan.interleaved();
        let [rz, ry, _] = plan.phases[plane * across].origin;
        let at_x = block.axes[2].start * plan.spread[2];
        let len = (block.axes[2].len() * across).min(plan.to[2] - at_x);
        let mut rows = Vec::new();
        for (i, image) in block.images.clone().enumerate() {
            for (z, at_z) in block.axes[0].clone().map(|z| z * plan.spread[0] + rz).enumerate() {
                for (y, at_y) in block.axes[1].clone().map(|y| y * plan.spread[1] + ry).enumerate() {
                    if at_z < plan.to[0] && at_y < plan.to[1] {
                        let to = (at_z * plan.to[1] + at_y) * plan.to[2] + at_x;
                        rows.push(ResultRow { image, from: self.lattice.position(i, z, y), to, len });
                    }
                }
            }
        }
        rows
    }
}

/// Results that lie side by side in a channel.
struct ResultRow {
    image: usize,
    /// First element within the lines of sums.
    from: usize,
    /// First element within the channel.
    to: usize,
    len: usize,
}

/// `to[n j + p] = line(p)[j]` for `n` lines.
#[inline(always)]
fn interleave<'a, S: Element>(line: impl Fn(usize) -> &'a [f32], n: usize, to: &mut [S]) {
    match n {
        1 => to.iter_mut().zip(line(0)).for_each(|(t, v)| *t = S::narrow(*v)),
        2 => {
            let (even, odd) = (line(0), line(1));
            let (pairs, rest) = to.as_chunks_mut::<2>();
            if let [last] = rest {
                *last = S::narrow(even[pairs.len()]);
            }
            for ((t, a), b) in pairs.iter_mut().zip(even).zip(odd) {
                *t = [S::narrow(*a), S::narrow(*b)];
            }
        }
        _ => {
            for p in 0..n.min(to.len()) {
                to[p..].iter_mut().step_by(n).zip(line(p)).for_each(|(t, v)| *t = S::narrow(*v));
            }
        }
    }
}
