//! Reads frames and maps of numbers, and fits both to a size by the same window.

use std::{fs::File, io::BufReader, path::Path};

use vg_core::{Error, Result};

use crate::{
    frames::FrameSize,
    resize::{Resizer, centre_crop},
};

/// Rows and columns of a picture that are kept: top, left, height, width.
pub(super) type Window = (usize, usize, usize, usize);

/// A picture of 8-bit channels, `H, W, C`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub size: FrameSize,
    pub data: Vec<u8>,
}

impl Picture {
    /// An RGB picture from a file.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::Format`] for one that is no picture.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("reading", path))?;
        let rgb = image::load_from_memory(&bytes)
            .map_err(|e| Error::format(path, format!("damaged, or not a picture ({e})")))?
            .into_rgb8();
        let size = FrameSize { height: rgb.height() as usize, width: rgb.width() as usize, channels: 3 };
        Ok(Self { size, data: rgb.into_raw() })
    }

    pub(super) fn blank(height: usize, width: usize, channels: usize) -> Self {
        let size = FrameSize { height, width, channels };
        Self { size, data: vec![0; size.bytes()] }
    }

    /// The rows and columns of a window.
    pub(super) fn cut(&self, (top, left, height, width): Window) -> Self {
        let channels = self.size.channels;
        let row =
            |y: usize| &self.data[((top + y) * self.size.width + left) * channels..][..width * channels];
        let data = (0..height).flat_map(row).copied().collect();
        Self { size: FrameSize { height, width, channels }, data }
    }

    /// The same, for the picture of a file that must be as large as the window needs.
    ///
    /// # Errors
    /// [`Error::Format`] for a smaller picture.
    pub(super) fn cut_of(&self, window: Window, path: &Path) -> Result<Self> {
        let (top, left, height, width) = window;
        let FrameSize { height: h, width: w, .. } = self.size;
        if top + height > h || left + width > w {
            let problem =
                format!("{w}x{h} pixels, fewer than the first frame of its sequence; all must have one size");
            return Err(Error::format(path, problem));
        }
        Ok(self.cut(window))
    }

    /// Averaged or interpolated to `(height, width)`, the same way as all frames.
    pub(super) fn smooth(&self, to: (usize, usize), stretch: bool) -> Vec<u8> {
        if (self.size.height, self.size.width) == to {
            return self.data.clone();
        }
        let resizer = if stretch { Resizer::stretched(self.size, to) } else { Resizer::new(self.size, to) };
        let mut out = Vec::with_capacity(to.0 * to.1 * self.size.channels);
        resizer.append(&self.data, &mut out);
        out
    }

    /// The nearest pixels.
    pub(super) fn nearest(&self, to: (usize, usize), stretch: bool) -> Vec<u8> {
        let channels = self.size.channels;
        let places = nearest((self.size.height, self.size.width), to, stretch);
        places.flat_map(|at| &self.data[at * channels..(at + 1) * channels]).copied().collect()
    }
}

/// For each pixel of a picture of size `to`, the place of the one that it takes from a picture of size `from`.
pub(super) fn nearest(
    from: (usize, usize),
    to: (usize, usize),
    stretch: bool,
) -> impl Iterator<Item = usize> + Clone {
    let (top, left, height, width) = if stretch { (0, 0, from.0, from.1) } else { centre_crop(from, to) };
    let row = move |y: usize| top + (2 * y + 1) * height / (2 * to.0);
    let column = move |x: usize| left + (2 * x + 1) * width / (2 * to.1);
    (0..to.0).flat_map(move |y| (0..to.1).map(move |x| row(y) * from.1 + column(x)))
}

/// A map of numbers: classes or objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub height: usize,
    pub width: usize,
    pub ids: Vec<u32>,
}

