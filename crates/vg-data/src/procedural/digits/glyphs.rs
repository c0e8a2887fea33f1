//! Digits drawn in code, for machines without MNIST: pen strokes with a seeded hand.

use vg_core::Rng;

use crate::open::Split;

/// Side of a picture in pixels; the figure fills 20 rows, as in MNIST.
const SIDE: usize = 28;
const FIGURE: f64 = 20.0;
/// Pictures of the training split.
const TRAIN: usize = 6_000;
/// Pictures of the test split.
const TEST: usize = 1_000;

type Point = (f64, f64);
type Stroke = Vec<Point>;

/// Pictures of digits; picture `i` shows the digit `i % 10` and is a pure function of (split, `i`).
#[derive(Clone, Debug)]
pub struct Glyphs {
    rng: Rng,
    count: usize,
}

/// How one picture is written.
struct Hand {
    style: usize,
    slant: f64,
    turn: f64,
    width: f64,
    height: f64,
    pen: f64,
    bend: [f64; 4],
}

impl Glyphs {
    /// The pictures of a split; the two have none in common.
    pub fn new(split: Split) -> Self {
        let count = match split {
            Split::Train => TRAIN,
            Split::Test => TEST,
        };
        Self { rng: Rng::new(0).child("glyphs", split as u64), count }
    }

    /// Number of pictures.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The digit that picture `index` shows.
    pub fn label(&self, index: usize) -> u32 {
        (index % 10) as u32
    }

    /// Picture `index`: 28 x 28 grey levels, white on black, antialiased.
    pub fn image(&self, index: usize) -> Vec<u8> {
        let hand = self.hand(index);
        let strokes = hand.write(strokes(self.label(index), hand.style));
        let lit = |i: usize| {
            let pixel = ((i % SIDE) as f64 + 0.5, (i / SIDE) as f64 + 0.5);
            let distance = strokes.iter().map(|s| distance(s, pixel)).fold(f64::INFINITY, f64::min);
            ((hand.pen + 0.5 - distance).clamp(0.0, 1.0) * 255.0).round() as u8
        };
        (0..SIDE * SIDE).map(lit).collect()
    }

    fn hand(&self, index: usize) -> Hand {
        let mut stream = self.rng.child("glyph", index as u64).stream("hand");
        Hand {
            style: stream.below(3),
            slant: stream.uniform(-0.15, 0.4),
            turn: stream.uniform(-0.12, 0.12),
            width: stream.uniform(0.55, 0.8),
            height: stream.uniform(0.9, 1.0),
            pen: stream.uniform(0.8, 1.6),
            bend: std::array::from_fn(|_| stream.uniform(-0.045, 0.045)),
        }
    }
}

impl Hand {
    /// Strokes of the unit square bent, slanted, turned, scaled to pixels and centred.
    fn write(&self, strokes: Vec<Stroke>) -> Vec<Stroke> {
        let (sin, cos) = self.turn.sin_cos();
        let place = |(x, y): Point| {
            let wave = |v: f64| (std::f64::consts::TAU * v).sin();
            let x = x + self.bend[0] * wave(y) + self.bend[1] * wave(0.5 * y);
            let y = y + self.bend[2] * wave(x) + self.bend[3] * wave(0.5 * x);
            let (x, y) = ((x - 0.5) * self.width + self.slant * (0.5 - y), (y - 0.5) * self.height);
            ((x * cos - y * sin) * FIGURE, (x * sin + y * cos) * FIGURE)
        };
        let placed: Vec<Stroke> = strokes.into_iter().map(|s| s.into_iter().map(place).collect()).collect();
        let range = |axis: fn(&Point) -> f64| {
            let all = || placed.iter().flatten().map(axis);
            (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max))
        };
        let (x, y) = (range(|p| p.0), range(|p| p.1));
        let half = SIDE as f64 / 2.0;
        let (dx, dy) = (half - (x.0 + x.1) / 2.0, half - (y.0 + y.1) / 2.0);
        placed.into_iter().map(|s| s.into_iter().map(|(x, y)| (x + dx, y + dy)).collect()).collect()
    }
}

