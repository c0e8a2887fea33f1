//! Which input elements meet in a convolution, and copying them into the rows that the matrix kernel reads.

use std::ops::Range;

use super::super::kernel::Simd;
use super::super::real::Real;

/// A dense set of positions (columns) and, for each, the same taps (rows, times channels) in a padded volume.
///
/// Element `(channel, tap)` of column `(image, z, y, x)` is the input at `position * step + offset of the tap`, or zero outside.
#[derive(Clone, Debug)]
pub(super) struct Gather {
    /// Extents of a channel's volume.
    pub input: [usize; 3],
    /// Positions per axis.
    pub counts: [usize; 3],
    /// Input distance between positions.
    pub step: [usize; 3],
    /// Offsets of the taps per axis; the taps are all combinations, last axis fastest.
    pub offsets: [Vec<isize>; 3],
}

impl Gather {
    /// Each element of a flat row of `n` elements as it is.
    pub(super) fn identity(n: usize) -> Self {
        Self { input: [1, 1, n], counts: [1, 1, n], step: [1; 3], offsets: [vec![0], vec![0], vec![0]] }
    }

    /// Number of taps.
    pub(super) fn taps(&self) -> usize {
        self.offsets.iter().map(Vec::len).product()
    }
}

/// A stretch of columns that lie in one row of one image and in one panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub panel: usize,
    /// First column within the panel.
    pub at: usize,
    pub len: usize,
    pub image: usize,
    /// Position of the first column.
    pub position: [usize; 3],
}

/// Cuts `columns` of images with `counts` positions into segments; panels of `width` columns start at `columns.start`.
pub(super) fn segments(
    columns: Range<usize>,
    counts: [usize; 3],
    width: usize,
) -> impl Iterator<Item = Segment> {
    let [depth, height, row] = counts;
    let mut column = columns.start;
    std::iter::from_fn(move || {
        if column >= columns.end {
            return None;
        }
        let (panel, at) = ((column - columns.start) / width, (column - columns.start) % width);
        let (rest, x) = (column / row, column % row);
        let (rest, y) = (rest / height, rest % height);
        let (image, z) = (rest / depth, rest % depth);
        let len = (row - x).min(width - at).min(columns.end - column);
        column += len;
        Some(Segment { panel, at, len, image, position: [z, y, x] })
    })
}

/// The channels that a gather reads.
#[derive(Clone, Copy)]
pub(super) struct Source<'a, T> {
    /// From the first channel of the group in the first image on.
    pub data: &'a [T],
    /// Elements between images.
    pub image_stride: usize,
    pub gather: &'a Gather,
}

/// Where one tap of one segment is found, relative to the channel.
#[derive(Clone, Copy)]
struct Slot {
    /// Address of column 0 of the segment, which may lie outside.
    start: isize,
    /// Columns `from..to` lie inside.
    from: usize,
    to: usize,
}

