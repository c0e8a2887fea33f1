//! GIF, WebP, PNG and stills through the `image` crate; alpha is laid on white.

use std::{fs::File, io::BufReader, path::Path};

use image::{
    AnimationDecoder, ImageDecoder, ImageError, ImageReader, RgbaImage,
    codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder},
};
use vg_core::{Error, Result};

use super::{Format, Picture, Sink, read_error};
use crate::frames::FrameSize;

/// Largest side that is decoded; a damaged header must not ask for all memory.
const MAX_SIDE: u32 = 16_384;

/// All frames of a file; a still is one frame.
pub(super) fn frames(path: &Path, format: Format, sink: &mut Sink<'_>) -> Result<()> {
    let failed = |e| image_error(path, e);
    let file = BufReader::new(File::open(path).map_err(Error::io("reading", path))?);
    match format {
        Format::Gif => each(path, GifDecoder::new(file).map_err(failed)?, sink),
        Format::WebP => {
            let mut decoder = WebPDecoder::new(file).map_err(failed)?;
            if !decoder.has_animation() {
                return still(path, sink);
            }
            // The file's own background is a hint that viewers ignore; transparency is what the clip was drawn with.
            decoder.set_background_color(image::Rgba([0; 4])).map_err(failed)?;
            each(path, decoder, sink)
        }
        _ => {
            let decoder = PngDecoder::new(file).map_err(failed)?;
            if !decoder.is_apng().map_err(failed)? {
                return still(path, sink);
            }
            check_side(path, decoder.dimensions())?;
            each(path, decoder.apng().map_err(failed)?, sink)
        }
    }
}

/// The one picture of a file.
pub(super) fn still(path: &Path, sink: &mut Sink<'_>) -> Result<()> {
    let reader = ImageReader::open(path).map_err(Error::io("reading", path))?;
    let reader = reader.with_guessed_format().map_err(Error::io("reading", path))?;
    let image = reader.decode().map_err(|e| image_error(path, e))?;
    hand_over(&image.into_rgba8(), sink)
}

fn each<'a>(path: &Path, decoder: impl AnimationDecoder<'a>, sink: &mut Sink<'_>) -> Result<()> {
    for frame in decoder.into_frames() {
        let frame = frame.map_err(|e| image_error(path, e))?;
        check_side(path, frame.buffer().dimensions())?;
        hand_over(frame.buffer(), sink)?;
    }
    Ok(())
}

fn hand_over(image: &RgbaImage, sink: &mut Sink<'_>) -> Result<()> {
    let size = FrameSize { height: image.height() as usize, width: image.width() as usize, channels: 3 };
    sink(Picture { size, pixels: &on_white(image) })
}

/// RGB over white: `alpha * colour + (1 - alpha) * 255`, rounded.
fn on_white(image: &RgbaImage) -> Vec<u8> {
    let blend = |value: u8, alpha: u8| {
        let sum = u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha));
        ((sum + 127) / 255) as u8
    };
    image.pixels().flat_map(|p| [blend(p[0], p[3]), blend(p[1], p[3]), blend(p[2], p[3])]).collect()
}

fn check_side(path: &Path, (width, height): (u32, u32)) -> Result<()> {
    if (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height) {
        return Ok(());
    }
    Err(Error::format(path, format!("{width}x{height} pixels; accepted are 1 to {MAX_SIDE} a side")))
}

pub(super) fn image_error(path: &Path, error: ImageError) -> Error {
    match error {
        ImageError::IoError(error) => read_error(path, error),
        other => Error::format(path, format!("damaged or not supported ({other})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_laid_on_white() {
        let image =
            RgbaImage::from_raw(3, 1, vec![10, 20, 30, 255, 10, 20, 30, 0, 0, 100, 200, 128]).unwrap();
        assert_eq!(on_white(&image), [10, 20, 30, 255, 255, 255, 127, 177, 227]);
    }
}