/// Strokes of a digit in the unit square, y downwards; `style` is 0, 1 or 2.
fn strokes(digit: u32, style: usize) -> Vec<Stroke> {
    let line = |points: &[Point]| points.to_vec();
    let bar = |from: Point, to: Point| line(&[from, to]);
    match (digit, style) {
        (0, _) => vec![arc((0.5, 0.5), (0.42, 0.5), 0.0, 360.0)],
        (1, 0) => vec![bar((0.5, 0.0), (0.5, 1.0))],
        (1, 1) => vec![line(&[(0.22, 0.22), (0.52, 0.0), (0.52, 1.0)])],
        (1, _) => vec![line(&[(0.25, 0.2), (0.52, 0.0), (0.52, 1.0)]), bar((0.2, 1.0), (0.84, 1.0))],
        (2, 0) => vec![then(arc((0.48, 0.28), (0.38, 0.28), 190.0, 380.0), &[(0.1, 1.0), (0.92, 1.0)])],
        (2, _) => vec![
            then(arc((0.48, 0.27), (0.36, 0.27), 200.0, 400.0), &[(0.3, 0.84)]),
            then(arc((0.24, 0.9), (0.14, 0.1), 300.0, 20.0), &[(0.6, 0.98), (0.95, 0.9)]),
        ],
        (3, 0) => {
            vec![line(&[(0.12, 0.0), (0.82, 0.0), (0.42, 0.4)]), arc((0.42, 0.7), (0.42, 0.3), 270.0, 500.0)]
        }
        (3, _) => {
            vec![arc((0.42, 0.25), (0.36, 0.25), 205.0, 440.0), arc((0.42, 0.74), (0.42, 0.26), 272.0, 510.0)]
        }
        (4, 0) => vec![line(&[(0.7, 0.0), (0.08, 0.66), (0.95, 0.66)]), bar((0.7, 0.0), (0.7, 1.0))],
        (4, _) => vec![line(&[(0.2, 0.02), (0.12, 0.55), (0.9, 0.52)]), bar((0.78, 0.05), (0.7, 1.0))],
        (5, 0) => vec![
            bar((0.26, 0.0), (0.9, 0.0)),
            then(line(&[(0.26, 0.0), (0.2, 0.45)]), &arc((0.44, 0.69), (0.4, 0.31), 235.0, 500.0)),
        ],
        (5, _) => vec![
            bar((0.3, 0.04), (0.88, 0.0)),
            then(line(&[(0.3, 0.04), (0.2, 0.46)]), &arc((0.46, 0.7), (0.38, 0.3), 250.0, 520.0)),
        ],
        (6, 0) => vec![then(
            arc((0.85, 0.72), (0.72, 0.72), 255.0, 180.0),
            &arc((0.48, 0.72), (0.36, 0.28), 180.0, -180.0),
        )],
        (6, _) => vec![
            then(line(&[(0.62, 0.0), (0.3, 0.34)]), &arc((0.47, 0.7), (0.36, 0.3), 205.0, 60.0)),
            arc((0.47, 0.7), (0.36, 0.3), 60.0, -150.0),
        ],
        (7, 0) => vec![line(&[(0.1, 0.0), (0.9, 0.0), (0.4, 1.0)])],
        (7, 1) => vec![line(&[(0.08, 0.1), (0.14, 0.0), (0.9, 0.0), (0.5, 0.5), (0.38, 1.0)])],
        (7, _) => vec![line(&[(0.1, 0.0), (0.9, 0.0), (0.42, 1.0)]), bar((0.3, 0.5), (0.88, 0.5))],
        (8, _) => vec![arc((0.5, 0.24), (0.3, 0.24), 0.0, 360.0), arc((0.5, 0.74), (0.38, 0.26), 0.0, 360.0)],
        (_, 0) => vec![arc((0.48, 0.29), (0.36, 0.29), 0.0, 360.0), bar((0.84, 0.25), (0.8, 1.0))],
        _ => vec![
            arc((0.48, 0.28), (0.34, 0.28), 0.0, 360.0),
            then(line(&[(0.82, 0.28)]), &arc((0.22, 0.4), (0.6, 0.6), 0.0, 85.0)),
        ],
    }
}

/// Points on an ellipse from one angle to another in degrees; 0 is right, 90 is down.
fn arc(centre: Point, radius: Point, from: f64, to: f64) -> Stroke {
    const STEPS: usize = 20;
    let at = |i: usize| {
        let angle = (from + (to - from) * i as f64 / STEPS as f64).to_radians();
        (centre.0 + radius.0 * angle.cos(), centre.1 + radius.1 * angle.sin())
    };
    (0..=STEPS).map(at).collect()
}

fn then(mut stroke: Stroke, more: &[Point]) -> Stroke {
    stroke.extend_from_slice(more);
    stroke
}

/// Distance of a point from a polyline.
fn distance(stroke: &[Point], point: Point) -> f64 {
    let segment = |ends: &[Point]| {
        let ((ax, ay), (bx, by)) = (ends[0], ends[1]);
        let (dx, dy) = (bx - ax, by - ay);
        let along = ((point.0 - ax) * dx + (point.1 - ay) * dy) / (dx * dx + dy * dy).max(1e-12);
        let t = along.clamp(0.0, 1.0);
        (point.0 - ax - t * dx).hypot(point.1 - ay - t * dy)
    };
    stroke.windows(2).map(segment).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_inked_inside_their_frame_and_differ() {
        let glyphs = Glyphs::new(Split::Train);
        let images: Vec<Vec<u8>> = (0..60).map(|i| glyphs.image(i)).collect();
        for image in &images {
            let ink = image.iter().map(|v| u32::from(*v)).sum::<u32>() / 255;
            assert!((18..260).contains(&ink), "{ink} pixels of ink");
            let border = |i: usize| {
                i.is_multiple_of(SIDE) || i % SIDE == SIDE - 1 || i / SIDE == 0 || i / SIDE == SIDE - 1
            };
            assert!((0..SIDE * SIDE).filter(|i| border(*i)).all(|i| image[i] == 0));
        }
        assert!((0..50).all(|i| images[i] != images[i + 10]), "no two of a digit are alike");
        assert_ne!(images[3], Glyphs::new(Split::Test).image(3));
    }
}
