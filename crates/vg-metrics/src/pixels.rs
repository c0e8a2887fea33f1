//! Clips as bytes, and single frames as planes of numbers.

use crate::error::{Error, Result};

/// A clip of bytes `[T, H, W, C]` that lies elsewhere, with a name for errors.
#[derive(Clone, Copy, Debug)]
pub struct Frames<'a> {
    name: &'a str,
    pixels: &'a [u8],
    dims: [usize; 4],
}

impl<'a> Frames<'a> {
    /// A view of `pixels`, `[T, H, W, C]` in C order.
    ///
    /// # Errors
    /// [`Error::Shape`] when a size is 0 or the length does not fit.
    pub fn new(name: &'a str, pixels: &'a [u8], dims: [usize; 4]) -> Result<Self> {
        if dims.contains(&0) || product(&dims) != Some(pixels.len()) {
            let expected =
                format!("{} x {} x {} x {} bytes [T, H, W, C]", dims[0], dims[1], dims[2], dims[3]);
            return Err(Error::shape(format!("clip {name}"), expected, &[pixels.len()]));
        }
        Ok(Self { name, pixels, dims })
    }

    /// The clip's name in errors.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// `[T, H, W, C]`.
    pub fn dims(&self) -> [usize; 4] {
        self.dims
    }

    /// Number of frames.
    pub fn len(&self) -> usize {
        self.dims[0]
    }

    /// Never: there is at least one frame.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// All bytes, `[T, H, W, C]` in C order.
    pub fn pixels(&self) -> &'a [u8] {
        self.pixels
    }

    /// Frame `t`, `[H, W, C]`.
    ///
    /// # Panics
    /// When `t` is out of range.
    pub fn frame(&self, t: usize) -> &'a [u8] {
        let size = self.pixels.len() / self.dims[0];
        &self.pixels[t * size..][..size]
    }

    /// Frame `t` as planes with values in `0..=scale`: 1 or 255 for most metrics.
    ///
    /// # Panics
    /// When `t` is out of range.
    pub fn image(&self, t: usize, scale: f64) -> Image {
        let [_, height, width, channels] = self.dims;
        let frame = self.frame(t);
        let values = (0..channels)
            .flat_map(|c| frame.iter().skip(c).step_by(channels).map(|v| f64::from(*v) * scale / 255.0));
        Image { channels, height, width, values: values.collect() }
    }

    /// Checks that another clip has this one's size and length.
    ///
    /// # Errors
    /// [`Error::Shape`] with both clips' names.
    pub fn expect_same(&self, other: &Self) -> Result<()> {
        if self.dims == other.dims {
            return Ok(());
        }
        let [t, h, w, c] = self.dims;
        let expected = format!("{t} x {h} x {w} x {c} [T, H, W, C] as clip {}", self.name);
        Err(Error::shape(format!("clip {}", other.name), expected, &other.dims))
    }
}

/// The number of values, if there is one.
fn product(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1_usize, |n, size| n.checked_mul(*size))
}

/// Checks that all clips have one size and length, and that there are at least `needed`.
pub(crate) fn expect_one_size(what: &str, clips: &[Frames<'_>], needed: usize) -> Result<()> {
    Error::at_least(what, clips.len(), needed)?;
    clips.iter().try_for_each(|clip| clips[0].expect_same(clip))
}

/// A clip of bytes `[T, H, W, C]` with a name for errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    name: String,
    pixels: Vec<u8>,
    dims: [usize; 4],
}

impl Clip {
    /// A clip from bytes, `[T, H, W, C]` in C order.
    ///
    /// # Errors
    /// [`Error::Shape`] when a size is 0 or the length does not fit.
    pub fn new(name: impl Into<String>, pixels: Vec<u8>, dims: [usize; 4]) -> Result<Self> {
        let name = name.into();
        Frames::new(&name, &pixels, dims)?;
        Ok(Self { name, pixels, dims })
    }

    /// A clip from numbers in [-1, 1], `[T, H, W, C]` in C order; what lies outside is clamped.
    ///
    /// Each becomes the nearest byte, halves upwards. StyleGAN-V's truncation of 127.5 x + 128 is the same.
    ///
    /// # Errors
    /// As [`Clip::new`]; [`Error::Value`] with the clip's name for pixels that are not finite.
    pub fn from_unit_range(name: impl Into<String>, values: &[f32], dims: [usize; 4]) -> Result<Self> {
        let name = name.into();
        let frame = (values.len() / dims[0].max(1)).max(1);
        if let Some(i) = values.iter().position(|v| !v.is_finite()) {
            return Err(Error::Value {
                what: format!("clip {name}, frame"),
                index: i / frame,
                position: i % frame,
                value: f64::from(values[i]),
                expected: "a pixel in [-1, 1]",
            });
        }
        // The cast truncates and clamps.
        let byte = |v: &f32| (127.5 * v + 128.0) as u8;
        Self::new(name, values.iter().map(byte).collect(), dims)
    }

