//! Convolution and transposed convolution on the CPU, block by block.

use std::ops::Range;

use super::super::activation::Activation;
use super::super::kernel::Product;
use super::super::kernel::transpose::transpose;
use super::super::real::Real;
use super::super::threads::{Shared, filled, for_each, with_scratch};
use super::geometry::Geometry;
use super::plan::{Phase, Plan, inner_taps, offset};
use super::region::{Block, Region, Source, Window};
use super::weights::{Order, Packed};
use super::{kept, strips};

/// What is done to each result before it is written.
#[derive(Clone, Copy)]
pub(super) struct Finish<'a, T> {
    /// One per output channel.
    pub bias: Option<&'a [T]>,
    pub activation: Activation,
}

/// Convolution: `[B, C_in, *input]` to `[B, C_out, *output]`.
pub(super) fn forward<T: Real>(g: &Geometry, input: &[T], weight: &[T], finish: Finish<'_, T>) -> Vec<T> {
    run(&Plan::forward(&g.flattened()), input, weight, finish)
}

/// Transposed convolution, the input gradient of the above: `[B, C_out, *output]` to `[B, C_in, *input]`.
pub(super) fn backward<T: Real>(g: &Geometry, grad: &[T], weight: &[T], finish: Finish<'_, T>) -> Vec<T> {
    let flat = g.flattened();
    let bias = finish.bias.map(|bias| flat.joined_bias(g, bias));
    let finish = Finish { bias: bias.as_deref(), activation: finish.activation };
    run(&Plan::backward(&flat), grad, weight, finish)
}

/// Elements of a task's sums that stay in the second-level cache, and of the piece of the input beside them.
const SUMS: usize = 192 * 1024;
const REGION: usize = 64 * 1024;
/// Positions that the weight, streamed through the cache for each block, is used for at least, if there are so many.
const POSITIONS: usize = 256;
const MOST_POSITIONS: usize = 512;
/// Positions below which the matrix kernels spend their time on the edges.
const FEW_POSITIONS: usize = 96;
/// Tasks wanted where the shape allows, for the sake of machines with several cores.
const TASKS: usize = 16;

fn run<T: Real>(plan: &Plan, data: &[T], weight: &[T], finish: Finish<'_, T>) -> Vec<T> {
    if plan.len() == 0 {
        return Vec::new();
    }
    if let Some(strips) = strips::Strips::new::<T>(plan) {
        return strips.run(data, weight, finish);
    }
    let cut = Cut::new::<T>(plan);
    let window = plan.window();
    let channels = channels_per_block(plan, &window, &cut.blocks, REGION);
    let packed = kept::packed(weight, Order::new(plan, cut.vectors * T::kernel().lanes, channels));
    let packed = &*packed;
    let tasks = plan.groups * cut.panel_groups() * cut.blocks.len();
    // SAFETY: the tasks partition groups, panels and blocks, and the phases partition the positions of the result.
    unsafe {
        filled(plan.len(), |out| {
            for_each(tasks, |i| {
                let (rest, block) = (i / cut.blocks.len(), &cut.blocks[i % cut.blocks.len()]);
                let (group, first) =
                    (rest / cut.panel_groups(), rest % cut.panel_groups() * cut.panels_at_once);
                let panels = first..(first + cut.panels_at_once).min(cut.panels);
                Task { plan, window: &window, packed, group, panels, block }.run(data, finish, out);
            });
        })
    }
}

/// Summed channels whose piece of the input stays in the cache, for the largest of the blocks.
pub(super) fn channels_per_block(plan: &Plan, window: &Window, blocks: &[Block], region: usize) -> usize {
    let most = blocks.iter().map(|b| Region::new(window, b, 1).len).max().unwrap_or(1);
    (region / most).clamp(1, plan.channels.max(1))
}

/// How the work is divided.
struct Cut {
    vectors: usize,
    panels: usize,
    panels_at_once: usize,
    blocks: Vec<Block>,
}

