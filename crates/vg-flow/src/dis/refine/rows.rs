//! How rows lie in memory during the refinement.

use super::super::plane::Plane;

/// Numbers that are computed together.
pub(super) const EIGHT: usize = 8;

/// A row as its even pixels, then its odd ones. Red and black pixels of a chessboard are then contiguous, and so are their neighbours.
///
/// Pixel `x` is at `1 + x / 2` of its half. The cells around the pixels belong to none; they stand for what lies outside of the picture.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub width: usize,
    /// Groups of eight cells that cover the pixels of a half.
    pub groups: usize,
    /// Cells of a half.
    pub half: usize,
}

/// Where the cells of one parity begin in a row, and those to the left and to the right of them.
#[derive(Clone, Copy)]
pub(super) struct Offsets {
    pub own: usize,
    pub left: usize,
    pub right: usize,
}

impl Layout {
    pub fn of(width: usize) -> Self {
        let groups = width.div_ceil(2).div_ceil(EIGHT);
        Self { width, groups, half: (groups + 1) * EIGHT }
    }

    /// Cells of a row.
    pub fn stride(&self) -> usize {
        2 * self.half
    }

    /// Groups of eight cells of a whole row.
    pub fn all_groups(&self) -> usize {
        self.stride() / EIGHT
    }

    /// The cell of pixel `x`; of the one before the first for `x = -1`, of the one behind the last for `x = width`.
    #[inline(always)]
    pub fn cell(&self, x: isize) -> usize {
        let half = if x.rem_euclid(2) == 0 { 0 } else { self.half };
        half + (1 + x.div_euclid(2)) as usize
    }

    /// Cells and neighbours of the pixels with even `x` (parity 0) or odd `x` (1).
    #[inline(always)]
    pub fn offsets(&self, parity: usize) -> Offsets {
        if parity == 0 {
            Offsets { own: 1, left: self.half, right: self.half + 1 }
        } else {
            Offsets { own: self.half + 1, left: 1, right: 2 }
        }
    }

    /// Writes a plain row into the cells of its pixels.
    #[inline(always)]
    pub fn split(&self, plain: &[f32], row: &mut [f32]) {
        let (even, odd) = row.split_at_mut(self.half);
        let (pairs, rest) = plain.as_chunks::<2>();
        for ((pair, even), odd) in pairs.iter().zip(&mut even[1..]).zip(&mut odd[1..]) {
            [*even, *odd] = *pair;
        }
        if let [last] = rest {
            even[1 + pairs.len()] = *last;
        }
    }

    /// Zeros the cells that belong to no pixel.
    #[inline(always)]
    pub fn clear_outside(&self, row: &mut [f32]) {
        let (even, odd) = row.split_at_mut(self.half);
        (even[0], odd[0]) = (0.0, 0.0);
        even[1 + self.width.div_ceil(2)..].fill(0.0);
        odd[1 + self.width / 2..].fill(0.0);
    }
}

/// `count` groups of eight cells from a cell on.
#[inline(always)]
pub(super) fn eights(row: &[f32], from: usize, count: usize) -> &[[f32; EIGHT]] {
    &row[from..from + EIGHT * count].as_chunks().0[..count]
}

/// As [`eights`], to write to.
#[inline(always)]
pub(super) fn eights_mut(row: &mut [f32], from: usize, count: usize) -> &mut [[f32; EIGHT]] {
    &mut row[from..from + EIGHT * count].as_chunks_mut().0[..count]
}

/// A plane in this layout.
pub(super) struct Split {
    pub height: usize,
    pub layout: Layout,
    data: Vec<f32>,
}

impl Split {
    /// Zeros, with a row above the first and one below the last.
    pub fn zeros(height: usize, layout: Layout) -> Self {
        Self { height, layout, data: vec![0.0; (height + 2) * layout.stride()] }
    }

