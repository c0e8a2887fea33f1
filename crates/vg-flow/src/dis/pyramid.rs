//! Both frames at several sizes, and the gradients of the first.

use std::ops::RangeInclusive;

use super::plane::{Framed, Plane};
use super::resize;
use crate::picture::Gray;

/// One size of the pyramid.
pub(super) struct Level {
    /// The frame on whose grid the flow lives.
    pub from: Plane,
    /// Its Sobel gradients along x and y, not normalised: 8 times the derivative.
    pub along_x: Plane,
    pub along_y: Plane,
    /// The other frame.
    pub to: Framed,
}

impl Level {
    /// The levels of some scales, the finest first. Scale `s` has `floor(size / 2^s)` pixels; the first comes from the frame, each further
    /// one from the one before, as means over areas rounded to whole numbers.
    pub fn pyramid(from: &Gray<'_>, to: &Gray<'_>, scales: RangeInclusive<usize>) -> Vec<Self> {
        let own = |gray: &Gray<'_>| Plane {
            height: gray.height(),
            width: gray.width(),
            data: gray.data().to_vec(),
        };
        let smaller = |plane: Plane, scale: usize| {
            let (height, width) = (from.height() >> scale, from.width() >> scale);
            if (plane.height, plane.width) == (height, width) {
                plane
            } else {
                resize::area(&plane, height, width)
            }
        };
        let mut levels: Vec<Self> = Vec::new();
        for scale in scales {
            let (a, b) = match levels.last() {
                Some(level) => (level.from.clone(), level.to.plane()),
                None => (own(from), own(to)),
            };
            levels.push(Self::new(smaller(a, scale), &smaller(b, scale)));
        }
        levels
    }

    fn new(from: Plane, to: &Plane) -> Self {
        let (along_x, along_y) = sobel(&from);
        Self { from, along_x, along_y, to: Framed::of(to) }
    }
}

impl Framed {
    /// The plane without its margin.
    fn plane(&self) -> Plane {
        let rows = self.data.chunks_exact(self.pitch).skip(super::plane::MARGIN).take(self.height);
        let data = rows.flat_map(|r| &r[super::plane::MARGIN..][..self.width]).copied().collect();
        Plane { height: self.height, width: self.width, data }
    }
}

/// 3x3 Sobel derivatives along x and y, not normalised; the border is mirrored without repeating it.
fn sobel(plane: &Plane) -> (Plane, Plane) {
    let (height, width) = (plane.height, plane.width);
    let (mut along_x, mut along_y) = (Plane::zeros(height, width), Plane::zeros(height, width));
    // Sums and differences of three rows, with one more pixel on each side.
    let (mut sums, mut differences) = (vec![0.0; width + 2], vec![0.0; width + 2]);
    let mirrored = |row: &mut [f32]| {
        row[0] = row[2];
        row[width + 1] = row[width - 1];
    };
    let rows = along_x.data.chunks_exact_mut(width).zip(along_y.data.chunks_exact_mut(width));
    for (y, (gx, gy)) in rows.enumerate() {
        let above = plane.row(if y == 0 { 1 } else { y - 1 });
        let below = plane.row(if y + 1 == height { y - 1 } else { y + 1 });
        let triples = above.iter().zip(plane.row(y)).zip(below);
        for (((a, b), c), (sum, difference)) in triples.zip(sums[1..].iter_mut().zip(&mut differences[1..])) {
            *sum = a + 2.0 * b + c;
            *difference = c - a;
        }
        mirrored(&mut sums);
        mirrored(&mut differences);
        for (g, (left, right)) in gx.iter_mut().zip(sums.iter().zip(&sums[2..])) {
            *g = right - left;
        }
        let triples = differences.iter().zip(&differences[1..]).zip(&differences[2..]);
        for (g, ((a, b), c)) in gy.iter_mut().zip(triples) {
            *g = a + 2.0 * b + c;
        }
    }
    (along_x, along_y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sobel_of_a_plane() {
        let data = (0..20).map(|i| (3 * (i / 5) + 2 * (i % 5)) as f32).collect();
        let (x, y) = sobel(&Plane { height: 4, width: 5, data });
        // Eight times the slope inside; nothing across a mirrored border.
        assert_eq!(x.row(1), [0.0, 16.0, 16.0, 16.0, 0.0]);
        assert_eq!(y.row(1), [24.0; 5]);
        assert_eq!(y.row(0), [0.0; 5]);
        assert_eq!(y.row(3), [0.0; 5]);
    }

    #[test]
    fn levels_halve() {
        let data: Vec<f32> = (0..20 * 34).map(|i| (i % 251) as f32).collect();
        let gray = Gray::new(20, 34, &data).unwrap();
        let levels = Level::pyramid(&gray, &gray, 0..=1);
        let sizes: Vec<_> = levels.iter().map(|l| (l.from.height, l.from.width, l.to.pitch)).collect();
        assert_eq!(sizes, [(20, 34, 66), (10, 17, 49)]);
        assert_eq!(levels[0].from.data, data);
        // (0 + 1 + 34 + 35) / 4 = 17.5 is rounded up.
        assert_eq!(levels[1].from.data[0], 18.0);
        assert_eq!(levels[1].to.plane().data, levels[1].from.data);
    }
}
