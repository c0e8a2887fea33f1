//! Lines and curves on pictures of conditions.

use super::pictures::Picture;

/// A grey picture with a pen of two pixels.
pub(super) struct Canvas(pub Picture);

impl Canvas {
    pub(super) fn new(height: usize, width: usize) -> Self {
        Self(Picture::blank(height, width, 1))
    }

    fn dot(&mut self, x: f32, y: f32) {
        let (h, w) = (self.0.size.height as i64, self.0.size.width as i64);
        for (dx, dy) in [(-1, -1), (0, -1), (-1, 0), (0, 0)] {
            let (x, y) = (x.round() as i64 + dx, y.round() as i64 + dy);
            if (0..w).contains(&x) && (0..h).contains(&y) {
                self.0.data[(y * w + x) as usize] = 255;
            }
        }
    }
}

/// A parabola through three points, or a line through two, along the axis on which they are further apart. Three points through which
/// no flat parabola goes are joined by lines.
pub(super) fn curve(canvas: &mut Canvas, points: &[(f32, f32)]) {
    let gap = |of: fn(&(f32, f32)) -> f32| {
        points.windows(2).map(|pair| (of(&pair[0]) - of(&pair[1])).abs()).fold(0.0, f32::max)
    };
    let upright = gap(|p| p.0) < gap(|p| p.1);
    let turned: Vec<(f32, f32)> =
        points.iter().map(|(x, y)| if upright { (*y, *x) } else { (*x, *y) }).collect();
    let height = |u: f32| -> Option<f32> {
        match turned[..] {
            [(a, fa), (b, fb)] => Some(if a == b { fa } else { fa + (fb - fa) * (u - a) / (b - a) }),
            [(a, fa), (b, fb), (c, fc)] => {
                let (ab, bc, ac) = ((fb - fa) / (b - a), (fc - fb) / (c - b), c - a);
                let bend = (bc - ab) / ac;
                // Points that turn back on themselves have no such parabola.
                let runs = (b - a) * (c - b) > 0.0 && bend.abs() <= 1.0;
                runs.then_some(fa + ab * (u - a) + bend * (u - a) * (u - b))
            }
            _ => None,
        }
    };
    let (Some(first), Some(last)) = (turned.first(), turned.last()) else { return };
    if height(first.0).is_none() {
        points.windows(2).filter(|_| points.len() > 2).for_each(|pair| curve(canvas, pair));
        return;
    }
    let steps = (last.0 - first.0).abs().ceil().max(1.0) as usize;
    for step in 0..=steps {
        let u = first.0 + (last.0 - first.0) * step as f32 / steps as f32;
        if let Some(v) = height(u) {
            if upright { canvas.dot(v, u) } else { canvas.dot(u, v) }
        }
    }
}

/// Colours all pixels within `pen` of the line between two points, and those within twice as much of its ends if `ends`.
pub(super) fn line(
    picture: &mut Picture,
    a: (f32, f32),
    b: (f32, f32),
    pen: f32,
    ends: bool,
    colour: [u8; 3],
) {
    let (h, w) = (picture.size.height, picture.size.width);
    let reach = if ends { 2.0 * pen } else { pen };
    let range = |p: f32, q: f32, n: usize| {
        let low = (p.min(q) - reach).floor().max(0.0) as usize;
        low..((p.max(q) + reach).ceil().max(-1.0) + 1.0).min(n as f32) as usize
    };
    let square = |x: f32, y: f32| x * x + y * y;
    let length = square(b.0 - a.0, b.1 - a.1);
    for y in range(a.1, b.1, h) {
        for x in range(a.0, b.0, w) {
            let (px, py) = (x as f32, y as f32);
            let along = ((px - a.0) * (b.0 - a.0) + (py - a.1) * (b.1 - a.1)) / length.max(1e-6);
            let along = along.clamp(0.0, 1.0);
            let off = square(px - a.0 - along * (b.0 - a.0), py - a.1 - along * (b.1 - a.1));
            let end = square(px - a.0, py - a.1).min(square(px - b.0, py - b.1));
            if off <= pen * pen || (ends && end <= 4.0 * pen * pen) {
                picture.data[(y * w + x) * 3..][..3].copy_from_slice(&colour);
            }
        }
    }
}

/// Whether a point lies in a polygon.
pub(super) fn inside(polygon: &[(f32, f32)], x: f32, y: f32) -> bool {
    let mut within = false;
    for (k, a) in polygon.iter().enumerate() {
        let b = polygon[(k + 1) % polygon.len()];
        if (a.1 > y) != (b.1 > y) && x < a.0 + (y - a.1) / (b.1 - a.1) * (b.0 - a.0) {
            within = !within;
        }
    }
    within
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_go_through_their_points() {
        let points = [(2.0, 9.0), (8.0, 3.0), (14.0, 9.0)];
        let mut canvas = Canvas::new(16, 20);
        curve(&mut canvas, &points);
        for (x, y) in points {
            assert_eq!(canvas.0.data[y as usize * 20 + x as usize], 255);
        }
        // Halfway to the top of a parabola three quarters of the height are reached.
        assert_eq!(canvas.0.data[(9.0 - 4.5) as usize * 20 + 5], 255);
        let mut turning = Canvas::new(16, 20);
        curve(&mut turning, &[(2.0, 2.0), (12.0, 3.0), (4.0, 9.0)]);
        assert!(turning.0.data[3 * 20 + 12] == 255 && turning.0.data[9 * 20 + 4] == 255);
    }

    #[test]
    fn lines_are_as_wide_as_the_pen() {
        let mut picture = Picture::blank(20, 30, 3);
        line(&mut picture, (8.0, 10.0), (20.0, 10.0), 2.0, false, [9, 8, 7]);
        let rows = (0..20).filter(|y| picture.data[(y * 30 + 14) * 3] == 9).count();
        assert_eq!(rows, 5);
        assert_eq!(picture.data[(10 * 30 + 5) * 3], 0);
        line(&mut picture, (8.0, 10.0), (20.0, 10.0), 2.0, true, [9, 8, 7]);
        assert_eq!(picture.data[(10 * 30 + 4) * 3], 9);
        line(&mut picture, (-50.0, -50.0), (-40.0, -60.0), 3.0, true, [1; 3]);
    }

    #[test]
    fn polygons_have_an_inside() {
        let square = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)];
        assert!(inside(&square, 2.0, 2.0) && !inside(&square, 5.0, 2.0) && !inside(&square, 2.0, -1.0));
    }
}
