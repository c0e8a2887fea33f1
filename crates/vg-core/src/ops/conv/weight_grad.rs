//! Gradient of the weight on the CPU: sums over all positions of all images.
//!
//! The same kernel as for the convolution, with positions and taps in each other's places: the rows are the (channel, tap) pairs, the
//! inner dimension runs over the positions, and the packed operand is the output gradient, transposed to `[position][channel]`.

use std::ops::Range;

use super::super::kernel::Product;
use super::super::kernel::transpose::transpose;
use super::super::real::Real;
use super::super::threads::{Shared, filled, for_each, with_scratch};
use super::geometry::Geometry;
use super::plan::{Plan, element, inner_taps, offset};
use super::region::{Block, Region, Source, Window};

/// `[C_out, C_in / groups, *kernel]` from `[B, C_in, *input]` and `[B, C_out, *output]`.
pub(super) fn weight_grad<T: Real>(g: &Geometry, input: &[T], grad: &[T]) -> Vec<T> {
    let plan = Plan::forward(&g.flattened());
    let n = plan.groups * plan.weight.group;
    let positions = plan.batch * plan.counts.iter().product::<usize>();
    if positions == 0 || n == 0 {
        return vec![T::nil(); n];
    }
    let cut = Cut::new::<T>(&plan);
    // SAFETY: the tasks partition groups, channels, panels and splits, and a split's part covers the whole weight.
    let parts = unsafe {
        filled(cut.splits * n, |out| {
            for_each(cut.tasks(&plan), |i| Task::new(&plan, &cut, i).run(input, grad, out));
        })
    };
    if cut.splits == 1 { parts } else { add_parts(&parts, n) }
}

/// Elements of a task's sums, of the piece of the input and of the transposed gradient, that share the second-level cache.
const SUMS: usize = 96 * 1024;
const REGION: usize = 64 * 1024;
const GRADIENT: usize = 48 * 1024;
const MOST_POSITIONS: usize = 1024;
/// Tasks wanted where the shape allows.
const TASKS: usize = 16;

/// How the work is divided.
struct Cut {
    vectors: usize,
    panels: usize,
    panels_at_once: usize,
    channels_at_once: usize,
    window: Window,
    blocks: Vec<Block>,
    /// Partial sums, each over a fixed range of blocks.
    splits: usize,
}

impl Cut {
    fn new<T: Real>(plan: &Plan) -> Self {
        let (vectors, panels) = T::kernel().panels(plan.rows);
        let width = vectors * T::kernel().lanes;
        let volume = plan.phases[0].volume();
        let panels_at_once = (SUMS / (width * volume.max(64))).clamp(1, panels.min(2));
        let positions = (GRADIENT / (width * panels_at_once)).clamp(1, MOST_POSITIONS);
        let window = plan.window();
        let blocks = Block::cut(plan.batch, plan.counts, positions);
        let largest = blocks.iter().map(|b| Region::new(&window, b, 1).len).max().unwrap_or(1);
        let fitting =
            (REGION / largest).min(SUMS / (width * panels_at_once * volume)).clamp(1, plan.channels);
        let channels_at_once = plan.channels.div_ceil(plan.channels.div_ceil(fitting));
        let areas = plan.groups * panels.div_ceil(panels_at_once) * plan.channels.div_ceil(channels_at_once);
        let splits = TASKS.div_ceil(areas).clamp(1, blocks.len());
        Self { vectors, panels, panels_at_once, channels_at_once, window, blocks, splits }
    }

    fn tasks(&self, plan: &Plan) -> usize {
        self.splits * plan.groups * self.panel_groups() * plan.channels.div_ceil(self.channels_at_once)
    }

    fn panel_groups(&self) -> usize {
        self.panels.div_ceil(self.panels_at_once)
    }
}

/// A piece of the weight: some panels of output channels and some input channels, from a range of blocks.
struct Task<'a> {
    plan: &'a Plan,
    cut: &'a Cut,
    group: usize,
    panels: Range<usize>,
    channels: Range<usize>,
    split: usize,
    /// For each tap of the outer axis, offsets of the others.
    taps: Vec<Vec<[isize; 3]>>,
}

impl<'a> Task<'a> {
    fn new(plan: &'a Plan, cut: &'a Cut, index: usize) -> Self {
        let pieces = plan.channels.div_ceil(cut.channels_at_once);
        let (rest, piece) = (index / pieces, index % pieces);
        let (rest, panel) = (rest / cut.panel_groups(), rest % cut.panel_groups());
        let (split, group) = (rest / plan.groups, rest % plan.groups);
        let (channel, panel) = (piece * cut.channels_at_once, panel * cut.panels_at_once);
        let (taps, outer) = (&plan.phases[0].taps, plan.outer_axis());
        Self {
            plan,
            cut,
            group,
            panels: panel..(panel + cut.panels_at_once).min(cut.panels),
            channels: channel..(channel + cut.channels_at_once).min(plan.channels),
            split,
            taps: taps[outer].iter().map(|tap| inner_taps(taps, outer, *tap, offset)).collect(),
        }
    }