    /// The clip as a view.
    pub fn frames(&self) -> Frames<'_> {
        Frames { name: &self.name, pixels: &self.pixels, dims: self.dims }
    }

    /// Every `stride`-th frame from the first on, `count` of them.
    ///
    /// # Errors
    /// As [`Clip::window`].
    pub fn every(&self, stride: usize, count: usize) -> Result<Self> {
        self.window(0, stride, count)
    }

    /// Every `stride`-th frame from `start` on, `count` of them.
    ///
    /// # Errors
    /// [`Error::TooFew`] when the clip is too short, [`Error::Setting`] when `stride` or `count` is 0.
    pub fn window(&self, start: usize, stride: usize, count: usize) -> Result<Self> {
        if stride == 0 || count == 0 {
            let got = format!("{count} frames, stride {stride}");
            return Err(Error::setting("choice of frames", got, "1 or more of both"));
        }
        let needed = start.saturating_add((count - 1).saturating_mul(stride)).saturating_add(1);
        Error::at_least(format!("frames of clip {}", self.name), self.dims[0], needed)?;
        let pixels = (0..count).flat_map(|t| self.frames().frame(start + t * stride)).copied().collect();
        Self::new(self.name.clone(), pixels, [count, self.dims[1], self.dims[2], self.dims[3]])
    }
}

/// Planes of numbers `[C, H, W]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    channels: usize,
    height: usize,
    width: usize,
    values: Vec<f64>,
}

impl Image {
    /// An image from `values`, `[C, H, W]` in C order.
    ///
    /// # Errors
    /// [`Error::Shape`] when a size is 0 or the length does not fit, [`Error::Value`] for values that are not finite.
    pub fn new([channels, height, width]: [usize; 3], values: Vec<f64>) -> Result<Self> {
        let dims = [channels, height, width];
        if dims.contains(&0) || product(&dims) != Some(values.len()) {
            let expected = format!("{channels} x {height} x {width} numbers [C, H, W]");
            return Err(Error::shape("image", expected, &[values.len()]));
        }
        for (c, plane) in values.chunks_exact(height * width).enumerate() {
            crate::error::expect_finite("image, channel", c, plane)?;
        }
        Ok(Self { channels, height, width, values })
    }

    /// `[C, H, W]`.
    pub fn dims(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }

    /// All values, `[C, H, W]` in C order.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The planes `[H, W]`.
    pub fn planes(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.height * self.width)
    }

    pub(crate) fn expect_same(&self, other: &Self) -> Result<()> {
        if self.dims() == other.dims() {
            return Ok(());
        }
        let [c, h, w] = self.dims();
        Err(Error::shape("second image", format!("{c} x {h} x {w} [C, H, W] as the first"), &other.dims()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_planes() {
        let pixels = [0, 51, 102, 255, 0, 51];
        let frames = Frames::new("a", &pixels, [1, 1, 2, 3]).unwrap();
        assert_eq!(frames.image(0, 1.0).values(), &[0.0, 1.0, 0.2, 0.0, 0.4, 0.2]);
        assert_eq!(frames.image(0, 255.0).dims(), [3, 1, 2]);
        let error = Frames::new("a", &pixels, [2, 1, 2, 3]).unwrap_err().to_string();
        assert_eq!(error, "clip a: expected 2 x 1 x 2 x 3 bytes [T, H, W, C], got [6]");
        // The product is 0 in 64 bits.
        for dims in [[1 << 32, 1 << 32, 1, 1], [usize::MAX; 4], [1, 0, 1, 1]] {
            assert!(matches!(Frames::new("a", &[], dims), Err(Error::Shape { .. })), "{dims:?}");
            assert!(matches!(Clip::from_unit_range("a", &[], dims), Err(Error::Shape { .. })), "{dims:?}");
        }
        assert!(matches!(Image::new([1 << 32, 1 << 32, 1], vec![]), Err(Error::Shape { .. })));
    }

    #[test]
    fn numbers_become_the_nearest_byte() {
        let values = [-1.5, -1.0, 0.0, 0.996, 0.997, 1.0, 7.0, 0.5];
        let clip = Clip::from_unit_range("a", &values, [8, 1, 1, 1]).unwrap();
        assert_eq!(clip.frames().pixels(), [0, 0, 128, 254, 255, 255, 255, 191]);
        for byte in 0..=255u8 {
            let value = f32::from(byte) / 127.5 - 1.0;
            let clip = Clip::from_unit_range("a", &[value, value + 0.0039, value - 0.0039], [3, 1, 1, 1]);
            assert_eq!(clip.unwrap().frames().pixels(), [byte; 3]);
        }
    }

    #[test]
    fn bad_pixels_name_clip_and_frame() {
        let values = [0.0, 0.0, 0.0, f32::NAN];
        let error = Clip::from_unit_range("fake 7", &values, [2, 1, 2, 1]).unwrap_err();
        let want = "clip fake 7, frame 1: value 1 is NaN; expected a pixel in [-1, 1]";
        assert_eq!(error.to_string(), want);
    }

    #[test]
    fn frames_are_thinned_out() {
        let clip = Clip::new("a", (0..10).collect(), [10, 1, 1, 1]).unwrap();
        assert_eq!(clip.every(4, 3).unwrap().frames().pixels(), &[0, 4, 8]);
        let error = clip.every(4, 4).unwrap_err().to_string();
        assert_eq!(error, "frames of clip a: 10 given, at least 13 needed");
    }
}
