//! Clips as JPEG strips.

use std::path::Path;

use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
use vg_core::{Error, Result};

use super::write_atomic;
use crate::frames::Frames;

/// Largest side of a JPEG image.
const MAX_SIDE: usize = 65_535;

/// Writes the frames of a clip one below the other as one JPEG image: VGAN's format, width W and height T * H.
///
/// # Errors
/// [`Error::Data`] for a clip without pixels or longer than JPEG allows, [`Error::Io`] from the disk.
pub fn write_stacked(path: &Path, clip: &Frames, quality: u8) -> Result<()> {
    let (width, height) = (clip.width, clip.height * clip.frames);
    if width * height == 0 || width.max(height) > MAX_SIDE {
        return Err(Error::Data(format!(
            "{}: {width}x{height} pixels; a JPEG image has 1 to {MAX_SIDE} a side",
            path.display()
        )));
    }
    let colour = if clip.channels == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    write_atomic(path, |out| {
        let encoder = JpegEncoder::new_with_quality(out, quality);
        let written = encoder.write_image(&clip.data, width as u32, height as u32, colour);
        written.map_err(|error| match error {
            image::ImageError::IoError(error) => Error::io("writing", path)(error),
            other => Error::format(path, other.to_string()),
        })
    })
}
