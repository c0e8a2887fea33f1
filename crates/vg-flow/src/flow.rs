//! A dense flow.

use crate::error::{FlowError, Result};

/// A displacement for every pixel of a frame, in pixels: the point `(x, y)` is at `(x + u, y + v)` in the other frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[2, H, W]`: all `u` (along x, to the right), then all `v` (along y, downwards).
    pub data: Vec<f32>,
}

impl Flow {
    /// A flow from its values.
    ///
    /// # Errors
    /// [`FlowError::Length`] when `data` does not hold `2 * height * width` values.
    pub fn new(height: usize, width: usize, data: Vec<f32>) -> Result<Self> {
        let expected = 2 * height * width;
        if data.len() != expected {
            let shape = format!("[2, {height}, {width}]");
            return Err(FlowError::Length { what: "flow", shape, expected, got: data.len() });
        }
        Ok(Self { height, width, data })
    }

    /// No motion.
    pub fn zeros(height: usize, width: usize) -> Self {
        Self { height, width, data: vec![0.0; 2 * height * width] }
    }

    /// The flow of a function from `(y, x)` to `[u, v]`.
    pub fn from_fn(height: usize, width: usize, f: impl Fn(usize, usize) -> [f32; 2]) -> Self {
        let mut flow = Self::zeros(height, width);
        let (u, v) = flow.data.split_at_mut(height * width);
        for (i, (u, v)) in u.iter_mut().zip(v).enumerate() {
            [*u, *v] = f(i / width, i % width);
        }
        flow
    }

    /// `[u, v]` of one pixel.
    ///
    /// # Panics
    /// When the pixel is outside, as with a slice.
    pub fn at(&self, y: usize, x: usize) -> [f32; 2] {
        assert!(y < self.height && x < self.width, "pixel ({y}, {x}) of {} x {}", self.height, self.width);
        let i = y * self.width + x;
        [self.data[i], self.data[self.height * self.width + i]]
    }

    /// Displacements along x, `[H, W]`.
    pub fn u(&self) -> &[f32] {
        &self.data[..self.height * self.width]
    }

    /// Displacements along y, `[H, W]`.
    pub fn v(&self) -> &[f32] {
        &self.data[self.height * self.width..]
    }

    /// Length of the longest displacement in pixels; 0 for an empty flow.
    pub fn longest(&self) -> f32 {
        let lengths = self.u().iter().zip(self.v()).map(|(u, v)| u.hypot(*v));
        lengths.fold(0.0, f32::max)
    }

    /// Mean end-point error: mean over pixels of the Euclidean distance of the two displacements, without `rim` pixels on each side.
    ///
    /// # Errors
    /// [`FlowError::Size`] when the flows differ in size, [`FlowError::TooSmall`] when the rim leaves nothing.
    pub fn end_point_error(&self, truth: &Flow, rim: usize) -> Result<f64> {
        same_size("flow", (truth.height, truth.width), (self.height, self.width))?;
        if self.height.min(self.width) <= 2 * rim {
            let (height, width) = (self.height, self.width);
            return Err(FlowError::TooSmall { method: "this rim", least: 2 * rim + 1, height, width });
        }
        let mut sum = 0.0;
        for y in rim..self.height - rim {
            for x in rim..self.width - rim {
                let ([u, v], [tu, tv]) = (self.at(y, x), truth.at(y, x));
                sum += f64::from(u - tu).hypot(f64::from(v - tv));
            }
        }
        Ok(sum / ((self.height - 2 * rim) * (self.width - 2 * rim)) as f64)
    }
}

/// Refuses sizes (height, width) that differ.
pub(crate) fn same_size(what: &'static str, expected: (usize, usize), got: (usize, usize)) -> Result<()> {
    if expected == got { Ok(()) } else { Err(FlowError::Size { what, expected, got }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_point_error_is_a_mean_distance() {
        let zero = Flow::zeros(4, 5);
        let one = Flow::from_fn(4, 5, |y, _| if y == 1 { [3.0, 4.0] } else { [0.0, 0.0] });
        assert_eq!(one.end_point_error(&zero, 0).unwrap(), 1.25);
        assert_eq!(one.end_point_error(&zero, 1).unwrap(), 2.5);
        assert_eq!(one.longest(), 5.0);
        assert_eq!(one.at(1, 4), [3.0, 4.0]);
        assert!(one.end_point_error(&zero, 2).unwrap_err().to_string().contains("at least 5 pixels"));
    }

    #[test]
    fn sizes_are_checked() {
        let error = Flow::zeros(4, 5).end_point_error(&Flow::zeros(5, 4), 0).unwrap_err();
        assert_eq!(error.to_string(), "flow: expected 5 x 4 (height x width), got 4 x 5");
        let error = Flow::new(2, 3, vec![0.0; 11]).unwrap_err();
        assert_eq!(error.to_string(), "flow: expected 12 values for [2, 2, 3], got 11");
    }
}
