//! Blocks of positions, and the padded piece of a tensor that the patches of a block touch.

use std::ops::Range;

use super::super::kernel::Simd;
use super::super::real::Real;

/// A box of positions of a dense convolution: some images, and a range on each axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub images: Range<usize>,
    pub axes: [Range<usize>; 3],
}

impl Block {
    /// Cuts `batch` images of `counts` positions into blocks of at most `most` positions (at least one): whole images where they
    /// fit, else whole planes, else whole rows, so that a block is compact and its pieces contiguous.
    pub(super) fn cut(batch: usize, counts: [usize; 3], most: usize) -> Vec<Self> {
        let sizes = [batch, counts[0], counts[1], counts[2]];
        let mut chunk = [1; 4];
        let mut inner = 1;
        for axis in (0..4).rev() {
            let fitting = (most / inner).clamp(1, sizes[axis].max(1));
            // Chunks of nearly equal length.
            chunk[axis] = sizes[axis].div_ceil(sizes[axis].div_ceil(fitting).max(1)).max(1);
            if fitting < sizes[axis] {
                break;
            }
            inner *= sizes[axis];
        }
        let ranges = |axis: usize| {
            let (size, chunk) = (sizes[axis], chunk[axis]);
            (0..size).step_by(chunk).map(move |from| from..(from + chunk).min(size))
        };
        let mut blocks = Vec::new();
        for images in ranges(0) {
            for z in ranges(1) {
                for y in ranges(2) {
                    for x in ranges(3) {
                        blocks.push(Self { images: images.clone(), axes: [z.clone(), y.clone(), x] });
                    }
                }
            }
        }
        blocks
    }

    /// Number of positions.
    pub(super) fn len(&self) -> usize {
        self.images.len() * self.axes.iter().map(Range::len).product::<usize>()
    }
}

/// Which input positions the patches of a dense convolution touch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Extents of a channel of the input.
    pub input: [usize; 3],
    /// Input distance between neighbouring positions.
    pub step: [usize; 3],
    /// Smallest and largest offset of a tap from `position * step`.
    pub low: [isize; 3],
    pub high: [isize; 3],
}

/// The channels that are read.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    /// From the first channel of the group in the first image on.
    pub data: &'a [T],
    /// Elements between images.
    pub image_stride: usize,
}

/// A piece of the input, stored as `[channel][image][z][y][x]` with zeros for the padding; images of a single element, which have
/// their channels side by side, as `[image][channel]`.
#[derive(Clone, Debug)]
pub(super) struct Region {
    window: Window,
    images: Range<usize>,
    /// Input coordinate of the first element.
    origin: [isize; 3],
    extent: [usize; 3],
    /// Elements between channels: an odd number of cache lines, so that a patch's channels fall into different sets of a cache.
    pub channel_stride: usize,
    image_stride: usize,
    /// Elements of the whole piece.
    pub len: usize,
}

/// Elements of a cache line of f32.
const LINE: usize = 16;

impl Region {
    /// The piece that the patches of `block` touch in so many channels.
    pub(super) fn new(window: &Window, block: &Block, channels: usize) -> Self {
        let mut origin = [0; 3];
        let mut extent = [0; 3];
        for axis in 0..3 {
            let (range, reach) = (&block.axes[axis], (window.high[axis] - window.low[axis]) as usize);
            origin[axis] = (range.start * window.step[axis]) as isize + window.low[axis];
            extent[axis] = range.len().saturating_sub(1) * window.step[axis] + reach + 1;
        }
        let (images, image) = (block.images.len(), extent.iter().product::<usize>());
        let points = window.input == [1; 3] && origin == [0; 3] && extent == [1; 3];
        let (channel_stride, image_stride, len) = if points {
            (1, channels, images * channels)
        } else {
            let stride = ((images * image).div_ceil(LINE) | 1) * LINE;
            (stride, image, channels * stride)
        };
        Self {
            window: *window,
            images: block.images.clone(),
            origin,
            extent,
            channel_stride,
            image_stride,
            len,
        }
    }

    /// Where `(image, z, y, x)`, counted from the first element, is stored within a channel.
    fn at(&self, image: usize, [z, y, x]: [usize; 3]) -> usize {
        image * self.image_stride + (z * self.extent[1] + y) * self.extent[2] + x
    }

    /// Where the block's positions are stored, the last axis fastest.
    pub(super) fn positions(&self, block: &Block) -> Vec<u32> {
        let [z, y, x] = block.axes.each_ref().map(Range::len);
        let step = self.window.step;
        let mut out = Vec::with_capacity(block.len());
        for image in 0..block.images.len() {
            for z in 0..z {
                for y in 0..y {
                    let start = self.at(image, [z * step[0], y * step[1], 0]);
                    out.extend((0..x).map(|x| (start + x * step[2]) as u32));
                }
            }
        }
        out
    }

    /// Distance from a position to its tap at `offset`.
    pub(super) fn tap(&self, offset: [isize; 3]) -> usize {
        let from_low = std::array::from_fn(|axis| (offset[axis] - self.window.low[axis]) as usize);
        self.at(0, from_low)
    }