/// Writes rows `rows` (channel-major: `channel * taps + tap`) of `columns` to `dst`, as panels of `rows x width`.
///
/// Panel p starts at `p * panel_stride`; the last panel is filled up with zeros.
pub(super) fn pack<T: Real>(
    simd: Simd,
    source: Source<'_, T>,
    rows: Range<usize>,
    columns: Range<usize>,
    width: usize,
    panel_stride: usize,
    dst: &mut [T],
) {
    let panels = columns.len().div_ceil(width);
    assert!(panels == 0 || (panels - 1) * panel_stride + rows.len() * width <= dst.len());
    match simd {
        Simd::Baseline => pack_body(source, rows, columns, width, panel_stride, dst),
        // SAFETY: the variant is only made on CPUs with these features.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { pack_avx2(source, rows, columns, width, panel_stride, dst) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { pack_avx512(source, rows, columns, width, panel_stride, dst) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn pack_avx2<T: Real>(
    source: Source<'_, T>,
    rows: Range<usize>,
    columns: Range<usize>,
    width: usize,
    panel_stride: usize,
    dst: &mut [T],
) {
    pack_body(source, rows, columns, width, panel_stride, dst);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
fn pack_avx512<T: Real>(
    source: Source<'_, T>,
    rows: Range<usize>,
    columns: Range<usize>,
    width: usize,
    panel_stride: usize,
    dst: &mut [T],
) {
    pack_body(source, rows, columns, width, panel_stride, dst);
}

#[inline(always)]
fn pack_body<T: Real>(
    source: Source<'_, T>,
    rows: Range<usize>,
    columns: Range<usize>,
    width: usize,
    panel_stride: usize,
    dst: &mut [T],
) {
    let mut slots = Vec::with_capacity(source.gather.taps());
    let total = columns.len();
    for segment in segments(columns, source.gather.counts, width) {
        find_slots(source.gather, &segment, &mut slots);
        let to = &mut dst[segment.panel * panel_stride + segment.at..];
        let step = source.gather.step[2];
        match (segment.len, step) {
            (4, 1) => copy_rows::<T, 4, 1>(source, &segment, &slots, rows.clone(), width, to),
            (8, 1) => copy_rows::<T, 8, 1>(source, &segment, &slots, rows.clone(), width, to),
            (16, 1) => copy_rows::<T, 16, 1>(source, &segment, &slots, rows.clone(), width, to),
            (32, 1) => copy_rows::<T, 32, 1>(source, &segment, &slots, rows.clone(), width, to),
            (_, 1) => copy_rows::<T, 0, 1>(source, &segment, &slots, rows.clone(), width, to),
            (4, 2) => copy_rows::<T, 4, 2>(source, &segment, &slots, rows.clone(), width, to),
            (8, 2) => copy_rows::<T, 8, 2>(source, &segment, &slots, rows.clone(), width, to),
            (16, 2) => copy_rows::<T, 16, 2>(source, &segment, &slots, rows.clone(), width, to),
            (32, 2) => copy_rows::<T, 32, 2>(source, &segment, &slots, rows.clone(), width, to),
            (_, 2) => copy_rows::<T, 0, 2>(source, &segment, &slots, rows.clone(), width, to),
            _ => copy_rows::<T, 0, 0>(source, &segment, &slots, rows.clone(), width, to),
        }
    }
    let used = total % width;
    if used != 0 {
        let panel = &mut dst[total / width * panel_stride..];
        for row in panel.chunks_mut(width).take(rows.len()) {
            row[used..].fill(T::nil());
        }
    }
}

#[inline(always)]
fn find_slots(gather: &Gather, segment: &Segment, slots: &mut Vec<Slot>) {
    let [_, height, width] = gather.input;
    let step = gather.step[2] as isize;
    let corner = |axis: usize| (segment.position[axis] * gather.step[axis]) as isize;
    let (z0, y0, x0) = (corner(0), corner(1), corner(2));
    let inside = |at: isize, axis: usize| at >= 0 && at < gather.input[axis] as isize;
    slots.clear();
    for z in gather.offsets[0].iter().map(|o| z0 + o) {
        for y in gather.offsets[1].iter().map(|o| y0 + o) {
            let start = (z * height as isize + y) * width as isize;
            let valid = inside(z, 0) && inside(y, 1);
            for x in gather.offsets[2].iter().map(|o| x0 + o) {
                let (mut from, mut to) = (0, 0);
                if valid {
                    from = if x < 0 { ((-x + step - 1) / step) as usize } else { 0 }.min(segment.len);
                    let left = width as isize - x;
                    to = if left <= 0 { 0 } else { ((left + step - 1) / step) as usize }
                        .clamp(from, segment.len);
                }
                slots.push(Slot { start: start + x, from, to });
            }
        }
    }
}

/// Every `step`-th element of `from`, which has `step` times the length of `out`.
#[inline(always)]
fn copy_stretch<T: Real, const STEP: usize>(from: &[T], step: usize, out: &mut [T]) {
    debug_assert_eq!(from.len(), out.len() * step);
    match STEP {
        1 => {
            for (o, v) in out.iter_mut().zip(from) {
                *o = *v;
            }
        }
        2 if size_of::<T>() == 4 => {
            // Pairs as one integer each, of which the first half is kept: compilers turn that into vector instructions, and a
            // loop over every second element not.
            let (from, out) = (from.as_ptr().cast::<[u32; 2]>(), out);
            for (j, o) in out.iter_mut().enumerate() {
                // SAFETY: `from` has two elements of 4 bytes for each of `out`, and T is f32, for which all bits are valid.
                unsafe {
                    let pair = from.add(j).cast::<u64>().read_unaligned();
                    let first =
                        if cfg!(target_endian = "little") { pair as u32 } else { (pair >> 32) as u32 };
                    std::ptr::from_mut(o).cast::<u32>().write(first);
                }
            }
        }
        _ => {
            for (o, v) in out.iter_mut().zip(from.iter().step_by(step)) {
                *o = *v;
            }
        }
    }
}

/// Copies one segment of every row. `LEN` and `STEP` are the segment's length and the gather's last step where they are
/// worth a loop of their own, else 0.
#[inline(always)]
fn copy_rows<T: Real, const LEN: usize, const STEP: usize>(
    source: Source<'_, T>,
    segment: &Segment,
    slots: &[Slot],
    rows: Range<usize>,
    width: usize,
    dst: &mut [T],
) {
    let len = if LEN == 0 { segment.len } else { LEN };
    let step = if STEP == 0 { source.gather.step[2] } else { STEP };
    let volume: usize = source.gather.input.iter().product();
    let (mut channel, mut tap) = (rows.start / slots.len(), rows.start % slots.len());
    for row in 0..rows.len() {
        let slot = slots[tap];
        let start = (segment.image * source.image_stride + channel * volume) as isize + slot.start;
        let out = &mut dst[row * width..][..len];
        let span = start.max(0) as usize..start.max(0) as usize + len * step;
        if slot.from == slot.to {
            out.fill(T::nil());
        } else if start >= 0 && span.end <= source.data.len() {
            // Neighbours of the row are read too where the segment hangs over its ends, and then overwritten with zeros.
            copy_stretch::<T, STEP>(&source.data[span], step, out);
            out[..slot.from].iter_mut().for_each(|o| *o = T::nil());
            out[slot.to..].iter_mut().for_each(|o| *o = T::nil());
        } else {
            // At the very ends of the tensor there are no neighbours to read.
            out.fill(T::nil());
            for (j, o) in out.iter_mut().enumerate().take(slot.to).skip(slot.from) {
                *o = source.data[(start + (j * step) as isize) as usize];
            }
        }
        tap += 1;
        if tap == slots.len() {
            (channel, tap) = (channel + 1, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_end_at_rows_images_and_panels() {
        let all: Vec<Segment> = segments(2..11, [1, 2, 3], 4).collect();
        let lens: Vec<usize> = all.iter().map(|s| s.len).collect();
        assert_eq!(lens, [1, 3, 3, 1, 1]);
        assert_eq!(all[2], Segment { panel: 1, at: 0, len: 3, image: 1, position: [0, 0, 0] });
        assert_eq!(all[4], Segment { panel: 2, at: 0, len: 1, image: 1, position: [0, 1, 1] });
    }

    #[test]
    fn packing_pads_the_volume_and_the_panel() {
        let gather = Gather {
            input: [1, 1, 5],
            counts: [1, 1, 3],
            step: [1, 1, 2],
            offsets: [vec![0], vec![0], vec![-1, 0, 1]],
        };
        let data = [1.0f32, 2.0, 3.0, 4.0, 5.0];
        let mut dst = [9.0; 12];
        let source = Source { data: &data, image_stride: 5, gather: &gather };
        pack(f32::kernel().simd, source, 0..3, 0..3, 4, 12, &mut dst);
        assert_eq!(dst, [0.0, 2.0, 4.0, 0.0, 1.0, 3.0, 5.0, 0.0, 2.0, 4.0, 0.0, 0.0]);
    }
}
