//! Decoded 8-bit frames, the currency between decoders, caches, loader and writers.

use candle_core::{DType, Device, Tensor};
use vg_core::{Error, Pixels, Result, expect_dims};

/// A clip of 8-bit frames in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames {
    /// Number of frames, T.
    pub frames: usize,
    /// Rows, H.
    pub height: usize,
    /// Columns, W.
    pub width: usize,
    /// 1 (grey), 3 (RGB).
    pub channels: usize,
    /// `T * H * W * C` bytes in the order `T, H, W, C`.
    pub data: Vec<u8>,
}

/// Size of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct FrameSize {
    /// Rows, H.
    pub height: usize,
    /// Columns, W.
    pub width: usize,
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
}

impl FrameSize {
    /// `times` as high and wide.
    pub fn enlarged(self, times: usize) -> Self {
        Self { height: self.height * times, width: self.width * times, ..self }
    }

    /// Bytes of one 8-bit frame.
    pub fn bytes(self) -> usize {
        self.height * self.width * self.channels
    }
}

impl std::fmt::Display for FrameSize {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.height, self.width, self.channels)
    }
}

impl From<vg_core::ClipSpec> for FrameSize {
    fn from(clip: vg_core::ClipSpec) -> Self {
        Self { height: clip.height, width: clip.width, channels: clip.channels }
    }
}

impl Frames {
    /// Black frames.
    pub fn black(frames: usize, size: FrameSize) -> Self {
        let FrameSize { height, width, channels } = size;
        Self { frames, height, width, channels, data: vec![0; frames * size.bytes()] }
    }

    /// Frames around existing bytes, `T, H, W, C`.
    ///
    /// # Errors
    /// [`Error::Shape`] when the number of bytes is not that of the sizes.
    pub fn from_bytes(frames: usize, size: FrameSize, data: Vec<u8>) -> Result<Self> {
        if data.len() != frames * size.bytes() {
            return Err(Error::shape("frames", format!("{frames} x {size} bytes"), &[data.len()]));
        }
        let FrameSize { height, width, channels } = size;
        Ok(Self { frames, height, width, channels, data })
    }

    /// One clip per batch entry of `clips` `[B, C, T, H, W]`, whose values are on the scale `pixels`.
    ///
    /// # Errors
    /// [`Error::Shape`] unless the tensor has five axes and one or three channels.
    pub fn from_tensor(clips: &Tensor, pixels: Pixels) -> Result<Vec<Self>> {
        expect_dims!("clips", clips.dims(), [B, C, T, H, W])?;
        let (batch, channels, frames, height, width) = clips.dims5()?;
        if channels != 1 && channels != 3 {
            return Err(Error::shape("clips", "[B, 1 or 3, T, H, W]", clips.dims()));
        }
        let values = clips.to_dtype(DType::F32)?.permute((0, 2, 3, 4, 1))?.flatten_all()?.to_vec1::<f32>()?;
        let size = FrameSize { height, width, channels };
        let per_clip = frames * size.bytes();
        (0..batch)
            .map(|b| {
                let clip = &values[b * per_clip..(b + 1) * per_clip];
                Self::from_bytes(frames, size, clip.iter().map(|v| pixels.encode(*v)).collect())
            })
            .collect()
    }

    /// The clip as a tensor `[1, C, T, H, W]`, f32 on the scale `pixels`.
    pub fn to_tensor(&self, pixels: Pixels, device: &Device) -> Result<Tensor> {
        let mut planes = vec![0.0; self.data.len()];
        scatter_planes(self, &decode_table(pixels), false, &mut planes);
        let dims = (1, self.channels, self.frames, self.height, self.width);
        Ok(Tensor::from_vec(planes, dims, device)?)
    }

    /// Size of one frame.
    pub fn size(&self) -> FrameSize {
        FrameSize { height: self.height, width: self.width, channels: self.channels }
    }

    /// Bytes of frame `index`, `H, W, C`; none past the end.
    pub fn frame(&self, index: usize) -> Option<&[u8]> {
        let bytes = self.size().bytes();
        self.data.get(index * bytes..(index + 1) * bytes)
    }

    /// All frames in order, each `H, W, C`.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.data.chunks_exact(self.size().bytes().max(1))
    }

    /// Means over squares of `side x side` pixels, rounded to the nearest (halves to even); `side` divides height and width.
    pub fn averaged(&self, side: usize) -> Self {
        let size =
            FrameSize { height: self.height / side, width: self.width / side, channels: self.channels };
        let mut out = Self::black(self.frames, size);
        let (row, channels) = (self.width * self.channels, self.channels);
        let rows = self.data.chunks_exact(row * side).zip(out.data.chunks_exact_mut(size.width * channels));
        for (rows, target) in rows {
            for (at, value) in target.iter_mut().enumerate() {
                let first = at / channels * side * channels + at % channels;
                let square = (0..side).flat_map(|y| (0..side).map(move |x| y * row + first + x * channels));
                *value = mean(square.map(|at| u32::from(rows[at])).sum(), (side * side) as u32);
            }
        }
        out
    }

    /// The same frames with 1 or 3 channels: RGB to grey by BT.601 luma, grey to RGB by repetition.
    pub fn with_channels(self, channels: usize) -> Self {
        let data = match (self.channels, channels) {
            (from, to) if from == to => self.data,
            (_, 1) => grey_of_rgb(&self.data),
            _ => self.data.iter().flat_map(|v| [*v; 3]).collect(),
        };
        Self { channels, data, ..self }
    }
}

