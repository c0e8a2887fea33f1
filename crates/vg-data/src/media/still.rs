//! One PNG image.

use std::path::Path;

use vg_core::Result;

use super::{
    apng::{colour, encoding},
    write_atomic,
};
use crate::frames::Frames;

/// Writes the first frame.
pub(super) fn write(path: &Path, image: &Frames) -> Result<()> {
    write_atomic(path, |out| {
        let failed = |e| encoding(path, e);
        let mut encoder = png::Encoder::new(out, image.width as u32, image.height as u32);
        encoder.set_color(colour(image));
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header().map_err(failed)?;
        writer.write_image_data(image.frame(0).unwrap_or_default()).map_err(failed)?;
        writer.finish().map_err(failed)
    })
}