    fn blocks(&self) -> &'a [Block] {
        let (n, splits) = (self.cut.blocks.len(), self.cut.splits);
        &self.cut.blocks[self.split * n / splits..(self.split + 1) * n / splits]
    }

    /// Rows of the sums per tap of the outer axis: (channel, other taps).
    fn rows_per_tap(&self) -> usize {
        self.channels.len() * self.taps[0].len()
    }

    fn run<T: Real>(&self, input: &[T], grad: &[T], out: Shared<T>) {
        let (kernel, plan) = (T::kernel(), self.plan);
        let width = self.cut.vectors * kernel.lanes;
        let volume: usize = plan.from.iter().product();
        let source = Source {
            data: &input[self.group * plan.channels * volume..],
            image_stride: plan.groups * plan.channels * volume,
        };
        let region = |block| Region::new(&self.cut.window, block, self.channels.len());
        let regions: Vec<Region> = self.blocks().iter().map(region).collect();
        let largest = regions.iter().map(|r| r.len).max().unwrap_or(0);
        let positions = self.blocks().iter().map(Block::len).max().unwrap_or(0);
        let sums = self.taps.len() * self.rows_per_tap() * width;
        let sizes = [largest, positions * width, sums * self.panels.len()];
        with_scratch::<T, _>(sizes.iter().sum(), |scratch| {
            let (piece, rest) = scratch.split_at_mut(sizes[0]);
            let (columns, all) = rest.split_at_mut(sizes[1]);
            // Taps that lie in the padding for some blocks add nothing there, so the sums cannot start with the first block.
            all.fill(T::nil());
            for (block, region) in self.blocks().iter().zip(&regions) {
                region.pack(kernel.simd, source, self.channels.clone(), piece);
                let steps = region.positions(block);
                let taps = self.taps_that_meet(region, block);
                let rows = self.rows(region, &taps);
                for (panel, sums) in self.panels.clone().zip(all.chunks_exact_mut(sums)) {
                    self.pack_gradient(grad, block, panel, width, columns);
                    let product = Product {
                        a: &*piece,
                        rows: &rows,
                        steps: &steps,
                        b: columns,
                        vectors: self.cut.vectors,
                        c_stride: width,
                        accumulate: true,
                    };
                    kernel.multiply(&product, &mut sums[taps.start * self.rows_per_tap() * width..]);
                }
            }
            for (panel, sums) in self.panels.clone().zip(all.chunks_exact(sums)) {
                self.write(panel, sums, width, out);
            }
        });
    }

    fn taps_that_meet(&self, region: &Region, block: &Block) -> Range<usize> {
        super::apply::taps_that_meet(self.plan.outer_axis(), region, block, &self.plan.phases[0])
    }

    /// Offsets of the rows of `taps` of the outer axis.
    fn rows(&self, region: &Region, taps: &Range<usize>) -> Vec<u32> {
        let mut rows = Vec::with_capacity(taps.len() * self.rows_per_tap());
        for inner in &self.taps[taps.clone()] {
            for channel in 0..self.channels.len() {
                let start = channel * region.channel_stride;
                rows.extend(inner.iter().map(|tap| (start + region.tap(*tap)) as u32));
            }
        }
        rows
    }

    /// The gradient of a panel's channels at a block's positions, as `[position][width]`.
    fn pack_gradient<T: Real>(
        &self,
        grad: &[T],
        block: &Block,
        panel: usize,
        width: usize,
        columns: &mut [T],
    ) {
        let plan = self.plan;
        let volume: usize = plan.to.iter().product();
        let channels = panel * width..((panel + 1) * width).min(plan.rows);
        if channels.len() < width {
            columns.fill(T::nil());
        }
        for run in super::apply::runs(plan, block) {
            let channel = (run.image * plan.groups + self.group) * plan.rows + channels.start;
            let from = &grad[channel * volume + run.to..];
            assert!(channels.len() <= width && from.len() >= (channels.len() - 1) * volume + run.len);
            let to = &mut columns[run.from * width..(run.from + run.len) * width];
            // SAFETY: the channels of the run lie in the gradient, as just checked, and its positions in `to`, whose rows have `width`
            // elements for at most as many channels.
            unsafe {
                transpose(
                    T::kernel().simd,
                    from.as_ptr(),
                    volume,
                    to.as_mut_ptr(),
                    width,
                    channels.len(),
                    run.len,
                );
            }
        }
    }

    /// Writes the sums `[row][width]` of a panel into this split's part.
    fn write<T: Real>(&self, panel: usize, sums: &[T], width: usize, out: Shared<T>) {
        let plan = self.plan;
        let (outer, taps) = (plan.outer_axis(), &plan.phases[0].taps);
        let outputs = panel * width..((panel + 1) * width).min(plan.rows);
        let base = (self.split * plan.groups + self.group) * plan.weight.group;
        let mut row = 0;
        assert!(outputs.len() <= width && !outputs.is_empty());
        for tap in &taps[outer] {
            let elements = inner_taps(taps, outer, *tap, |taps| element(plan.kernel, taps));
            for channel in self.channels.clone() {
                // The inner taps are consecutive elements, because the outer axis is the first with several taps.
                let to = base + outputs.start * plan.weight.row + channel * plan.weight.channel + elements[0];
                let from = &sums[row * width..(row + elements.len()) * width];
                let last = (outputs.len() - 1) * plan.weight.row + elements.len();
                // SAFETY: `from` has a row of `width` sums for each element, of which `outputs.len()` are read. `at` checks that the
                // elements of the last output, and so of all, lie in the result. No other task of this split writes them.
                unsafe {
                    transpose(
                        T::kernel().simd,
                        from.as_ptr(),
                        width,
                        out.at(to, last),
                        plan.weight.row,
                        elements.len(),
                        outputs.len(),
                    );
                }
                row += elements.len();
            }
        }
    }
}

/// The sum of the parts, in their order.
pub(super) fn add_parts<T: Real>(parts: &[T], n: usize) -> Vec<T> {
    let (first, rest) = parts.split_at(n);
    let mut sum = first.to_vec();
    for part in rest.chunks_exact(n) {
        for (s, p) in sum.iter_mut().zip(part) {
            *s += *p;
        }
    }
    sum
}