/// `sum / count`, rounded to the nearest, halves to even.
fn mean(sum: u32, count: u32) -> u8 {
    let (below, rest) = (sum / count, 2 * (sum % count));
    let up = rest > count || (rest == count && below % 2 == 1);
    (below + u32::from(up)) as u8
}

/// BT.601 luma of packed RGB, rounded as Pillow's mode `L`.
pub(crate) fn grey_of_rgb(rgb: &[u8]) -> Vec<u8> {
    rgb.chunks_exact(3)
        .map(|p| {
            let luma = u32::from(p[0]) * 19_595 + u32::from(p[1]) * 38_470 + u32::from(p[2]) * 7_471;
            ((luma + 0x8000) >> 16) as u8
        })
        .collect()
}

/// Network value of every 8-bit pixel.
pub(crate) fn decode_table(pixels: Pixels) -> [f32; 256] {
    std::array::from_fn(|u| pixels.decode(u as u8))
}

/// Writes `T, H, W, C` bytes as `[C, T, H, W]` values, mirrored left-right on request.
pub(crate) fn scatter_planes(clip: &Frames, table: &[f32; 256], mirror: bool, out: &mut [f32]) {
    let (channels, width) = (clip.channels, clip.width);
    let plane = clip.frames * clip.height * width;
    for channel in 0..channels {
        let rows = out[channel * plane..(channel + 1) * plane].chunks_exact_mut(width);
        for (target, source) in rows.zip(clip.data.chunks_exact(width * channels)) {
            for (x, value) in target.iter_mut().enumerate() {
                let column = if mirror { width - 1 - x } else { x };
                *value = table[usize::from(source[column * channels + channel])];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(frames: usize, channels: usize) -> Frames {
        let size = FrameSize { height: 2, width: 3, channels };
        let data = (0..frames * size.bytes()).map(|i| (i * 7 % 256) as u8).collect();
        Frames::from_bytes(frames, size, data).unwrap()
    }

    #[test]
    fn averages_are_rounded_to_even() {
        let size = FrameSize { height: 2, width: 4, channels: 2 };
        // Two squares; channel 0 sums to 2 and 6 (halves), channel 1 to 765 (191.25) and 3.
        let rows = vec![0, 255, 1, 255, 3, 0, 1, 1, 0, 255, 1, 0, 1, 1, 1, 1];
        let frames = Frames::from_bytes(1, size, rows).unwrap().averaged(2);
        assert_eq!((frames.height, frames.width, frames.channels), (1, 2, 2));
        assert_eq!(frames.data, [0, 191, 2, 1]);
        assert_eq!(ramp(3, 1).averaged(1), ramp(3, 1));
    }

    #[test]
    fn tensors_and_bytes_round_trip() {
        for (channels, pixels) in [(1, Pixels::Unit), (3, Pixels::Symmetric), (3, Pixels::Centered128)] {
            let clip = ramp(4, channels);
            let tensor = clip.to_tensor(pixels, &Device::Cpu).unwrap();
            assert_eq!(tensor.dims(), [1, channels, 4, 2, 3]);
            assert_eq!(Frames::from_tensor(&tensor, pixels).unwrap(), [clip]);
        }
    }

    #[test]
    fn two_channels_and_short_buffers_are_refused() {
        let tensor = Tensor::zeros((1, 2, 1, 2, 2), DType::F32, &Device::Cpu).unwrap();
        assert!(matches!(Frames::from_tensor(&tensor, Pixels::Unit), Err(Error::Shape { .. })));
        let size = FrameSize { height: 2, width: 2, channels: 1 };
        assert!(Frames::from_bytes(1, size, vec![0; 3]).is_err());
    }

    #[test]
    fn grey_is_luma_and_back_is_repetition() {
        let size = FrameSize { height: 1, width: 3, channels: 3 };
        let rgb = Frames::from_bytes(1, size, vec![255, 0, 0, 0, 255, 0, 9, 9, 9]).unwrap();
        let grey = rgb.with_channels(1);
        assert_eq!(grey.data, [76, 150, 9]);
        assert_eq!(grey.with_channels(3).data, [76, 76, 76, 150, 150, 150, 9, 9, 9]);
    }

    #[test]
    fn mirrored_planes_run_from_right_to_left() {
        let clip = ramp(1, 1);
        let mut out = vec![0.0; 6];
        scatter_planes(&clip, &std::array::from_fn(|u| u as f32), true, &mut out);
        assert_eq!(out, [14.0, 7.0, 0.0, 35.0, 28.0, 21.0]);
    }
}
