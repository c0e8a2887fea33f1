//! Fitting frames to the size of a model: centre crop, then box average or bilinear, or the nearest pixel.

use crate::frames::{FrameSize, Frames};

/// Resizes frames of one size to another: the largest centred window of the target's aspect ratio is cut out, then each axis is
/// averaged over boxes when it shrinks (ffmpeg's `area`) and interpolated linearly when it grows (half-pixel centres).
#[derive(Clone, Debug)]
pub struct Resizer {
    source_width: usize,
    channels: usize,
    rows: Axis,
    columns: Axis,
}

/// Weights of one axis: for each output, the first source index and the weights from there on.
#[derive(Clone, Debug)]
struct Axis(Vec<(usize, Vec<f32>)>);

/// The centred window `(top, left, height, width)` of the given aspect ratio.
pub fn centre_crop(
    (height, width): (usize, usize),
    (to_height, to_width): (usize, usize),
) -> (usize, usize, usize, usize) {
    let nearest = |n: usize, d: usize| (2 * n + d) / (2 * d).max(1);
    let (h, w) = if width * to_height > height * to_width {
        (height, nearest(height * to_width, to_height).clamp(1, width))
    } else {
        (nearest(width * to_height, to_width).clamp(1, height), width)
    };
    ((height - h) / 2, (width - w) / 2, h, w)
}

impl Resizer {
    /// From `height` x `width` frames to `to_height` x `to_width`, all sizes at least 1.
    pub fn new(from: FrameSize, to: (usize, usize)) -> Self {
        Self::along(from, to, Axis::new)
    }

    /// The same by the pixel nearest to each centre: no value comes out that did not go in.
    pub fn nearest(from: FrameSize, to: (usize, usize)) -> Self {
        Self::along(from, to, Axis::nearest)
    }

    /// As [`Resizer::new`] without the crop: each axis is scaled by its own factor.
    pub fn stretched(from: FrameSize, to: (usize, usize)) -> Self {
        Self::window(from, (0, 0, from.height, from.width), to, Axis::new)
    }

    fn along(from: FrameSize, to: (usize, usize), axis: fn(usize, usize, usize) -> Axis) -> Self {
        Self::window(from, centre_crop((from.height, from.width), to), to, axis)
    }

    fn window(
        from: FrameSize,
        (top, left, height, width): (usize, usize, usize, usize),
        to: (usize, usize),
        axis: fn(usize, usize, usize) -> Axis,
    ) -> Self {
        Self {
            source_width: from.width,
            channels: from.channels,
            rows: axis(top, height, to.0),
            columns: axis(left, width, to.1),
        }
    }

    /// Appends the resized `frame` (`H, W, C`) to `out`.
    pub fn append(&self, frame: &[u8], out: &mut Vec<u8>) {
        let channels = self.channels;
        let (first, last) = self.rows.range();
        let row_len = self.columns.0.len() * channels;
        let mut narrow = vec![0.0_f32; (last - first) * row_len];
        for (row, target) in (first..last).zip(narrow.chunks_exact_mut(row_len)) {
            let source = &frame[row * self.source_width * channels..][..self.source_width * channels];
            for ((start, weights), pixel) in self.columns.0.iter().zip(target.chunks_exact_mut(channels)) {
                for (w, from) in weights.iter().zip(source[start * channels..].chunks_exact(channels)) {
                    pixel.iter_mut().zip(from).for_each(|(sum, v)| *sum += w * f32::from(*v));
                }
            }
        }
        let mut sums = vec![0.0_f32; row_len];
        for (start, weights) in &self.rows.0 {
            sums.fill(0.0);
            for (w, row) in weights.iter().zip(narrow[(start - first) * row_len..].chunks_exact(row_len)) {
                sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += w * v);
            }
            out.extend(sums.iter().map(|v| (v + 0.5).clamp(0.0, 255.0) as u8));
        }
    }
}

impl Axis {
    fn new(offset: usize, from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        let weights = |i: usize| if to < from { boxes(i, scale, from) } else { linear(i, scale, from) };
        Self((0..to).map(weights).map(|(start, w)| (offset + start, w)).collect())
    }

    fn nearest(offset: usize, from: usize, to: usize) -> Self {
        let centre = |i: usize| (2 * i + 1) * from / (2 * to);
        Self((0..to).map(|i| (offset + centre(i), vec![1.0])).collect())
    }

    fn range(&self) -> (usize, usize) {
        let first = self.0.first().map_or(0, |(start, _)| *start);
        (first, self.0.iter().map(|(start, w)| start + w.len()).max().unwrap_or(first))
    }
}

