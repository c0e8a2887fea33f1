//! Clips kept as one image: square frames side by side or stacked.

use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageReader, Limits};
use vg_core::{Error, Result};

use super::{Picture, Sink, animation::image_error};
use crate::frames::FrameSize;

/// Most pixels of a strip, 4,096 frames of 64x64; a damaged header must not ask for all memory.
const MAX_PIXELS: u64 = 1 << 24;
/// Most bytes that a decoder may ask for: 16 bits in four channels.
const MAX_BYTES: u64 = 8 * MAX_PIXELS;

/// How many frames of a strip make the clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// All of them.
    All,
    /// This many: the first ones; a shorter strip repeats its last frame. A strip of one frame stays one.
    Exactly(usize),
}

/// Where the frames of a strip lie in its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// Rows and columns of a frame.
    side: usize,
    frames: usize,
    /// One below the other instead of side by side.
    stacked: bool,
}

impl Layout {
    fn of((width, height): (u32, u32)) -> std::result::Result<Self, String> {
        let (side, longer) = (width.min(height), width.max(height));
        if side == 0 || u64::from(width) * u64::from(height) > MAX_PIXELS {
            return Err(format!("{width}x{height} pixels; a strip has 1 to {MAX_PIXELS}"));
        }
        if longer % side != 0 {
            return Err(format!(
                "no strip of square frames: the longer side of {width}x{height} pixels is no multiple of the shorter"
            ));
        }
        Ok(Self { side: side as usize, frames: (longer / side) as usize, stacked: height > width })
    }

    /// Copies frame `index` of an RGB image to `out`.
    fn frame(self, index: usize, rgb: &[u8], out: &mut Vec<u8>) {
        let row = self.side * 3;
        out.clear();
        if self.stacked {
            out.extend_from_slice(&rgb[index * self.side * row..(index + 1) * self.side * row]);
        } else {
            let rows = rgb.chunks_exact(self.frames * row);
            rows.for_each(|line| out.extend_from_slice(&line[index * row..(index + 1) * row]));
        }
    }
}

/// The frames of the strip at `path`, a still image of any format; its alpha is discarded, not blended.
pub(super) fn frames(path: &Path, length: Length, sink: &mut Sink<'_>) -> Result<()> {
    let (layout, rgb) = read(path)?;
    let size = FrameSize { height: layout.side, width: layout.side, channels: 3 };
    let count = match length {
        Length::Exactly(frames) if layout.frames > 1 => frames,
        _ => layout.frames,
    };
    let mut pixels = Vec::with_capacity(size.bytes());
    for index in 0..count {
        layout.frame(index.min(layout.frames - 1), &rgb, &mut pixels);
        sink(Picture { size, pixels: &pixels })?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<(Layout, Vec<u8>)> {
    let failed = |e| image_error(path, e);
    let reader = ImageReader::open(path).map_err(Error::io("reading", path))?;
    let mut reader = reader.with_guessed_format().map_err(Error::io("reading", path))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(failed)?;
    let layout = Layout::of(decoder.dimensions()).map_err(|problem| Error::format(path, problem))?;
    let image = DynamicImage::from_decoder(decoder).map_err(failed)?;
    Ok((layout, image.into_rgb8().into_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_side_is_the_frame() {
        let layout = |w, h| Layout::of((w, h)).map(|l| (l.side, l.frames, l.stacked));
        assert_eq!(layout(192, 64), Ok((64, 3, false)));
        assert_eq!(layout(128, 4096), Ok((128, 32, true)));
        assert_eq!(layout(7, 7), Ok((7, 1, false)));
        assert!(layout(193, 64).unwrap_err().contains("no strip of square frames"));
        assert!(layout(1 << 20, 1 << 10).unwrap_err().contains("pixels"));
        assert!(layout(u32::MAX, u32::MAX).unwrap_err().contains("pixels"));
        assert!(layout(0, 5).unwrap_err().contains("0x5 pixels"));
    }

    #[test]
    fn frames_are_cut_out_of_rows_and_columns() {
        let pixels: Vec<u8> = (0..2 * 6 * 3).collect();
        let mut frame = Vec::new();
        Layout { side: 2, frames: 3, stacked: false }.frame(1, &pixels, &mut frame);
        assert_eq!(frame, [6, 7, 8, 9, 10, 11, 24, 25, 26, 27, 28, 29]);
        Layout { side: 2, frames: 3, stacked: true }.frame(1, &pixels, &mut frame);
        assert_eq!(frame, (12..24).collect::<Vec<u8>>());
    }
}
