//! The weight in the order in which the matrix kernels read it.

use super::super::kernel::transpose::transpose;
use super::super::real::Real;
use super::super::threads::{Shared, filled, for_each};
use super::plan::{Plan, WeightLayout, element, inner_taps};

/// Where the rows of every (group, phase, panel), each of `width` result channels, come from and go to.
///
/// The rows are ordered by (block of summed channels, tap of the outer axis, channel, taps of the other axes): a block's taps in the
/// padding of the outer axis can be left out by choosing a range, and neighbouring rows read neighbouring elements of the input.
#[derive(PartialEq)]
pub(super) struct Order {
    /// Result channels of a panel.
    pub width: usize,
    /// Panels of a group.
    panels: usize,
    /// Summed channels of a block; the last one may have fewer.
    pub block: usize,
    phases: Vec<PhaseOrder>,
    groups: usize,
    group_stride: usize,
    channels: usize,
    /// Result channels of a group.
    rows: usize,
    /// Elements of the kernel.
    volume: usize,
    layout: WeightLayout,
}

/// Where a phase's rows come from and go to.
#[derive(PartialEq)]
struct PhaseOrder {
    /// For each tap of the outer axis, the kernel's elements of the others.
    elements: Vec<Vec<usize>>,
    /// Elements of the kernel.
    volume: usize,
    /// First element within the group.
    start: usize,
}

impl Order {
    /// For panels of `width` result channels and blocks of `block` summed channels.
    pub(super) fn new(plan: &Plan, width: usize, block: usize) -> Self {
        let panels = plan.rows.div_ceil(width);
        let outer = plan.outer_axis();
        let mut start = 0;
        let phases = plan
            .phases
            .iter()
            .map(|phase| {
                let elements = phase.taps[outer]
                    .iter()
                    .map(|tap| inner_taps(&phase.taps, outer, *tap, |taps| element(plan.kernel, taps)))
                    .collect();
                let order = PhaseOrder { elements, volume: phase.volume(), start };
                start += panels * plan.channels * order.volume * width;
                order
            })
            .collect();
        Self {
            width,
            panels,
            block,
            phases,
            groups: plan.groups,
            group_stride: start,
            channels: plan.channels,
            rows: plan.rows,
            volume: plan.kernel.iter().product(),
            layout: plan.weight,
        }
    }

    /// First element of a panel's rows of the block that starts at `channel`.
    fn start(&self, group: usize, phase: usize, panel: usize, channel: usize) -> usize {
        let order = &self.phases[phase];
        group * self.group_stride
            + order.start
            + (panel * self.channels + channel) * order.volume * self.width
    }
}

/// The weight in the order of the kernels.
pub(super) struct Packed<T> {
    data: Vec<T>,
    pub order: Order,
}

impl<T: Real> Packed<T> {
    /// The weight, in this order.
    pub(super) fn new(weight: &[T], order: Order) -> Self {
        let blocks = order.channels.div_ceil(order.block.max(1));
        let jobs = order.groups * order.panels * blocks;
        // SAFETY: the jobs partition groups, panels and blocks of channels. Each writes all of its rows: every lane of the width, for
        // every tap, channel and inner tap of every phase.
        let data = unsafe {
            filled(order.groups * order.group_stride, |out| {
                for_each(jobs, |job| {
                    let (rest, block) = (job / blocks, job % blocks);
                    pack_block(&order, weight, [rest / order.panels, rest % order.panels, block], out);
                });
            })
        };
        Self { data, order }
    }

    /// The rows of a panel that belong to `taps` of the outer axis for the block of channels that starts at `channel`.
    pub(super) fn rows(
        &self,
        group: usize,
        phase: usize,
        panel: usize,
        channel: usize,
        taps: &std::ops::Range<usize>,
    ) -> &[T] {
        let (all, order) = (&self.order, &self.order.phases[phase]);
        let channels = all.block.min(all.channels - channel);
        let per_tap = channels * order.elements.first().map_or(0, Vec::len);
        let first = all.start(group, phase, panel, channel) + taps.start * per_tap * all.width;
        &self.data[first..first + taps.len() * per_tap * all.width]
    }
}

/// Packs a block of summed channels of a panel.
fn pack_block<T: Real>(order: &Order, weight: &[T], [group, panel, block]: [usize; 3], out: Shared<T>) {
    let (lanes, simd, layout) = (T::kernel().lanes, T::kernel().simd, order.layout);
    let volume = order.volume;
    let first = block * order.block;
    let channels = order.block.min(order.channels - first);
    // Several channels at a time where they lie side by side and the kernel is small.
    let together = if layout.channel == volume { 64usize.div_ceil(volume).min(channels) } else { 1 };
    let mut columns = vec![T::nil(); together * volume * lanes];
    for lane in (0..order.width).step_by(lanes) {
        let row = panel * order.width + lane;
        let wide = lanes.min(order.width - lane);
        let rows = order.rows.saturating_sub(row).min(wide);
        if rows < lanes {
            columns.fill(T::nil());
        }
        for c in (0..channels).step_by(together) {
            let n = together.min(channels - c);
            if rows > 0 && layout.row == 1 && n == 1 {
                // Rows of one element each: they already lie side by side.
                let from = group * layout.group + row + (first + c) * layout.channel;
                columns[..rows].copy_from_slice(&weight[from..from + rows]);
            } else if rows > 0 {
                let from = &weight[group * layout.group + row * layout.row + (first + c) * layout.channel..];
                assert!(from.len() >= (rows - 1) * layout.row + n * volume);
                // SAFETY: the source was just checked; the columns hold `together * volume` rows of `lanes` elements, `n` is at
                // most `together` and `rows` at most `lanes`.
                unsafe {
                    transpose(simd, from.as_ptr(), layout.row, columns.as_mut_ptr(), lanes, rows, n * volume);
                }
            }
            for (phase, of) in order.phases.iter().enumerate() {
                let inner = of.elements.first().map_or(0, Vec::len);
                // The rows of this panel and block in this phase; the loops below stay inside of them.
                let rows = channels * of.elements.len() * inner;
                let block = out.at(order.start(group, phase, panel, first), rows * order.width);
                for (tap, elements) in of.elements.iter().enumerate() {
                    for channel in 0..n {
                        let k = (tap * channels + c + channel) * inner;
                        for (i, element) in elements.iter().enumerate() {
                            let from = &columns[(channel * volume + element) * lanes..][..wide];
                            // SAFETY: `k + i < rows`, because `tap`, `c + channel` and `i` are below the factors of `rows`,
                            // and `lane + wide <= width`: the elements lie in the block, whose bounds were checked above.
                            // No other job writes this panel and block. `from` has `wide` elements.
                            unsafe {
                                let to = block.add((k + i) * order.width + lane);
                                std::ptr::copy_nonoverlapping(from.as_ptr(), to, wide);
                            }
                        }
                    }
                }
            }
        }
    }
}