impl Cut {
    fn new<T: Real>(plan: &Plan) -> Self {
        let (vectors, panels) = T::kernel().panels(plan.rows);
        let per_panel = plan.phases.len() * vectors * T::kernel().lanes;
        let total = plan.batch * plan.counts.iter().product::<usize>();
        let mut panels_at_once = (SUMS / (per_panel * POSITIONS)).clamp(1, panels);
        let mut most = (SUMS / (per_panel * panels_at_once)).clamp(1, MOST_POSITIONS);
        let tasks = |panels_at_once: usize, most: usize| {
            plan.groups * panels.div_ceil(panels_at_once) * total.div_ceil(most)
        };
        // Fewer panels first: the input is copied once more for each group of panels, which two panels are worth.
        while tasks(panels_at_once, most) < TASKS && panels_at_once > 2 {
            panels_at_once = panels_at_once.div_ceil(2);
        }
        while tasks(panels_at_once, most) < TASKS && most > FEW_POSITIONS {
            most = (most / 2).max(FEW_POSITIONS);
        }
        if tasks(panels_at_once, most) < TASKS {
            panels_at_once = 1;
        }
        Self { vectors, panels, panels_at_once, blocks: Block::cut(plan.batch, plan.counts, most) }
    }

    fn panel_groups(&self) -> usize {
        self.panels.div_ceil(self.panels_at_once)
    }
}

/// A piece of the result: `panels` of a group's channels at the positions of a block.
struct Task<'a, T> {
    plan: &'a Plan,
    window: &'a Window,
    packed: &'a Packed<T>,
    group: usize,
    panels: Range<usize>,
    block: &'a Block,
}

impl<T: Real> Task<'_, T> {
    fn run(&self, data: &[T], finish: Finish<'_, T>, out: Shared<T>) {
        let region = Region::new(self.window, self.block, self.packed.order.block.min(self.plan.channels));
        let volume: usize = self.plan.from.iter().product();
        let source = Source {
            data: &data[self.group * self.plan.channels * volume..],
            image_stride: self.plan.groups * self.plan.channels * volume,
        };
        let piece = region.len;
        with_scratch::<T, _>(piece + self.panels.len() * self.panel_sums(), |scratch| {
            let (piece, sums) = scratch.split_at_mut(piece);
            self.add_up(&region, source, piece, sums);
            self.write(finish, sums, out);
        });
    }

    /// Elements of the sums of one panel: `[phases of the first two axes][position][phase of the last axis][width]`.
    fn panel_sums(&self) -> usize {
        self.plan.phases.len() * self.block.len() * self.packed.order.width
    }

    fn add_up(&self, region: &Region, source: Source<'_, T>, piece: &mut [T], sums: &mut [T]) {
        let kernel = T::kernel();
        let (width, across) = (self.packed.order.width, self.plan.interleaved());
        let rows = region.positions(self.block);
        let taps: Vec<Range<usize>> =
            self.plan.phases.iter().map(|p| self.taps_that_meet(region, p)).collect();
        if self.plan.channels == 0 || taps.iter().any(Range::is_empty) {
            sums.fill(T::nil());
        }
        for first in (0..self.plan.channels).step_by(self.packed.order.block) {
            let channels = first..(first + self.packed.order.block).min(self.plan.channels);
            region.pack(kernel.simd, source, channels.clone(), piece);
            for (phase, taps) in taps.iter().enumerate() {
                let steps = steps(self.plan, &self.plan.phases[phase], region, taps, channels.len());
                for (panel, sums) in self.panels.clone().zip(sums.chunks_exact_mut(self.panel_sums())) {
                    let start = (phase / across * self.block.len() * across + phase % across) * width;
                    let product = Product {
                        a: &*piece,
                        rows: &rows,
                        steps: &steps,
                        b: self.packed.rows(self.group, phase, panel, first, taps),
                        vectors: width / kernel.lanes,
                        c_stride: across * width,
                        accumulate: first > 0,
                    };
                    kernel.multiply(&product, &mut sums[start..]);
                }
            }
        }
    }

    /// Taps of the outer axis that are not in the padding for every position of the block.
    fn taps_that_meet(&self, region: &Region, phase: &Phase) -> Range<usize> {
        taps_that_meet(self.plan.outer_axis(), region, self.block, phase)
    }

    fn write(&self, finish: Finish<'_, T>, sums: &mut [T], out: Shared<T>) {
        let simd = T::kernel().simd;
        let width = self.packed.order.width;
        for (panel, sums) in self.panels.clone().zip(sums.chunks_exact_mut(self.panel_sums())) {
            let rows = panel * width..((panel + 1) * width).min(self.plan.rows);
            if finish.bias.is_some() || finish.activation != Activation::Identity {
                let channel = self.group * self.plan.rows;
                let bias = finish.bias.map(|b| &b[channel + rows.start..channel + rows.end]);
                simd.run(
                    #[inline(always)]
                    || finish_rows(sums, width, bias, finish.activation),
                );
            }
            for run in runs(self.plan, self.block) {
                let volume: usize = self.plan.to.iter().product();
                let channel = (run.image * self.plan.groups + self.group) * self.plan.rows + rows.start;
                let from = &sums[run.from * width..(run.from + run.len) * width];
                assert!(run.to + run.len <= volume, "a run leads out of its channel");
                // SAFETY: `from` has a row of `width` sums for each position, of which `rows.len() <= width` are read. `at` checks the
                // bounds of the channels, and each of them has the run's positions. No other task writes there.
                unsafe {
                    let to = out.at(channel * volume, rows.len() * volume).add(run.to);
                    transpose(simd, from.as_ptr(), width, to, volume, run.len, rows.len());
                }
            }
        }
    }
}

