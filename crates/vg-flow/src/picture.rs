//! Frames as this crate takes them.

use std::borrow::Cow;

use crate::error::{FlowError, Result};

/// Luminance of a frame: `[H, W]`, row-major, 0 to 255.
#[derive(Clone, Debug)]
pub struct Gray<'a> {
    height: usize,
    width: usize,
    data: Cow<'a, [f32]>,
}

impl<'a> Gray<'a> {
    /// A frame from its luminance, 0 to 255. Whole numbers are what the search was tuned with, but any values in the range will do.
    ///
    /// # Errors
    /// [`FlowError::Length`] when `data` does not hold `height * width` values, [`FlowError::Value`] for one outside of the range.
    pub fn new(height: usize, width: usize, data: &'a [f32]) -> Result<Self> {
        let expected = height * width;
        if data.len() != expected {
            let shape = format!("[{height}, {width}]");
            return Err(FlowError::Length { what: "luminance", shape, expected, got: data.len() });
        }
        match data.iter().find(|x| !(0.0..=255.0).contains(*x)) {
            Some(&got) => Err(FlowError::Value { what: "luminance", expected: "0 to 255", got }),
            None => Ok(Self { height, width, data: Cow::Borrowed(data) }),
        }
    }

    /// Luminance of interleaved 8-bit RGB, `[H, W, 3]`: 0.299 R + 0.587 G + 0.114 B, rounded to whole numbers.
    ///
    /// # Errors
    /// [`FlowError::Length`] when `rgb` does not hold `3 * height * width` values.
    pub fn from_rgb(height: usize, width: usize, rgb: &[u8]) -> Result<Gray<'static>> {
        let expected = 3 * height * width;
        if rgb.len() != expected {
            let shape = format!("[{height}, {width}, 3]");
            return Err(FlowError::Length { what: "RGB frame", shape, expected, got: rgb.len() });
        }
        let (pixels, _) = rgb.as_chunks::<3>();
        let data = pixels.iter().map(|&[r, g, b]| luma(f32::from(r), f32::from(g), f32::from(b))).collect();
        Ok(Gray { height, width, data: Cow::Owned(data) })
    }

    /// Luminance of a picture in [-1, 1] with one or three (RGB) channels, rounded to whole numbers; values outside are clipped.
    ///
    /// # Errors
    /// [`FlowError::Value`] for another number of channels or a value that is no number.
    pub fn from_picture(picture: &Picture<'_>) -> Result<Gray<'static>> {
        let byte = |x: f32| ((x + 1.0) * 127.5).clamp(0.0, 255.0);
        let area = picture.height * picture.width;
        let data: Vec<f32> = match picture.channels {
            1 => picture.data.iter().map(|&x| round(byte(x))).collect(),
            3 => {
                let channel = |c: usize| &picture.data[c * area..(c + 1) * area];
                let rg = channel(0).iter().zip(channel(1));
                rg.zip(channel(2)).map(|((&r, &g), &b)| luma(byte(r), byte(g), byte(b))).collect()
            }
            other => {
                let (what, expected) = ("channels of a picture whose luminance is taken", "1 or 3");
                return Err(FlowError::Value { what, expected, got: other as f32 });
            }
        };
        if data.iter().any(|x| x.is_nan()) {
            let (what, expected) = ("picture", "numbers in [-1, 1]");
            return Err(FlowError::Value { what, expected, got: f32::NAN });
        }
        Ok(Gray { height: picture.height, width: picture.width, data: Cow::Owned(data) })
    }

    /// The same frame with values of its own.
    pub fn into_owned(self) -> Gray<'static> {
        Gray { height: self.height, width: self.width, data: Cow::Owned(self.data.into_owned()) }
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The values, `[H, W]`.
    pub fn data(&self) -> &[f32] {
        &self.data
    }
}

/// ITU-R BT.601 luma as a whole number.
fn luma(r: f32, g: f32, b: f32) -> f32 {
    round(0.299 * r + 0.587 * g + 0.114 * b)
}

/// To the nearest whole number, for numbers that are not negative.
fn round(x: f32) -> f32 {
    (x + 0.5).floor()
}

/// A frame with channels: `[C, H, W]`, planar, usually in [-1, 1].
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) data: &'a [f32],
}

impl<'a> Picture<'a> {
    /// A frame from its values.
    ///
    /// # Errors
    /// [`FlowError::Length`] when `data` does not hold `channels * height * width` values.
    pub fn new(channels: usize, height: usize, width: usize, data: &'a [f32]) -> Result<Self> {
        let expected = channels * height * width;
        if data.len() != expected {
            let shape = format!("[{channels}, {height}, {width}]");
            return Err(FlowError::Length { what: "picture", shape, expected, got: data.len() });
        }
        Ok(Self { channels, height, width, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luminance_of_primaries() {
        let rgb = [255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255];
        let gray = Gray::from_rgb(2, 2, &rgb).unwrap();
        assert_eq!(gray.data(), [76.0, 150.0, 29.0, 255.0]);
        // The same as planes in [-1, 1].
        let planes: Vec<f32> = (0..12).map(|i| f32::from(rgb[3 * (i % 4) + i / 4]) / 127.5 - 1.0).collect();
        let gray = Gray::from_picture(&Picture::new(3, 2, 2, &planes).unwrap()).unwrap();
        assert_eq!(gray.data(), [76.0, 150.0, 29.0, 255.0]);
        let gray = Gray::from_picture(&Picture::new(1, 1, 4, &[-1.0, 0.0, 1.0, 3.0]).unwrap()).unwrap();
        assert_eq!(gray.data(), [0.0, 128.0, 255.0, 255.0]);
    }

    #[test]
    fn bad_pictures_are_named() {
        let message = |r: Result<Gray<'_>>| r.unwrap_err().to_string();
        assert_eq!(message(Gray::new(1, 2, &[0.0, 256.0])), "luminance: expected 0 to 255, got 256");
        assert_eq!(message(Gray::new(1, 2, &[0.0, f32::NAN])), "luminance: expected 0 to 255, got NaN");
        assert_eq!(message(Gray::new(2, 2, &[0.0])), "luminance: expected 4 values for [2, 2], got 1");
        assert!(message(Gray::from_rgb(1, 1, &[0; 4])).contains("expected 3 values for [1, 1, 3], got 4"));
        let two = [0.0; 8];
        assert!(message(Gray::from_picture(&Picture::new(2, 2, 2, &two).unwrap())).contains("1 or 3, got 2"));
        let nan = [f32::NAN];
        assert!(message(Gray::from_picture(&Picture::new(1, 1, 1, &nan).unwrap())).contains("NaN"));
    }
}
