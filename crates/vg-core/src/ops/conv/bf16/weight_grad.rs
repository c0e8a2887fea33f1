//! Gradient of the weight: sums over all positions of all images.
//!
//! Rows are result channels, columns summed channels, and the inner dimension runs along the lines of a [`Lattice`]. A is the result's
//! gradient, with zeros where a line holds no position; B the piece of the input as `[pair of neighbours][channel]`. Since a tap may be
//! an odd distance away, there are two such pieces: pairs that start at even elements and pairs that start at odd ones.
//!
//! A zero times what is no number is none: an infinite input may reach the gradients of taps that never meet it.

use std::ops::Range;

use super::super::super::kernel::Simd;
use super::super::super::kernel::pairs::{COLUMNS, PairKernel, PairProduct, TILE};
use super::super::super::kernel::transpose::transpose;
use super::super::super::real::Real;
use super::super::super::threads::{Shared, as_pairs, filled, for_each, with_scratch};
use super::super::plan::{Plan, offset};
use super::super::region::{Block, Source, Window};
use super::super::weight_grad::add_parts;
use super::Element;
use super::lattice::Lattice;
use super::weights::taps;

pub(super) fn weight_grad<S: Element>(kernel: &PairKernel, plan: &Plan, input: &[S], grad: &[S]) -> Vec<S> {
    let n = plan.groups * plan.weight.group;
    if plan.batch * plan.counts.iter().product::<usize>() == 0 || n == 0 {
        return vec![S::narrow(0.0); n];
    }
    let (cut, simd) = (Cut::new(plan), f32::simd());
    // SAFETY: the tasks partition groups, channels and splits, and a split's part covers the whole weight.
    let parts = unsafe {
        filled(cut.splits * n, |out| {
            for_each(cut.tasks(plan), |i| Task::new(kernel, simd, plan, &cut, i).run(input, grad, out));
        })
    };
    let sum = if cut.splits == 1 { parts } else { add_parts(&parts, n) };
    sum.into_iter().map(S::narrow).collect()
}

/// Sums of a task, pairs of its pieces of the input, and pairs of its rows of the gradient.
const SUMS: usize = 128 * 1024;
const PIECE: usize = 160 * 1024;
const GRADIENT: usize = 64 * 1024;
const MOST_POSITIONS: usize = 1024;
const FEW_POSITIONS: usize = 128;
/// Tasks wanted where the shape allows.
const TASKS: usize = 16;
/// Positions of a step.
const STEP: usize = 2 * TILE;

/// How the work is divided.
struct Cut {
    window: Window,
    blocks: Vec<Block>,
    /// Result channels of a task; summed channels are [`COLUMNS`].
    rows_at_once: usize,
    /// Partial sums, each over a fixed range of blocks.
    splits: usize,
}

impl Cut {
    fn new(plan: &Plan) -> Self {
        let window = plan.window();
        let volume = plan.phases[0].volume();
        let tiles = (SUMS / (volume * COLUMNS * TILE)).clamp(2, 16).min(plan.rows.div_ceil(TILE));
        let rows_at_once = tiles * TILE;
        let cut = |most: usize| Block::cut(plan.batch, plan.counts, most);
        let fits = |block: &Block| {
            let sizes = Sizes::new(&Lattice::new(&window, block), rows_at_once);
            sizes.piece <= PIECE && sizes.gradient <= GRADIENT
        };
        let mut most = MOST_POSITIONS;
        let mut blocks = cut(most);
        while most > FEW_POSITIONS && !blocks.iter().all(fits) {
            most /= 2;
            blocks = cut(most);
        }
        let areas = plan.groups * plan.rows.div_ceil(rows_at_once) * plan.channels.div_ceil(COLUMNS);
        let splits = TASKS.div_ceil(areas).clamp(1, blocks.len());
        Self { window, blocks, rows_at_once, splits }
    }

    fn tasks(&self, plan: &Plan) -> usize {
        self.splits * plan.groups * plan.rows.div_ceil(self.rows_at_once) * plan.channels.div_ceil(COLUMNS)
    }
}

/// Elements of a task's buffers for a block.
struct Sizes {
    /// Pairs of a row of the gradient.
    row: usize,
    gradient: usize,
    /// Elements of the line of a residue, with room for the last step of the farthest tap.
    line: usize,
    /// bf16 numbers as `[residue][element][channel]`, two in a pair.
    staged: usize,
    /// Pairs as `[first element even or odd][residue][pair][channel]`.
    piece: usize,
    /// The input's elements that a row of a residue spans, for all channels.
    span: usize,
}

impl Sizes {
    fn new(lattice: &Lattice, rows: usize) -> Self {
        let residues: usize = lattice.residues.iter().product();
        // An odd number of cache lines: the rows of a tile fall into different sets of a cache.
        let row = (lattice.line().div_ceil(STEP) | 1) * TILE;
        let line = (lattice.volume + STEP + 2).next_multiple_of(2);
        let staged = residues * line * COLUMNS / 2;
        let span = lattice.span() * COLUMNS;
        Self { row, gradient: rows * row, line, staged, piece: residues * line * COLUMNS, span }
    }
}

