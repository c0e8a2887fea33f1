//! Pictures moved by flows.

use crate::error::Result;
use crate::flow::{Flow, same_size};
use crate::picture::Picture;

/// `picture` brought onto the grid of `flow`: `out(y, x) = picture(y + v, x + u)`, bilinear, positions clamped to the picture.
///
/// Source: vid2vid's `resample` with `align_corners = True` and `padding_mode = 'border'`, as PyTorch 0.4 had it.
///
/// # Shapes
/// - `picture` `[C, H, W]`, `flow` `[2, H, W]` in pixels; returns `[C, H, W]`
///
/// # Errors
/// [`FlowError::Size`](crate::FlowError::Size) when the sizes differ.
pub fn warp(picture: &Picture<'_>, flow: &Flow) -> Result<Vec<f32>> {
    let (height, width) = (flow.height, flow.width);
    same_size("picture that a flow moves", (height, width), (picture.height, picture.width))?;
    let area = height * width;
    let mut out = vec![0.0; picture.data.len()];
    for (i, (&u, &v)) in flow.u().iter().zip(flow.v()).enumerate() {
        let taps = Taps::at((i / width) as f32 + v, (i % width) as f32 + u, height, width);
        for c in 0..picture.channels {
            out[c * area + i] = taps.take(&picture.data[c * area..(c + 1) * area]);
        }
    }
    Ok(out)
}

/// Where a bilinear sample comes from: four indices into a plane and their weights.
pub(crate) struct Taps {
    indices: [usize; 4],
    weights: [f32; 4],
}

impl Taps {
    /// The taps of a position, clamped to `[0, height - 1] x [0, width - 1]`; a position that is no number counts as 0.
    pub(crate) fn at(y: f32, x: f32, height: usize, width: usize) -> Self {
        let axis = |p: f32, size: usize| {
            // `max` first: it turns NaN into 0.
            let p = p.max(0.0).min((size - 1) as f32);
            let low = p as usize;
            (low, (low + 1).min(size - 1), p - low as f32)
        };
        let ((y0, y1, fy), (x0, x1, fx)) = (axis(y, height), axis(x, width));
        Self {
            indices: [y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1],
            weights: [(1.0 - fy) * (1.0 - fx), (1.0 - fy) * fx, fy * (1.0 - fx), fy * fx],
        }
    }

    /// The sample of a plane.
    pub(crate) fn take(&self, plane: &[f32]) -> f32 {
        let [a, b, c, d] = self.indices.map(|i| plane[i]);
        let [wa, wb, wc, wd] = self.weights;
        a * wa + b * wb + c * wc + d * wd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_by_hand() {
        let data: Vec<f32> = (0..12).map(|i| i as f32).collect();
        let picture = Picture::new(1, 3, 4, &data).unwrap();
        assert_eq!(warp(&picture, &Flow::zeros(3, 4)).unwrap(), data);
        // Down by a half, right by a quarter: 4 / 2 + 1 / 4 more, clamped at the last row and column.
        let moved = warp(&picture, &Flow::from_fn(3, 4, |_, _| [0.25, 0.5])).unwrap();
        assert_eq!(moved, [2.25, 3.25, 4.25, 5.0, 6.25, 7.25, 8.25, 9.0, 8.25, 9.25, 10.25, 11.0]);
        let far = warp(&picture, &Flow::from_fn(3, 4, |_, _| [-1e9, f32::NAN])).unwrap();
        assert_eq!(far, [0.0; 12]);
    }

    #[test]
    fn channels_move_alike() {
        let data: Vec<f32> = (0..24).map(|i| i as f32).collect();
        let picture = Picture::new(2, 3, 4, &data).unwrap();
        let moved = warp(&picture, &Flow::from_fn(3, 4, |_, _| [1.0, 0.0])).unwrap();
        assert_eq!(moved[..4], [1.0, 2.0, 3.0, 3.0]);
        assert_eq!(moved[12..16], [13.0, 14.0, 15.0, 15.0]);
        let error = warp(&picture, &Flow::zeros(4, 3)).unwrap_err();
        assert!(error.to_string().contains("expected 4 x 3 (height x width), got 3 x 4"));
    }
}