    /// Whether a tap meets the input at any position of the block.
    pub(super) fn meets(&self, block: &Block, axis: usize, offset: isize) -> bool {
        let (step, size) = (self.window.step[axis] as isize, self.window.input[axis] as isize);
        block.axes[axis].clone().any(|p| (0..size).contains(&(p as isize * step + offset)))
    }

    /// Copies `channels` of the piece to `dst`.
    pub(super) fn pack<T: Real>(
        &self,
        simd: Simd,
        source: Source<'_, T>,
        channels: Range<usize>,
        dst: &mut [T],
    ) {
        assert!(dst.len() >= self.len && channels.len() <= self.len / self.channel_stride);
        if self.channel_stride == 1 {
            for (image, to) in self.images.clone().zip(dst.chunks_exact_mut(self.image_stride)) {
                let from = image * source.image_stride;
                to[..channels.len()]
                    .copy_from_slice(&source.data[from + channels.start..from + channels.end]);
            }
            return;
        }
        simd.run(
            #[inline(always)]
            || copy(self, source, channels, dst),
        );
    }
}

#[inline(always)]
fn copy<T: Real>(region: &Region, source: Source<'_, T>, channels: Range<usize>, dst: &mut [T]) {
    let [depth, height, width] = region.window.input;
    let [rows_z, rows_y, row] = region.extent;
    let [z0, y0, x0] = region.origin;
    // Columns `from..to` of a row lie inside the input.
    let from = (-x0).clamp(0, row as isize) as usize;
    let to = (width as isize - x0).clamp(from as isize, row as isize) as usize;
    let inside = |at: isize, size: usize| (0..size as isize).contains(&at);
    for (channel, dst) in channels.zip(dst.chunks_exact_mut(region.channel_stride)) {
        let mut rows = dst.chunks_exact_mut(row);
        for image in region.images.clone() {
            let plane = image * source.image_stride + channel * depth * height * width;
            for z in (0..rows_z as isize).map(|z| z0 + z) {
                for y in (0..rows_y as isize).map(|y| y0 + y) {
                    let Some(to_row) = rows.next() else { return };
                    if from == to || !inside(z, depth) || !inside(y, height) {
                        to_row.iter_mut().for_each(|v| *v = T::nil());
                        continue;
                    }
                    let start = plane + (z as usize * height + y as usize) * width;
                    let first = (start as isize + x0 + from as isize) as usize;
                    to_row[..from].iter_mut().for_each(|v| *v = T::nil());
                    copy_row(&source.data[first..first + (to - from)], &mut to_row[from..to]);
                    to_row[to..].iter_mut().for_each(|v| *v = T::nil());
                }
            }
        }
    }
}

/// Copies a short row; a call of `memcpy` would cost as much as the copy.
#[inline(always)]
fn copy_row<T: Real>(from: &[T], to: &mut [T]) {
    let mut pairs = to.chunks_exact_mut(8).zip(from.chunks_exact(8));
    for (to, from) in &mut pairs {
        let eight: &[T; 8] = from.try_into().expect("a chunk of eight");
        to.copy_from_slice(eight);
    }
    let rest = from.len() / 8 * 8;
    for (to, from) in to[rest..].iter_mut().zip(&from[rest..]) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_everything_once_and_are_compact() {
        for (batch, counts, most) in [
            (3, [4, 5, 6], 7),
            (5, [1, 2, 3], 20),
            (1, [1, 1, 100], 30),
            (2, [3, 3, 3], 9),
            (0, [1, 1, 1], 4),
        ] {
            let blocks = Block::cut(batch, counts, most);
            assert_eq!(
                blocks.iter().map(Block::len).sum::<usize>(),
                batch * counts.iter().product::<usize>()
            );
            assert!(blocks.iter().all(|b| b.len() <= most), "{blocks:?}");
        }
        let rows = Block::cut(1, [2, 4, 6], 13);
        assert_eq!(rows[0], Block { images: 0..1, axes: [0..1, 0..2, 0..6] });
    }

    #[test]
    fn a_region_holds_its_block_with_zeros_around() {
        let window = Window { input: [1, 1, 5], step: [1, 1, 2], low: [0, 0, -1], high: [0, 0, 1] };
        let block = Block { images: 0..1, axes: [0..1, 0..1, 0..3] };
        let region = Region::new(&window, &block, 1);
        let data = [1.0f32, 2.0, 3.0, 4.0, 5.0];
        let mut dst = vec![9.0; region.len];
        region.pack(Simd::detect(), Source { data: &data, image_stride: 5 }, 0..1, &mut dst);
        assert_eq!(dst[..7], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 0.0]);
        assert_eq!(region.positions(&block), [0, 2, 4]);
        assert_eq!(region.tap([0, 0, 1]), 2);
        let last = Block { images: 0..1, axes: [0..1, 0..1, 2..3] };
        assert!(Region::new(&window, &last, 1).meets(&last, 2, -1));
        assert!(!Region::new(&window, &last, 1).meets(&last, 2, 1));
    }
}
