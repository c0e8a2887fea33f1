//! Planes of numbers, plain and with a margin.

/// `[H, W]`, row-major.
#[derive(Clone, Debug)]
pub(super) struct Plane {
    pub height: usize,
    pub width: usize,
    pub data: Vec<f32>,
}

impl Plane {
    pub fn zeros(height: usize, width: usize) -> Self {
        Self { height, width, data: vec![0.0; height * width] }
    }

    #[inline(always)]
    pub fn row(&self, y: usize) -> &[f32] {
        &self.data[y * self.width..(y + 1) * self.width]
    }
}

/// Pixels of the margin on each side of a [`Framed`] plane: a patch may begin 8 before the picture or one behind it, and a bilinear sample
/// takes one more pixel than a patch has.
pub(super) const MARGIN: usize = 16;

/// A plane with a margin of copies of its border.
pub(super) struct Framed {
    /// Size without the margin.
    pub height: usize,
    pub width: usize,
    /// Length of a row with both margins.
    pub pitch: usize,
    pub data: Vec<f32>,
}

impl Framed {
    pub fn of(plane: &Plane) -> Self {
        let (height, width) = (plane.height, plane.width);
        let pitch = width + 2 * MARGIN;
        let mut data = Vec::with_capacity((height + 2 * MARGIN) * pitch);
        for y in 0..height + 2 * MARGIN {
            let row = plane.row(y.saturating_sub(MARGIN).min(height - 1));
            data.extend([row[0]; MARGIN]);
            data.extend_from_slice(row);
            data.extend([row[width - 1]; MARGIN]);
        }
        Self { height, width, pitch, data }
    }
}