/// See [`Task::taps_that_meet`].
pub(super) fn taps_that_meet(outer: usize, region: &Region, block: &Block, phase: &Phase) -> Range<usize> {
    if phase.volume() == 0 {
        return 0..0;
    }
    let meets = |tap: &(isize, usize)| region.meets(block, outer, tap.0);
    let taps = &phase.taps[outer];
    match (taps.iter().position(meets), taps.iter().rposition(meets)) {
        (Some(first), Some(last)) => first..last + 1,
        _ => 0..0,
    }
}

/// Offsets of the inner dimension: (tap of the outer axis, channel, other taps).
pub(super) fn steps(
    plan: &Plan,
    phase: &Phase,
    region: &Region,
    taps: &Range<usize>,
    channels: usize,
) -> Vec<u32> {
    let outer = plan.outer_axis();
    let mut steps = Vec::with_capacity(taps.len() * channels * phase.volume());
    for tap in &phase.taps[outer][taps.clone()] {
        let inner = inner_taps(&phase.taps, outer, *tap, |taps| region.tap(offset(taps)) as u32);
        for channel in 0..channels {
            let start = (channel * region.channel_stride) as u32;
            steps.extend(inner.iter().map(|i| start + i));
        }
    }
    steps
}

/// Results that lie side by side in a channel.
pub(super) struct Run {
    pub image: usize,
    /// First row of the sums of a panel.
    pub from: usize,
    /// First element within the channel.
    pub to: usize,
    pub len: usize,
}

/// The results of a block, rows of phases of the last axis being interleaved already.
pub(super) fn runs(plan: &Plan, block: &Block) -> Vec<Run> {
    let across = plan.interleaved();
    let [nz, ny, nx] = block.axes.each_ref().map(Range::len);
    // Whole rows and planes of a plain convolution are one run.
    let plain = plan.spread == [1; 3];
    let whole_rows = plain && nx == plan.counts[2];
    let whole_planes = whole_rows && ny == plan.counts[1];
    let (merged_y, merged_z) = (if whole_rows { ny } else { 1 }, if whole_planes { nz } else { 1 });
    let mut runs = Vec::new();
    let mut plane = 0;
    while plane * across < plan.phases.len() {
        let [rz, ry, _] = plan.phases[plane * across].origin;
        for (i, image) in block.images.clone().enumerate() {
            for z in (0..nz).step_by(merged_z) {
                for y in (0..ny).step_by(merged_y) {
                    let at_z = (block.axes[0].start + z) * plan.spread[0] + rz;
                    let at_y = (block.axes[1].start + y) * plan.spread[1] + ry;
                    let at_x = block.axes[2].start * plan.spread[2];
                    if at_z >= plan.to[0] || at_y >= plan.to[1] {
                        continue;
                    }
                    let row = ((plane * block.images.len() + i) * nz + z) * ny + y;
                    let len = (nx * across).min(plan.to[2] - at_x);
                    runs.push(Run {
                        image,
                        from: row * nx * across,
                        to: (at_z * plan.to[1] + at_y) * plan.to[2] + at_x,
                        len: len * merged_y * merged_z,
                    });
                }
            }
        }
        plane += 1;
    }
    runs
}

#[inline(always)]
fn finish_rows<T: Real>(sums: &mut [T], width: usize, bias: Option<&[T]>, activation: Activation) {
    if let Some(bias) = bias {
        for row in sums.chunks_exact_mut(width) {
            for (v, b) in row.iter_mut().zip(bias) {
                *v += *b;
            }
        }
    }
    activation.apply_in_place(sums);
}
