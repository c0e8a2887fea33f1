//! A padded piece of a tensor, with the residues of its coordinates by the step stored apart.
//!
//! A dense convolution with step s reads, for position p and tap o, the coordinate `s p + o`. With `o - low = s q + r`, that is element
//! `p + q` of residue r: neighbouring positions read neighbouring elements, whatever the step. Within a residue all positions of a block
//! form one line, in which a tap is a fixed distance; the places between the rows of a block belong to no position, and what is computed
//! there is dropped.

use std::ops::Range;

use super::super::region::{Block, Source, Window};
use super::Element;

pub(super) struct Lattice {
    window: Window,
    pub images: Range<usize>,
    /// Positions of the block, per axis.
    positions: [usize; 3],
    /// Input coordinate of the first element.
    origin: [isize; 3],
    pub residues: [usize; 3],
    /// Elements of a residue, per axis.
    extent: [usize; 3],
    /// Elements of a residue.
    pub volume: usize,
}

/// A row of the lattice: where it lies, and what of the input it holds.
pub(super) struct Row {
    /// First element within the residues.
    pub start: usize,
    /// Elements that lie inside the input; the others are padding.
    pub inside: Range<usize>,
    /// Element of the source that the first of them is.
    pub source: usize,
}

impl Lattice {
    pub(super) fn new(window: &Window, block: &Block) -> Self {
        let reach = |a: usize| (window.high[a] - window.low[a]) as usize;
        let positions = block.axes.each_ref().map(Range::len);
        let extent: [usize; 3] = std::array::from_fn(|a| positions[a] + reach(a) / window.step[a]);
        Self {
            window: *window,
            images: block.images.clone(),
            positions,
            origin: std::array::from_fn(|a| (block.axes[a].start * window.step[a]) as isize + window.low[a]),
            residues: std::array::from_fn(|a| window.step[a].min(reach(a) + 1)),
            extent,
            volume: block.images.len() * extent.iter().product::<usize>(),
        }
    }

    /// Elements of all residues.
    pub(super) fn len(&self) -> usize {
        self.residues.iter().product::<usize>() * self.volume
    }

    /// Elements of the row of an image's positions at `(z, y)`, counted from the block's first.
    pub(super) fn position(&self, image: usize, z: usize, y: usize) -> usize {
        ((image * self.extent[0] + z) * self.extent[1] + y) * self.extent[2]
    }

    /// Elements from the first to the last position.
    pub(super) fn line(&self) -> usize {
        let [z, y, x] = self.positions;
        if self.images.is_empty() || z * y * x == 0 {
            return 0;
        }
        self.position(self.images.len() - 1, z - 1, y - 1) + x
    }

    /// Elements of the input between the first and the last of a residue's row, at most all of a row.
    pub(super) fn span(&self) -> usize {
        ((self.extent[2].max(1) - 1) * self.window.step[2] + 1).min(self.window.input[2])
    }

    /// The residue of a tap at `offset`, and the distance within it from a position.
    pub(super) fn tap(&self, offset: [isize; 3]) -> (usize, usize) {
        let from_low: [usize; 3] = std::array::from_fn(|a| (offset[a] - self.window.low[a]) as usize);
        let of = |a: usize| (from_low[a] % self.window.step[a], from_low[a] / self.window.step[a]);
        let [(rz, z), (ry, y), (rx, x)] = [of(0), of(1), of(2)];
        ((rz * self.residues[1] + ry) * self.residues[2] + rx, (z * self.extent[1] + y) * self.extent[2] + x)
    }

    /// All rows, in the order in which they lie; `image_stride` is that of the source.
    pub(super) fn rows(&self, image_stride: usize) -> Vec<Row> {
        let [depth, height, width] = self.window.input;
        let mut rows = Vec::with_capacity(self.len() / self.extent[2].max(1));
        for residue in 0..self.residues.iter().product() {
            let [rz, ry, rx] = self.split(residue);
            // The elements whose coordinate `first + step * e` lies inside the input.
            let (step, first) = (self.window.step[2] as isize, self.origin[2] + rx as isize);
            let bound = |at: isize| {
                (at - first + step - 1).div_euclid(step).clamp(0, self.extent[2] as isize) as usize
            };
            let (from, to) = (bound(0), bound(width as isize));
            for image in self.images.clone() {
                for ez in 0..self.extent[0] {
                    let z = self.coordinate(0, rz, ez);
                    for ey in 0..self.extent[1] {
                        let y = self.coordinate(1, ry, ey);
                        let seen = (0..depth as isize).contains(&z)
                            && (0..height as isize).contains(&y)
                            && from < to;
                        let x = (first + step * from as isize) as usize;
                        rows.push(Row {
                            start: rows.len() * self.extent[2],
                            inside: if seen { from..to } else { 0..0 },
                            source: if seen {
                                image * image_stride + (z as usize * height + y as usize) * width + x
                            } else {
                                0
                            },
                        });
                    }
                }
            }
        }
        rows
    }

