//! Dense convolutions with few output channels: vectors run along the positions.
//!
//! With neighbouring positions next to each other in the input (stride 1, as in every phase of a transposed convolution), a whole
//! block is one long row of the padded piece. Sums are also formed at the places between rows, and dropped: cheaper than to leave most
//! lanes of a vector of output channels empty.

use super::super::kernel;
use super::super::real::Real;
use super::super::threads::{Shared, filled, for_each, with_scratch};
use super::apply::{Finish, channels_per_block, runs, steps, taps_that_meet};
use super::kept;
use super::plan::Plan;
use super::region::{Block, Region, Source, Window};
use super::weights::{Order, Packed};

/// Elements of the piece of the input that stay in the first-level cache.
const REGION: usize = 6 * 1024;
/// Positions of a block.
const POSITIONS: usize = 512;
/// Elements of a task's sums.
const SUMS: usize = 64 * 1024;

pub(super) struct Strips<'a> {
    plan: &'a Plan,
    window: Window,
    blocks: Vec<Block>,
}

impl<'a> Strips<'a> {
    /// The division into strips, where that beats vectors of output channels.
    pub(super) fn new<T: Real>(plan: &'a Plan) -> Option<Self> {
        let kernel = T::kernel();
        if plan.step != [1; 3] || plan.rows > kernel.lanes || plan.channels == 0 || plan.from == [1; 3] {
            return None;
        }
        let window = plan.window();
        let most = (SUMS / (plan.phases.len() * plan.rows)).clamp(1, POSITIONS);
        let blocks = Block::cut(plan.batch, plan.counts, most);
        let first = blocks.first()?;
        let padded = length(&Region::new(&window, first, 1), first).next_multiple_of(2 * kernel.lanes);
        let lanes = plan.rows.next_multiple_of(kernel.lanes);
        (padded * plan.rows < first.len() * lanes).then_some(Self { plan, window, blocks })
    }

    pub(super) fn run<T: Real>(&self, data: &[T], weight: &[T], finish: Finish<'_, T>) -> Vec<T> {
        let plan = self.plan;
        let channels = channels_per_block(plan, &self.window, &self.blocks, REGION);
        let packed = kept::packed(weight, Order::new(plan, plan.rows, channels));
        let packed = &*packed;
        // SAFETY: the tasks partition groups and blocks, and the phases partition the positions of the result.
        unsafe {
            filled(plan.len(), |out| {
                for_each(plan.groups * self.blocks.len(), |i| {
                    let (group, block) = (i / self.blocks.len(), &self.blocks[i % self.blocks.len()]);
                    self.run_task(group, block, data, packed, finish, out);
                });
            })
        }
    }

    fn run_task<T: Real>(
        &self,
        group: usize,
        block: &Block,
        data: &[T],
        packed: &Packed<T>,
        finish: Finish<'_, T>,
        out: Shared<T>,
    ) {
        let (kernel, plan) = (T::kernel(), self.plan);
        let region = Region::new(&self.window, block, packed.order.block.min(plan.channels));
        let volume: usize = plan.from.iter().product();
        let source = Source {
            data: &data[group * plan.channels * volume..],
            image_stride: plan.groups * plan.channels * volume,
        };
        let length = length(&region, block);
        let stride = length + kernel.strip_slack();
        let piece = region.len + stride;
        let sums = plan.rows * stride;
        with_scratch::<T, _>(piece + plan.phases.len() * sums, |scratch| {
            let (piece, all) = scratch.split_at_mut(piece);
            for first in (0..plan.channels).step_by(packed.order.block) {
                let channels = first..(first + packed.order.block).min(plan.channels);
                region.pack(kernel.simd, source, channels.clone(), piece);
                for (p, (phase, c)) in plan.phases.iter().zip(all.chunks_exact_mut(sums)).enumerate() {
                    let taps = taps_that_meet(plan.outer_axis(), &region, block, phase);
                    let steps = steps(plan, phase, &region, &taps, channels.len());
                    if steps.is_empty() {
                        c.fill(T::nil());
                    }
                    let b = packed.rows(group, p, 0, first, &taps);
                    let product = kernel::Strips {
                        a: piece,
                        steps: &steps,
                        b,
                        outputs: plan.rows,
                        length,
                        c_stride: stride,
                        accumulate: first > 0,
                    };
                    kernel.strips(&product, c);
                }
            }
            self.write(group, block, all, finish, out);
        });
    }

    fn write<T: Real>(
        &self,
        group: usize,
        block: &Block,
        sums: &mut [T],
        finish: Finish<'_, T>,
        out: Shared<T>,
    ) {
        let (simd, plan) = (T::kernel().simd, self.plan);
        let across = plan.interleaved();
        let region = Region::new(&self.window, block, 1);
        let positions = region.positions(block);
        let stride = sums.len() / (plan.phases.len() * plan.rows);
        let volume: usize = plan.to.iter().product();
        let row = block.axes[2].len();
        for (k, strip) in sums.chunks_exact_mut(stride).enumerate() {
            let channel = group * plan.rows + k % plan.rows;
            let bias = finish.bias.map(|b| b[channel]);
            simd.run(
                #[inline(always)]
                || {
                    if let Some(bias) = bias {
                        strip.iter_mut().for_each(|v| *v += bias);
                    }
                    finish.activation.apply_in_place(strip);
                },
            );
        }
        for run in runs(plan, block) {
            // A run may be several rows; in the piece there is padding between them.
            for (j, to) in (run.to..run.to + run.len).step_by(row * across).enumerate() {
                let from = run.from / across + j * row;
                let (plane, at) = (from / block.len(), positions[from % block.len()] as usize);
                let len = (row * across).min(run.to + run.len - to);
                assert!(to + len <= volume, "a run leads out of its channel");
                for channel in 0..plan.rows {
                    let first = (run.image * plan.groups + group) * plan.rows + channel;
                    let result = out.at(first * volume, volume);
                    for r in 0..across.min(len) {
                        let strip = ((plane * across + r) * plan.rows + channel) * stride + at;
                        let n = (len - r).div_ceil(across);
                        // SAFETY: the last element is `r + (n - 1) across < len` behind `to`, and the channel, whose bounds `at`
                        // checked, has `to + len` elements at least. No other task writes this row.
                        unsafe { spread(&sums[strip..strip + n], result.add(to + r), across) };
                    }
                }
            }
        }
    }
}

/// Elements from the first to the last position of a block.
fn length(region: &Region, block: &Block) -> usize {
    region.positions(block).last().map_or(0, |last| *last as usize + 1)
}

/// Writes `values`, `step` apart.
///
/// # Safety
/// `to` is valid for writes of that many elements at that distance.
unsafe fn spread<T: Real>(values: &[T], to: *mut T, step: usize) {
    if step == 1 {
        // SAFETY: as promised by the caller; `values` is scratch memory and does not overlap the result.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), to, values.len()) };
    } else {
        for (j, v) in values.iter().enumerate() {
            // SAFETY: as promised by the caller.
            unsafe { to.add(j * step).write(*v) };
        }
    }
}