fn boxes(i: usize, scale: f64, from: usize) -> (usize, Vec<f32>) {
    let (low, high) = (i as f64 * scale, (i as f64 + 1.0) * scale);
    let start = (low.floor() as usize).min(from - 1);
    let end = ((high - 1e-9).ceil() as usize).clamp(start + 1, from);
    let cover = |x: usize| (high.min(x as f64 + 1.0) - low.max(x as f64)) / scale;
    (start, (start..end).map(|x| cover(x) as f32).collect())
}

fn linear(i: usize, scale: f64, from: usize) -> (usize, Vec<f32>) {
    let centre = ((i as f64 + 0.5) * scale - 0.5).clamp(0.0, from as f64 - 1.0);
    let start = (centre.floor() as usize).min(from - 1);
    let fraction = (centre - start as f64) as f32;
    if fraction == 0.0 { (start, vec![1.0]) } else { (start, vec![1.0 - fraction, fraction]) }
}

/// The clip cropped, resized and converted to `size`.
pub fn fit(clip: Frames, size: FrameSize) -> Frames {
    fit_by(clip, size, Resizer::new)
}

/// The same with the nearest pixel, for pictures in flat colours.
pub fn fit_flat(clip: Frames, size: FrameSize) -> Frames {
    fit_by(clip, size, Resizer::nearest)
}

fn fit_by(clip: Frames, size: FrameSize, resizer: fn(FrameSize, (usize, usize)) -> Resizer) -> Frames {
    let same_size = (clip.height, clip.width) == (size.height, size.width);
    let resized = if same_size {
        clip
    } else {
        let resizer = resizer(clip.size(), (size.height, size.width));
        let mut data = Vec::with_capacity(clip.frames * size.height * size.width * clip.channels);
        clip.iter().for_each(|frame| resizer.append(frame, &mut data));
        Frames { height: size.height, width: size.width, data, ..clip }
    };
    resized.with_channels(size.channels)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grey(height: usize, width: usize, data: &[u8]) -> Frames {
        Frames::from_bytes(1, FrameSize { height, width, channels: 1 }, data.to_vec()).unwrap()
    }

    fn to(clip: Frames, height: usize, width: usize) -> Vec<u8> {
        fit(clip, FrameSize { height, width, channels: 1 }).data
    }

    #[test]
    fn halving_averages_two_by_two() {
        let clip = grey(2, 4, &[0, 10, 100, 100, 20, 30, 100, 104]);
        assert_eq!(to(clip, 1, 2), [15, 101]);
    }

    #[test]
    fn boxes_share_pixels_that_they_cut() {
        // 3 -> 2: weights 2/3, 1/3 | 1/3, 2/3.
        assert_eq!(Axis::new(0, 3, 2).0[0].1, [2.0 / 3.0, 1.0 / 3.0]);
        assert_eq!(to(grey(3, 3, &[0, 90, 240, 0, 90, 240, 0, 90, 240]), 2, 2), [30, 190, 30, 190]);
    }

    #[test]
    fn growing_interpolates_between_centres() {
        assert_eq!(to(grey(1, 2, &[0, 100]), 2, 4), [0, 25, 75, 100, 0, 25, 75, 100]);
    }

    #[test]
    fn flat_colours_stay_flat() {
        let size = |side| FrameSize { height: side, width: side, channels: 1 };
        let clip = grey(4, 4, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(fit_flat(clip.clone(), size(2)).data, [6, 8, 14, 16]);
        assert_eq!(fit_flat(clip.clone(), size(4)), clip);
        assert_eq!(fit_flat(grey(1, 1, &[7]), size(3)).data, [7; 9]);
        let three = grey(3, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(fit_flat(three, size(2)).data, [1, 3, 7, 9]);
    }

    #[test]
    fn wide_frames_lose_their_sides() {
        assert_eq!(centre_crop((120, 160), (64, 64)), (0, 20, 120, 120));
        assert_eq!(centre_crop((256, 264), (64, 64)), (0, 4, 256, 256));
        assert_eq!(to(grey(1, 3, &[1, 2, 3]), 1, 1), [2]);
    }

    #[test]
    fn stretched_frames_keep_their_sides() {
        let size = FrameSize { height: 1, width: 4, channels: 1 };
        let mut out = Vec::new();
        Resizer::stretched(size, (2, 2)).append(&[10, 20, 30, 50], &mut out);
        assert_eq!(out, [15, 40, 15, 40]);
    }

    proptest! {
        #[test]
        fn constant_frames_stay_constant(h in 1usize..40, w in 1usize..40, th in 1usize..40, tw in 1usize..40, v: u8) {
            let clip = grey(h, w, &vec![v; h * w]);
            let out = to(clip, th, tw);
            prop_assert_eq!(out, vec![v; th * tw]);
        }
    }
}
