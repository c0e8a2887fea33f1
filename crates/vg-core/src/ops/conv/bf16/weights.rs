//! The weight as tiles of pairs.

use super::super::super::kernel::Simd;
use super::super::super::kernel::pairs::TILE;
use super::super::super::kernel::transpose::transpose;
use super::super::super::threads::{Shared, filled, for_each, with_scratch};
use super::super::plan::{Phase, Plan, element};
use super::Element;

/// Tiles of a strip of rows that are multiplied together.
const TOGETHER: usize = 2;

/// For every (group, phase) and every strip of up to 32 result channels, the tiles of its steps: `[step][tile][row][pair]`, where a step is
/// a tap of a block of channels, blocks outermost.
pub(super) struct Weights {
    data: Vec<u32>,
    /// Pairs of channels of a step, and blocks of so many.
    pub pairs: usize,
    pub blocks: usize,
    /// Tiles of result channels of a group.
    tiles: usize,
    phases: Vec<PhaseTiles>,
    group: usize,
}

struct PhaseTiles {
    /// First element within the group.
    start: usize,
    /// Elements of the kernel, one for each tap.
    elements: Vec<usize>,
}

impl Weights {
    pub(super) fn new<S: Element>(simd: Simd, plan: &Plan, weight: &[S]) -> Self {
        let all = plan.channels.div_ceil(2);
        let (pairs, tiles) = (all.clamp(1, TILE), plan.rows.div_ceil(TILE));
        let blocks = all.div_ceil(pairs);
        let mut group = 0;
        let phases = plan.phases.iter().map(|phase| {
            let start = group;
            let elements = taps(phase).map(|taps| element(plan.kernel, taps)).collect::<Vec<_>>();
            group += tiles * blocks * elements.len() * TILE * pairs;
            PhaseTiles { start, elements }
        });
        let phases = phases.collect();
        let mut weights = Self { data: Vec::new(), pairs, blocks, tiles, phases, group };
        // SAFETY: the jobs partition groups, tiles and blocks, and each writes all of its tiles.
        weights.data = unsafe {
            filled(plan.groups * weights.group, |out| {
                for_each(plan.groups * tiles * blocks, |job| {
                    let (rest, block) = (job / blocks, job % blocks);
                    weights.pack(simd, plan, weight, [rest / tiles, rest % tiles, block], out);
                });
            })
        };
        weights
    }

    /// Strips of result channels.
    pub(super) fn strips(&self) -> usize {
        self.tiles.div_ceil(TOGETHER)
    }

    /// Tiles of a strip, and its data.
    pub(super) fn strip(&self, group: usize, phase: usize, strip: usize) -> (usize, &[u32]) {
        let tiles = (self.tiles - strip * TOGETHER).min(TOGETHER);
        let of_tile = self.steps(phase) * self.tile();
        let first = group * self.group + self.phases[phase].start + strip * TOGETHER * of_tile;
        (tiles, &self.data[first..first + tiles * of_tile])
    }

    /// Elements of a tile.
    pub(super) fn tile(&self) -> usize {
        TILE * self.pairs
    }

    fn steps(&self, phase: usize) -> usize {
        self.blocks * self.phases[phase].elements.len()
    }

    /// Packs the steps of a tile for a block of channels.
    fn pack<S: Element>(
        &self,
        simd: Simd,
        plan: &Plan,
        weight: &[S],
        [group, tile, block]: [usize; 3],
        out: Shared<u32>,
    ) {
        let layout = plan.weight;
        let volume: usize = plan.kernel.iter().product();
        let channels = self.channels(plan, block);
        let wide = 2 * self.pairs;
        let in_strip = tile % TOGETHER;
        let strip_tiles = (self.tiles - (tile - in_strip)).min(TOGETHER);
        // `[element of the kernel][row][channel]`, rows and channels that do not exist being zeros.
        with_scratch::<f32, _>(volume * (TILE + 1) * wide, |scratch| {
            let (columns, line) = scratch.split_at_mut(volume * TILE * wide);
            let rows = (plan.rows - tile * TILE).min(TILE);
            if rows < TILE || channels < wide {
                columns.fill(0.0);
            }
            let from = &weight
                [group * layout.group + tile * TILE * layout.row + 2 * block * self.pairs * layout.channel..];
            gather(
                simd,
                Gather { rows, channels, volume, wide, row: layout.row, channel: layout.channel },
                from,
                line,
                columns,
            );
            for phase in &self.phases {
                let steps = self.blocks * phase.elements.len();
                let start = group * self.group + phase.start + (tile - in_strip) * steps * self.tile();
                for (tap, element) in phase.elements.iter().enumerate() {
                    let step = block * phase.elements.len() + tap;
                    let to = start + (step * strip_tiles + in_strip) * self.tile();
                    let columns = &columns[element * TILE * wide..(element + 1) * TILE * wide];
                    // SAFETY: this tile of this step is written by this job alone.
                    let to = unsafe { out.slice(to..to + self.tile()) };
                    simd.run(
                        #[inline(always)]
                        || {
                            for (t, pair) in to.iter_mut().zip(columns.as_chunks::<2>().0) {
                                *t = f32::pair(pair[0], pair[1]);
                            }
                        },
                    );
                }
            }
        });
    }

    /// Channels of a block.
    fn channels(&self, plan: &Plan, block: usize) -> usize {
        (plan.channels - 2 * block * self.pairs).min(2 * self.pairs)
    }
}

/// All taps of a phase, the last axis fastest.
pub(super) fn taps(phase: &Phase) -> impl Iterator<Item = [(isize, usize); 3]> {
    let [z, y, x] = &phase.taps;
    z.iter().flat_map(move |z| y.iter().flat_map(move |y| x.iter().map(move |x| [*z, *y, *x])))
}

struct Gather {
    rows: usize,
    channels: usize,
    volume: usize,
    /// Elements of a row of the result.
    wide: usize,
    /// Distances in the weight.
    row: usize,
    channel: usize,
}

/// `to[element][row][channel]` from a weight with the elements of the kernel side by side; `line` is room for one row.
fn gather<S: Element>(simd: Simd, g: Gather, from: &[S], line: &mut [f32], to: &mut [f32]) {
    for row in 0..g.rows {
        // The row as `[channel][element]` in f32.
        let line = &mut line[..g.channels * g.volume];
        simd.run(
            #[inline(always)]
            || {
                for (c, line) in line.chunks_exact_mut(g.volume).enumerate() {
                    let from = &from[row * g.row + c * g.channel..][..g.volume];
                    line.iter_mut().zip(from).for_each(|(t, f)| *t = f.wide());
                }
            },
        );
        assert!(to.len() >= (g.volume - 1) * TILE * g.wide + row * g.wide + g.channels);
        // SAFETY: the line was just filled, and the last row of the result ends inside it, as checked.
        unsafe {
            let to = to.as_mut_ptr().add(row * g.wide);
            transpose(simd, line.as_ptr(), g.volume, to, TILE * g.wide, g.channels, g.volume);
        }
    }
}
