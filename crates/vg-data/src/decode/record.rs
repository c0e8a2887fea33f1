//! One record of a TFRecord file: raw frames under the names of the BAIR robot pushing set, or a whole clip with its shape, as
//! progressive GANs keep them.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use sha2::{Digest, Sha256};
use vg_core::{Error, Result};

use super::{Picture, Sink};
use crate::{
    bair::{example, tfrecord},
    frames::FrameSize,
};

/// Frames of a record.
const FRAMES: usize = 30;
/// Raw RGB.
const SIZE: FrameSize = FrameSize { height: 64, width: 64, channels: 3 };

/// Where a record lies, and what is done with its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The TFRecord file.
    pub path: PathBuf,
    /// Number of the record in its file, from 1.
    pub number: usize,
    /// Its first byte, that of its length.
    pub offset: u64,
    /// Bytes of its data.
    pub length: usize,
    /// What it holds.
    pub layout: Layout,
}

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Frames by name, 64x64 RGB each.
    Frames {
        /// Whether the contrast of each frame is stretched.
        stretch: bool,
    },
    /// `data`, bytes `[T, C, H, W]`, and `shape`, these four numbers.
    Clip,
}

impl Record {
    /// Hands over the frames.
    pub(super) fn frames(&self, sink: &mut Sink<'_>) -> Result<()> {
        let data = self.read()?;
        match self.layout {
            Layout::Frames { stretch } => self.named_frames(&data, stretch, sink),
            Layout::Clip => self.clip(&data, sink),
        }
    }

    /// `data` of the shape `shape`.
    fn clip(&self, data: &[u8], sink: &mut Sink<'_>) -> Result<()> {
        let shape = example::numbers(data, "shape").map_err(|problem| self.error(&problem))?;
        let shape = shape.ok_or_else(|| self.error("there is no shape"))?;
        let wrong = || {
            self.error(&format!("its shape is {shape:?}; expected frames, 1 or 3 channels, rows, columns"))
        };
        let &[frames, channels @ (1 | 3), height, width] = &shape[..] else { return Err(wrong()) };
        if shape.iter().any(|n| !(1..=1 << 16).contains(n)) {
            return Err(wrong());
        }
        let [frames, channels, height, width] = [frames, channels, height, width].map(|n| n as usize);
        let mut pixels: Option<&[u8]> = None;
        example::bytes_features(data, |name, value| {
            if name == "data" {
                pixels = Some(value);
            }
        })
        .map_err(|problem| self.error(&problem))?;
        let pixels = pixels.ok_or_else(|| self.error("there is no data"))?;
        let size = FrameSize { height, width, channels };
        if Some(pixels.len()) != size.bytes().checked_mul(frames) {
            let problem =
                format!("its data have {} bytes, which is not {frames} frames of {size}", pixels.len());
            return Err(self.error(&problem));
        }
        let plane = height * width;
        for frame in pixels.chunks_exact(size.bytes()) {
            let interleaved: Vec<u8> =
                (0..plane).flat_map(|at| (0..channels).map(move |c| frame[c * plane + at])).collect();
            sink(Picture { size, pixels: &interleaved })?;
        }
        Ok(())
    }

    /// The frames `0/image_aux1/encoded` to `29/image_aux1/encoded`, each 64 x 64 x 3 bytes.
    fn named_frames(&self, data: &[u8], stretched: bool, sink: &mut Sink<'_>) -> Result<()> {
        let mut found: [Option<&[u8]>; FRAMES] = [None; FRAMES];
        example::bytes_features(data, |name, value| {
            let number = name.strip_suffix("/image_aux1/encoded").and_then(|n| n.parse::<usize>().ok());
            if let Some(frame) = number.and_then(|n| found.get_mut(n)) {
                *frame = Some(value);
            }
        })
        .map_err(|problem| self.error(&problem))?;
        for (number, frame) in found.iter().enumerate() {
            let frame =
                frame.ok_or_else(|| self.error(&format!("there is no {number}/image_aux1/encoded")))?;
            if frame.len() != SIZE.bytes() {
                let (got, want) = (frame.len(), SIZE.bytes());
                let problem =
                    format!("{number}/image_aux1/encoded has {got} bytes; expected {want}, raw {SIZE}");
                return Err(self.error(&problem));
            }
            let stretched = stretched.then(|| stretch(frame));
            sink(Picture { size: SIZE, pixels: stretched.as_deref().unwrap_or(frame) })?;
        }
        Ok(())
    }

    /// SHA-256 of the data, first 16 digits.
    pub(crate) fn hash(&self) -> Result<String> {
        let mut digits = format!("{:x}", Sha256::digest(self.read()?));
        digits.truncate(16);
        Ok(digits)
    }

    fn read(&self) -> Result<Vec<u8>> {
        let mut file = File::open(&self.path).map_err(Error::io("reading", &self.path))?;
        let start = self.offset + tfrecord::HEADER;
        file.seek(SeekFrom::Start(start)).map_err(Error::io("reading", &self.path))?;
        let mut data = Vec::new();
        let whole = self.length as u64 + tfrecord::FOOTER;
        file.take(whole).read_to_end(&mut data).map_err(Error::io("reading", &self.path))?;
        tfrecord::checked(data, self.length).map_err(|problem| self.error(&problem))
    }

    fn error(&self, problem: &str) -> Error {
        tfrecord::error(&self.path, self.number, self.offset, problem)
    }
}

/// Contrast stretched over the whole frame, its darkest byte to 0 and its brightest to 255, as old `scipy.misc.imsave` did (SVG's
/// official converter): `floor((v - min) * 255 / (max - min) + 0.4999)`. A flat frame becomes black.
fn stretch(frame: &[u8]) -> Vec<u8> {
    let low = frame.iter().copied().min().unwrap_or(0);
    let high = frame.iter().copied().max().unwrap_or(0);
    let range = f64::from((high - low).max(1));
    frame.iter().map(|v| (f64::from(v - low) * 255.0 / range + 0.4999) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_stretched_over_all_channels() {
        // 1 of 2: 127.5 + 0.4999 stays below 128.
        assert_eq!(stretch(&[10, 11, 12]), [0, 127, 255]);
        assert_eq!(stretch(&[0, 128, 255]), [0, 128, 255]);
        assert_eq!(stretch(&[100, 103, 107]), [0, 109, 255]);
        assert_eq!(stretch(&[7, 7, 7]), [0, 0, 0]);
    }
}