impl Numbers {
    /// The samples of a PNG file with one channel of up to 16 bits, or the indices into its palette.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::Format`] for one that is damaged or has colours.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let damaged = |e: png::DecodingError| Error::format(path, format!("damaged, or not a PNG ({e})"));
        let file = BufReader::new(File::open(path).map_err(Error::io("reading", path))?);
        let mut decoder = png::Decoder::new(file);
        decoder.set_transformations(png::Transformations::IDENTITY);
        let mut reader = decoder.read_info().map_err(damaged)?;
        let bytes =
            reader.output_buffer_size().ok_or_else(|| Error::format(path, "the picture is too large"))?;
        let mut data = vec![0; bytes];
        let info = reader.next_frame(&mut data).map_err(damaged)?;
        if !matches!(info.color_type, png::ColorType::Grayscale | png::ColorType::Indexed) {
            return Err(Error::format(
                path,
                format!(
                    "a map of numbers has one channel, this picture has colours ({:?}); store each pixel's number as its grey level",
                    info.color_type
                ),
            ));
        }
        let (height, width) = (info.height as usize, info.width as usize);
        let bits = info.bit_depth as usize;
        let row = |y: usize| {
            let line = &data[y * info.line_size..][..info.line_size];
            (0..width).map(move |x| match bits {
                16 => u32::from(line[2 * x]) << 8 | u32::from(line[2 * x + 1]),
                8 => u32::from(line[x]),
                _ => {
                    let at = x * bits;
                    u32::from(line[at / 8]) >> (8 - bits - at % 8) & ((1 << bits) - 1)
                }
            })
        };
        Ok(Self { height, width, ids: (0..height).flat_map(row).collect() })
    }

    /// The nearest pixels.
    pub(super) fn nearest(&self, to: (usize, usize), stretch: bool) -> Vec<u32> {
        nearest((self.height, self.width), to, stretch).map(|at| self.ids[at]).collect()
    }
}

/// Height and width of a picture, from the begin of its file.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, [`Error::Format`] for one that is no picture.
pub(super) fn dimensions(path: &Path) -> Result<(usize, usize)> {
    let reader = image::ImageReader::open(path).map_err(Error::io("reading", path))?;
    let reader = reader.with_guessed_format().map_err(Error::io("reading", path))?;
    let damaged = |e| Error::format(path, format!("damaged, or not a picture ({e})"));
    let (width, height) = reader.into_dimensions().map_err(damaged)?;
    Ok((height as usize, width as usize))
}

/// Refuses a map that is not as large as its frame.
///
/// # Errors
/// [`Error::Format`] that names both files and sizes.
pub(super) fn same_size(path: &Path, (height, width): (usize, usize), frame: &Path) -> Result<()> {
    let (h, w) = dimensions(frame)?;
    if (h, w) != (height, width) {
        let problem = format!(
            "{width}x{height} pixels, but its frame {} has {w}x{h}; both must have one size",
            frame.display()
        );
        return Err(Error::format(path, problem));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_every_depth() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bits, colours, data: &[u8]| {
            let path = folder.path().join(name);
            let mut encoder = png::Encoder::new(File::create(&path).unwrap(), 3, 1);
            encoder.set_depth(bits);
            encoder.set_color(colours);
            if colours == png::ColorType::Indexed {
                encoder.set_palette(vec![0; 12]);
            }
            encoder.write_header().unwrap().write_image_data(data).unwrap();
            Numbers::read(&path)
        };
        let grey = png::ColorType::Grayscale;
        assert_eq!(write("8.png", png::BitDepth::Eight, grey, &[7, 0, 255]).unwrap().ids, [7, 0, 255]);
        let deep = write("16.png", png::BitDepth::Sixteen, grey, &[0x65, 0x91, 0, 7, 0, 0]).unwrap();
        assert_eq!(deep.ids, [26_001, 7, 0]);
        let palette = write("p.png", png::BitDepth::Two, png::ColorType::Indexed, &[0b1101_1000]).unwrap();
        assert_eq!(palette.ids, [3, 1, 2]);
        let colours = write("rgb.png", png::BitDepth::Eight, png::ColorType::Rgb, &[0; 9]);
        assert!(colours.unwrap_err().to_string().contains("has colours"));
    }

    #[test]
    fn maps_keep_to_the_window_of_their_frames() {
        let places: Vec<usize> = nearest((2, 6), (2, 2), false).collect();
        assert_eq!(places, [2, 3, 8, 9]);
        let stretched: Vec<usize> = nearest((2, 6), (1, 2), true).collect();
        assert_eq!(stretched, [7, 10]);
        let picture =
            Picture { size: FrameSize { height: 2, width: 6, channels: 1 }, data: (0..12).collect() };
        assert_eq!(picture.nearest((2, 2), false), [2, 3, 8, 9]);
        assert_eq!(picture.smooth((2, 2), false), [2, 3, 8, 9]);
        assert_eq!(picture.cut((1, 2, 1, 3)).data, [8, 9, 10]);
    }
}
