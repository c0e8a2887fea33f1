//! Animated PNG: every pixel as it is.

use std::path::Path;

use vg_core::{Error, Result};

use super::write_atomic;
use crate::frames::Frames;

pub(super) fn write(path: &Path, clip: &Frames, frames_per_sec: f64) -> Result<()> {
    write_atomic(path, |out| {
        let failed = |e: png::EncodingError| encoding(path, e);
        let mut encoder = png::Encoder::new(out, clip.width as u32, clip.height as u32);
        encoder.set_color(colour(clip));
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_animated(clip.frames as u32, 0).map_err(failed)?;
        let (numerator, denominator) = delay(frames_per_sec);
        encoder.set_frame_delay(numerator, denominator).map_err(failed)?;
        let mut writer = encoder.write_header().map_err(failed)?;
        clip.iter().try_for_each(|frame| writer.write_image_data(frame)).map_err(failed)?;
        writer.finish().map_err(failed)
    })
}

pub(super) fn colour(clip: &Frames) -> png::ColorType {
    if clip.channels == 1 { png::ColorType::Grayscale } else { png::ColorType::Rgb }
}

/// Seconds a frame as a fraction of 16-bit numbers; exact for rates with up to two decimals below 655.
fn delay(frames_per_sec: f64) -> (u16, u16) {
    (100, (frames_per_sec * 100.0).round().clamp(1.0, 65_535.0) as u16)
}

pub(super) fn encoding(path: &Path, error: png::EncodingError) -> Error {
    match error {
        png::EncodingError::IoError(source) => Error::io("writing", path)(source),
        other => Error::format(path, format!("PNG encoding: {other}")),
    }
}