/// A piece of the weight: some result channels and some summed ones, from a range of blocks.
struct Task<'a> {
    kernel: &'a PairKernel,
    simd: Simd,
    plan: &'a Plan,
    cut: &'a Cut,
    group: usize,
    rows: Range<usize>,
    channels: Range<usize>,
    split: usize,
}

impl<'a> Task<'a> {
    fn new(kernel: &'a PairKernel, simd: Simd, plan: &'a Plan, cut: &'a Cut, index: usize) -> Self {
        let pieces = plan.channels.div_ceil(COLUMNS);
        let (rest, piece) = (index / pieces, index % pieces);
        let strips = plan.rows.div_ceil(cut.rows_at_once);
        let (rest, strip) = (rest / strips, rest % strips);
        let (row, channel) = (strip * cut.rows_at_once, piece * COLUMNS);
        Self {
            kernel,
            simd,
            plan,
            cut,
            group: rest % plan.groups,
            rows: row..(row + cut.rows_at_once).min(plan.rows),
            channels: channel..(channel + COLUMNS).min(plan.channels),
            split: rest / plan.groups,
        }
    }

    fn blocks(&self) -> &'a [Block] {
        let (n, splits) = (self.cut.blocks.len(), self.cut.splits);
        &self.cut.blocks[self.split * n / splits..(self.split + 1) * n / splits]
    }

    /// Tiles of result channels.
    fn tiles(&self) -> usize {
        self.rows.len().div_ceil(TILE)
    }

    fn run<S: Element>(&self, input: &[S], grad: &[S], out: Shared<f32>) {
        let sizes = |block: &Block| Sizes::new(&Lattice::new(&self.cut.window, block), self.tiles() * TILE);
        let most = |f: fn(Sizes) -> usize| self.blocks().iter().map(|b| f(sizes(b))).max().unwrap_or(0);
        let (gradient, staged, piece) = (most(|s| s.gradient), most(|s| s.staged), most(|s| s.piece));
        let span = most(|s| s.span);
        let sums = self.plan.phases[0].volume() * self.tiles() * TILE * COLUMNS;
        with_scratch::<f32, _>(gradient + staged + piece + sums + 2 * span, |scratch| {
            let (sums, rest) = scratch.split_at_mut(sums);
            let (lines, rest) = rest.split_at_mut(2 * span);
            let (gradient, rest) = as_pairs(rest).split_at_mut(gradient);
            let (staged, piece) = rest.split_at_mut(staged);
            sums.fill(0.0);
            for block in self.blocks() {
                let lattice = Lattice::new(&self.cut.window, block);
                let sizes = Sizes::new(&lattice, self.tiles() * TILE);
                self.pack_gradient(&lattice, block, grad, &mut gradient[..sizes.gradient]);
                self.stage(&lattice, input, as_halves(&mut staged[..sizes.staged]), sizes.line, lines);
                self.simd.run(
                    #[inline(always)]
                    || pair_up(as_halves(&mut staged[..sizes.staged]), sizes.line, &mut piece[..sizes.piece]),
                );
                self.add_up(&lattice, &sizes, gradient, &piece[..sizes.piece], sums);
            }
            self.write(sums, out);
        });
    }

    /// The gradient as `[result channel][element of the line]`, with zeros where there is no position or no channel.
    fn pack_gradient<S: Element>(&self, lattice: &Lattice, block: &Block, grad: &[S], to: &mut [u32]) {
        let (plan, row) = (self.plan, to.len() / (self.tiles() * TILE));
        let volume: usize = plan.to.iter().product();
        let [z, y, x] = block.axes.clone();
        to.fill(0);
        self.simd.run(
            #[inline(always)]
            || {
                for (channel, to) in self.rows.clone().zip(as_halves(to).chunks_exact_mut(2 * row)) {
                    for (i, image) in block.images.clone().enumerate() {
                        let from = ((image * plan.groups + self.group) * plan.rows + channel) * volume;
                        for (j, z) in z.clone().enumerate() {
                            for (k, y) in y.clone().enumerate() {
                                let from = &grad[from + (z * plan.to[1] + y) * plan.to[2]..][x.clone()];
                                let to = &mut to[lattice.position(i, j, k)..][..from.len()];
                                to.iter_mut().zip(from).for_each(|(t, f)| *t = f.bits());
                            }
                        }
                    }
                }
            },
        );
    }

    /// The piece of the input as `[residue][element][channel]`; `lines` is room for a row of all channels, twice.
    fn stage<S: Element>(
        &self,
        lattice: &Lattice,
        input: &[S],
        to: &mut [u16],
        line: usize,
        lines: &mut [f32],
    ) {
        let plan = self.plan;
        let volume: usize = plan.from.iter().product();
        let source = Source {
            data: &input[(self.group * plan.channels + self.channels.start) * volume..],
            image_stride: plan.groups * plan.channels * volume,
        };
        let (step, n) = (plan.step[2], self.channels.len());
        to.fill(0);
        let (rows, columns) = lines.split_at_mut(lines.len() / 2);
        for row in lattice.rows(source.image_stride) {
            if row.inside.is_empty() {
                continue;
            }
            let width = (row.inside.len() - 1) * step + 1;
            self.simd.run(
                #[inline(always)]
                || {
                    for (c, to) in rows.chunks_exact_mut(width).take(n).enumerate() {
                        let from = &source.data[c * volume + row.source..][..width];
                        to.iter_mut().zip(from).for_each(|(t, f)| *t = f.wide());
                    }
                },
            );
            assert!(rows.len() >= n * width && columns.len() >= (width - 1) * COLUMNS + n);
            // SAFETY: `n` rows of the width were just filled, and as many columns fit, as checked.
            unsafe { transpose(self.simd, rows.as_ptr(), width, columns.as_mut_ptr(), COLUMNS, n, width) };
            let residue = row.start / lattice.volume;
            let start = residue * line + row.start % lattice.volume + row.inside.start;
            self.simd.run(
                #[inline(always)]
                || {
                    let to = to[start * COLUMNS..].chunks_exact_mut(COLUMNS).take(row.inside.len());
                    for (to, from) in to.zip(columns.chunks_exact(COLUMNS).step_by(step)) {
                        to[..n].iter_mut().zip(from).for_each(|(t, f)| *t = f.bits());
                    }
                },
            );
        }
    }

    fn add_up(&self, lattice: &Lattice, sizes: &Sizes, gradient: &[u32], piece: &[u32], sums: &mut [f32]) {
        let steps: Vec<u32> =
            (0..lattice.line().div_ceil(STEP)).map(|i| (i * TILE * COLUMNS) as u32).collect();
        let residues: usize = lattice.residues.iter().product();
        let rows = self.tiles() * TILE;
        for first in (0..self.tiles()).step_by(2) {
            for (tap, c) in taps(&self.plan.phases[0]).zip(sums.chunks_exact_mut(rows * COLUMNS)) {
                let (residue, distance) = lattice.tap(offset(tap));
                let (odd, pair) = (distance % 2, distance / 2);
                let line = ((odd * residues + residue) * sizes.line / 2 + pair) * COLUMNS;
                let product = PairProduct {
                    a: &gradient[first * TILE * sizes.row..],
                    a_stride: sizes.row,
                    a_step: TILE,
                    a_tile: TILE * sizes.row,
                    tiles: (self.tiles() - first).min(2),
                    b: &piece[line..],
                    steps: &steps,
                    pairs: TILE,
                    b_stride: COLUMNS,
                    columns: COLUMNS,
                    c_stride: COLUMNS,
                    accumulate: true,
                };
                self.kernel.multiply(&product, &mut c[first * TILE * COLUMNS..]);
            }
        }
    }

    /// Writes the sums `[tap][result channel][channel]` into this split's part.
    fn write(&self, sums: &[f32], out: Shared<f32>) {
        let (layout, volume) = (self.plan.weight, self.plan.phases[0].volume());
        let rows = self.tiles() * TILE;
        let part = (self.split * self.plan.groups + self.group) * layout.group;
        assert!(sums.len() >= volume * rows * COLUMNS && self.rows.len() <= rows);
        for (i, row) in self.rows.clone().enumerate() {
            let to = part + row * layout.row + self.channels.start * layout.channel;
            let wanted = (self.channels.len() - 1) * layout.channel + volume;
            // SAFETY: the sums of all taps were checked to be there; the taps of a channel lie side by side in the weight, where `at`
            // checks the last, and no other task of this split writes those of these channels.
            unsafe {
                transpose(
                    self.simd,
                    sums.as_ptr().add(i * COLUMNS),
                    rows * COLUMNS,
                    out.at(to, wanted),
                    layout.channel,
                    volume,
                    self.channels.len(),
                );
            }
        }
    }
}

