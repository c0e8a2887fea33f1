//! Planes at other sizes: pictures made smaller, displacements made larger.

use super::plane::Plane;

/// Mean over the area that each pixel of the smaller picture covers, rounded to whole numbers.
pub(super) fn area(plane: &Plane, height: usize, width: usize) -> Plane {
    let data = if plane.height == 2 * height && plane.width == 2 * width {
        halved(plane)
    } else {
        let (rows, columns) = (Cover::new(plane.height, height), Cover::new(plane.width, width));
        let narrow: Vec<f32> = (0..plane.height).flat_map(|y| columns.apply(plane.row(y))).collect();
        let mut data = Vec::with_capacity(height * width);
        for (first, weights) in &rows.0 {
            let taps = weights.iter().zip(narrow[first * width..].chunks_exact(width));
            let mut sums = vec![0.0; width];
            for (weight, row) in taps {
                sums.iter_mut().zip(row).for_each(|(s, x)| *s += weight * x);
            }
            data.extend(sums.into_iter().map(round));
        }
        data
    };
    Plane { height, width, data }
}

fn halved(plane: &Plane) -> Vec<f32> {
    let pairs = plane.data.chunks_exact(2 * plane.width);
    let mut data = Vec::with_capacity(plane.data.len() / 4);
    for two in pairs {
        let (above, below) = two.split_at(plane.width);
        let squares = above.as_chunks::<2>().0.iter().zip(below.as_chunks::<2>().0);
        data.extend(squares.map(|([a, b], [c, d])| round((a + b + c + d) * 0.25)));
    }
    data
}

/// To the nearest whole number, for numbers in 0 to 255.
fn round(x: f32) -> f32 {
    (x + 0.5) as i32 as f32
}

/// For each pixel of the smaller axis: the first pixel of the larger one that it covers, and the shares of that and the next ones.
struct Cover(Vec<(usize, Vec<f32>)>);

impl Cover {
    fn new(larger: usize, smaller: usize) -> Self {
        let ratio = larger as f64 / smaller as f64;
        let pixel = |i: usize| {
            let (begin, end) = (i as f64 * ratio, ((i + 1) as f64 * ratio).min(larger as f64));
            let (first, last) = (begin as usize, (end.ceil() as usize).min(larger));
            let share = |p: usize| (end.min((p + 1) as f64) - begin.max(p as f64)).max(0.0) / (end - begin);
            (first, (first..last).map(|p| share(p) as f32).collect())
        };
        Self((0..smaller).map(pixel).collect())
    }

    fn apply<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        let one = |(first, weights): &(usize, Vec<f32>)| -> f32 {
            weights.iter().zip(&row[*first..]).map(|(w, x)| w * x).sum()
        };
        self.0.iter().map(one)
    }
}

/// Displacements on a grid of another size, times `factor`: bilinear between the centres of pixels, constant beyond the outermost.
pub(super) fn displacements(plane: &Plane, height: usize, width: usize, factor: f32) -> Vec<f32> {
    if (plane.height, plane.width) == (height, width) {
        return plane.data.iter().map(|x| x * factor).collect();
    }
    let columns: Vec<(usize, usize, f32)> = (0..width).map(|x| between(x, width, plane.width)).collect();
    let widen = |row: &[f32]| -> Vec<f32> {
        columns.iter().map(|&(a, b, part)| factor * (row[a] + part * (row[b] - row[a]))).collect()
    };
    // Two rows at a time are needed; each is widened once.
    let mut wide = [(usize::MAX, Vec::new()), (usize::MAX, Vec::new())];
    let mut data = Vec::with_capacity(height * width);
    for y in 0..height {
        let (above, below, part) = between(y, height, plane.height);
        for row in [above, below] {
            let place = &mut wide[row % 2];
            if place.0 != row {
                *place = (row, widen(plane.row(row)));
            }
        }
        let pairs = wide[above % 2].1.iter().zip(&wide[below % 2].1);
        data.extend(pairs.map(|(a, b)| a + part * (b - a)));
    }
    data
}

/// The two pixels of a smaller axis between whose centres a pixel of a larger one lies, and how far it is from the first.
fn between(i: usize, larger: usize, smaller: usize) -> (usize, usize, f32) {
    let centre = (i as f32 + 0.5) * (smaller as f32 / larger as f32) - 0.5;
    let centre = centre.clamp(0.0, (smaller - 1) as f32);
    let first = centre as usize;
    (first, (first + 1).min(smaller - 1), centre - first as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(height: usize, width: usize, f: impl Fn(usize, usize) -> f32) -> Plane {
        let data = (0..height * width).map(|i| f(i / width, i % width)).collect();
        Plane { height, width, data }
    }

    #[test]
    fn areas_by_hand() {
        let odd = plane(2, 5, |y, x| (10 * x + 4 * y) as f32);
        // Each of two pixels covers two and a half: (0 + 10 + 20 / 2) / 2.5 = 8, and 2 for the second row.
        assert_eq!(area(&odd, 1, 2).data, [10.0, 34.0]);
        let even = plane(2, 4, |y, x| (10 * x + 4 * y) as f32);
        assert_eq!(area(&even, 1, 2).data, [7.0, 27.0]);
    }

    #[test]
    fn halving_is_an_area_mean() {
        let fine = plane(6, 8, |y, x| ((y * 37 + x * 11) % 64 * 4) as f32);
        let halved = area(&fine, 3, 4).data;
        let (rows, columns) = (Cover::new(6, 3), Cover::new(8, 4));
        for (y, (first, weights)) in rows.0.iter().enumerate() {
            let narrow: Vec<Vec<f32>> =
                (*first..first + 2).map(|r| columns.apply(fine.row(r)).collect()).collect();
            for x in 0..4 {
                let mean = weights[0] * narrow[0][x] + weights[1] * narrow[1][x];
                assert_eq!(halved[4 * y + x], (mean + 0.5).floor());
            }
        }
    }

    #[test]
    fn enlarging_keeps_slopes() {
        let small = plane(3, 4, |y, x| y as f32 - 2.0 * x as f32);
        let large = displacements(&small, 6, 8, 2.0);
        // Centres are at -1/4, 1/4, 3/4 ... of the smaller grid, the first and the last are clamped; displacements are doubled.
        assert_eq!(large[..8], [0.0, -1.0, -3.0, -5.0, -7.0, -9.0, -11.0, -12.0]);
        let first_column: Vec<f32> = large.iter().copied().step_by(8).collect();
        assert_eq!(first_column, [0.0, 0.5, 1.5, 2.5, 3.5, 4.0]);
        assert_eq!(displacements(&small, 3, 4, 1.0), small.data);
    }
}