    fn split(&self, residue: usize) -> [usize; 3] {
        let [_, ry, rx] = self.residues;
        [residue / (ry * rx), residue / rx % ry, residue % rx]
    }

    fn coordinate(&self, axis: usize, residue: usize, element: usize) -> isize {
        self.origin[axis] + (residue + element * self.window.step[axis]) as isize
    }

    /// Writes the channels as lines of pairs, `stride` apart: `dst[pair][residue][element]`. Channels and lines beyond those of the
    /// source, and the rest of each line, are zeros.
    // Part of its caller, which decides for which CPU it is compiled.
    #[inline(always)]
    pub(super) fn pack<S: Element>(
        &self,
        source: Source<'_, S>,
        channels: usize,
        stride: usize,
        dst: &mut [u32],
    ) {
        assert!(stride >= self.len(), "lines overlap");
        let rows = self.rows(source.image_stride);
        let volume: usize = self.window.input.iter().product();
        let (width, step) = (self.extent[2], self.window.step[2]);
        for (pair, line) in dst.chunks_exact_mut(stride).enumerate() {
            let (first, second) = (2 * pair, 2 * pair + 1);
            if first >= channels {
                line.fill(0);
                continue;
            }
            let channel = |c: usize| &source.data[c * volume..];
            let partner = (second < channels).then(|| channel(second));
            // Rows are short, and what pads them is shorter still: one sweep over all costs less than two calls a row.
            line.fill(0);
            for row in &rows {
                let to = &mut line[row.start..row.start + width][row.inside.clone()];
                if to.is_empty() {
                    continue;
                }
                let from = &channel(first)[row.source..];
                match partner {
                    Some(partner) => pair_rows(from, &partner[row.source..], step, to),
                    None => to
                        .iter_mut()
                        .zip(from.iter().step_by(step))
                        .for_each(|(t, f)| *t = u32::from(f.bits())),
                }
            }
        }
    }
}

/// Every `step`-th element of two rows as pairs.
#[inline(always)]
fn pair_rows<S: Element>(first: &[S], second: &[S], step: usize, to: &mut [u32]) {
    let done = match step {
        1 => pair_vectors::<S, 1>(first, second, to),
        2 => pair_vectors::<S, 2>(first, second, to),
        _ => 0,
    };
    for (i, t) in to.iter_mut().enumerate().skip(done) {
        *t = S::pair(first[i * step], second[i * step]);
    }
}

/// Does that for as many elements as fill vectors, and says how many. Rows are seldom longer than a few vectors, so that loops over any
/// number of elements would do most of them one by one.
#[inline(always)]
fn pair_vectors<S: Element, const STEP: usize>(first: &[S], second: &[S], to: &mut [u32]) -> usize {
    let mut done = 0;
    done += pair_chunks::<S, STEP, 16>(first, second, to);
    done += pair_chunks::<S, STEP, 8>(&first[done * STEP..], &second[done * STEP..], &mut to[done..]);
    done += pair_chunks::<S, STEP, 4>(&first[done * STEP..], &second[done * STEP..], &mut to[done..]);
    done
}

#[inline(always)]
fn pair_chunks<S: Element, const STEP: usize, const N: usize>(
    first: &[S],
    second: &[S],
    to: &mut [u32],
) -> usize {
    let mut done = 0;
    let sources = first.chunks_exact(STEP * N).zip(second.chunks_exact(STEP * N));
    for (to, (first, second)) in to.as_chunks_mut::<N>().0.iter_mut().zip(sources) {
        for (i, t) in to.iter_mut().enumerate() {
            *t = S::pair(first[STEP * i], second[STEP * i]);
        }
        done += N;
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_meet_what_they_should() {
        // One axis of 7, step 2, taps -1 to 2: four positions read -1 + 2p + tap.
        let window = Window { input: [1, 1, 7], step: [1, 1, 2], low: [0, 0, -1], high: [0, 0, 2] };
        let block = Block { images: 0..1, axes: [0..1, 0..1, 0..4] };
        let lattice = Lattice::new(&window, &block);
        assert_eq!((lattice.residues, lattice.volume, lattice.line()), ([1, 1, 2], 5, 4));
        let data: Vec<f32> = (1..=21).map(|v| v as f32).collect();
        let mut dst = vec![9; 3 * 12];
        lattice.pack(Source { data: &data, image_stride: 21 }, 3, 12, &mut dst);
        for tap in -1..=2isize {
            let (residue, distance) = lattice.tap([0, 0, tap]);
            for position in 0..4 {
                let at = 2 * position as isize + tap;
                let want = |c: usize| if (0..7).contains(&at) { data[c * 7 + at as usize].bits() } else { 0 };
                let got = |pair: usize| dst[pair * 12 + residue * lattice.volume + distance + position];
                assert_eq!(got(0), u32::from(want(0)) | u32::from(want(1)) << 16);
                assert_eq!(got(1), u32::from(want(2)));
                assert_eq!(got(2), 0);
            }
        }
    }
}