    /// The values of a plane; outside of it the nearest ones.
    #[inline(always)]
    pub fn of(plane: &Plane, layout: Layout) -> Self {
        let mut split = Self::zeros(plane.height, layout);
        let rows = split.data.chunks_exact_mut(layout.stride());
        for (y, row) in rows.enumerate() {
            let plain = plane.row(y.saturating_sub(1).min(plane.height - 1));
            layout.split(plain, row);
            row[layout.cell(-1)] = plain[0];
            row[layout.cell(layout.width as isize)] = plain[layout.width - 1];
        }
        split
    }

    /// A row; `y = -1` is the one above the first, `y = height` the one below the last.
    #[inline(always)]
    pub fn row(&self, y: isize) -> &[f32] {
        let stride = self.layout.stride();
        &self.data[(y + 1) as usize * stride..][..stride]
    }

    /// Rows `y - 1`, `y` and `y + 1`.
    #[inline(always)]
    pub fn around(&mut self, y: usize) -> (&[f32], &mut [f32], &[f32]) {
        let stride = self.layout.stride();
        let (above, rest) = self.data[y * stride..].split_at_mut(stride);
        let (row, rest) = rest.split_at_mut(stride);
        (above, row, &rest[..stride])
    }

    /// Adds the values to a plane.
    #[inline(always)]
    pub fn add_to(&self, plane: &mut Plane) {
        for (y, plain) in plane.data.chunks_exact_mut(plane.width).enumerate() {
            let (even, odd) = self.row(y as isize).split_at(self.layout.half);
            let (pairs, rest) = plain.as_chunks_mut::<2>();
            for ((pair, even), odd) in pairs.iter_mut().zip(&even[1..]).zip(&odd[1..]) {
                pair[0] += even;
                pair[1] += odd;
            }
            if let [last] = rest {
                *last += even[self.layout.width.div_ceil(2)];
            }
        }
    }
}

/// `N` rows in this layout for each row of a picture.
pub(super) struct Bundle<const N: usize> {
    stride: usize,
    data: Vec<f32>,
}

impl<const N: usize> Bundle<N> {
    pub fn zeros(height: usize, layout: Layout) -> Self {
        Self { stride: layout.stride(), data: vec![0.0; height * N * layout.stride()] }
    }

    #[inline(always)]
    pub fn get(&self, y: usize) -> [&[f32]; N] {
        let all = &self.data[y * N * self.stride..][..N * self.stride];
        std::array::from_fn(|k| &all[k * self.stride..(k + 1) * self.stride])
    }

    #[inline(always)]
    pub fn get_mut(&mut self, y: usize) -> [&mut [f32]; N] {
        let all = &mut self.data[y * N * self.stride..][..N * self.stride];
        let mut rows = all.chunks_exact_mut(self.stride);
        std::array::from_fn(|_| rows.next().expect("N rows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_and_neighbours() {
        for width in [16, 17, 31, 32, 40] {
            let layout = Layout::of(width);
            let plain: Vec<f32> = (0..width).map(|x| 1.0 + x as f32).collect();
            let plane = Plane { height: 1, width, data: plain.clone() };
            let split = Split::of(&plane, layout);
            let row = split.row(0);
            for x in 0..width as isize {
                let Offsets { own, left, right } = layout.offsets(x as usize % 2);
                let k = x as usize / 2;
                assert!(k < EIGHT * layout.groups && right + EIGHT * layout.groups <= layout.stride());
                assert_eq!(row[own + k], plain[x as usize]);
                assert_eq!(row[left + k], plain[(x - 1).max(0) as usize]);
                assert_eq!(row[right + k], plain[(x + 1).min(width as isize - 1) as usize]);
            }
            let mut twice = plane.clone();
            split.add_to(&mut twice);
            assert!(twice.data.iter().zip(&plain).all(|(a, b)| *a == 2.0 * b));
            let mut cleared = row.to_vec();
            layout.clear_outside(&mut cleared);
            assert_eq!(cleared.iter().sum::<f32>(), plain.iter().sum());
        }
    }
}