/// `[residue][element][channel]` as `[first element even or odd][residue][pair][channel]`.
#[inline(always)]
fn pair_up(staged: &[u16], line: usize, to: &mut [u32]) {
    let half = to.len() / 2;
    for (odd, to) in to.chunks_exact_mut(half).enumerate() {
        for (from, to) in staged.chunks_exact(line * COLUMNS).zip(to.chunks_exact_mut(line / 2 * COLUMNS)) {
            let rows = from[odd * COLUMNS..].chunks_exact(2 * COLUMNS);
            let (filled, rest) = to.split_at_mut(rows.len() * COLUMNS);
            for (to, rows) in filled.chunks_exact_mut(COLUMNS).zip(rows) {
                let (first, second) = rows.split_at(COLUMNS);
                for ((t, a), b) in to.iter_mut().zip(first).zip(second) {
                    *t = u32::from(*a) | u32::from(*b) << 16;
                }
            }
            rest.fill(0);
        }
    }
}

/// The two halves of each pair.
fn as_halves(pairs: &mut [u32]) -> &mut [u16] {
    // SAFETY: the same bytes, and u16 asks for less alignment; on machines with these kernels the first half comes first.
    unsafe { std::slice::from_raw_parts_mut(pairs.as_mut_ptr().cast(), 2 * pairs.len()) }
}
