//! Faces as drawn curves and distances from them, from 68 landmarks (vid2vid, official `data/face_dataset.py`, `data/keypoint2img.py`).

use std::path::Path;

use vg_core::{Error, Result};

use super::{
    canny,
    draw::{Canvas, curve, inside},
    pictures::{Picture, Window},
};
use crate::frames::grey_of_rgb;

/// Landmarks of a face.
const LANDMARKS: usize = 68;
/// Edge image and one distance map for each curve.
pub(super) const CHANNELS: usize = 1 + CURVES.len();
/// Distances are divided by this before they are cut off at 255.
const DISTANCE_SCALE: u32 = 3;

/// Point numbers of the curves behind the outline, each a list of strokes.
const CURVES: [&[usize]; 14] = [
    &[
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78,
        79, 80, 81, 82, 0,
    ],
    &[17, 18, 19, 20, 21],
    &[22, 23, 24, 25, 26],
    &[28, 31],
    &[31, 32, 33, 34, 35],
    &[35, 28],
    &[36, 37, 38, 39],
    &[39, 40, 41, 36],
    &[42, 43, 44, 45],
    &[45, 46, 47, 42],
    &[48, 49, 50, 51, 52, 53, 54],
    &[54, 55, 56, 57, 58, 59, 48],
    &[60, 61, 62, 63, 64],
    &[64, 65, 66, 67, 60],
];

/// Reads 68 lines `x,y` in pixels.
///
/// # Errors
/// [`Error::Io`] for a file that cannot be read, [`Error::Format`] with the line that is not two numbers, or for another number of lines.
pub(super) fn landmarks(path: &Path) -> Result<Vec<(f32, f32)>> {
    let text = std::fs::read_to_string(path).map_err(Error::io("reading", path))?;
    let point = |(number, line): (usize, &str)| {
        let mut parts = line.split([',', ' ', '\t']).filter(|part| !part.is_empty()).map(str::parse::<f32>);
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Ok(x)), Some(Ok(y)), None) if x.is_finite() && y.is_finite() => Ok((x, y)),
            _ => Err(Error::format(path, format!("line {}: {line:?} is not a landmark `x,y`", number + 1))),
        }
    };
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let points: Vec<(f32, f32)> = lines.map(point).collect::<Result<_>>()?;
    if points.len() != LANDMARKS {
        return Err(Error::format(path, format!("{} landmarks instead of {LANDMARKS}", points.len())));
    }
    Ok(points)
}

/// The square about a face, two and a half times as wide, inside of a frame of `(height, width)` pixels.
pub(super) fn window(points: &[(f32, f32)], (height, width): (usize, usize)) -> Window {
    let range = |of: fn(&(f32, f32)) -> f32| {
        points.iter().map(of).fold((f32::MAX, f32::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((left, right), (top, bottom)) = (range(|p| p.0), range(|p| p.1));
    let side = ((2.5 * (right - left)) as usize).clamp(1, height.min(width));
    let place = |centre: f32, n: usize| ((centre - side as f32 / 2.0).max(0.0) as usize).min(n - side);
    (place((3.0 * top + bottom) / 4.0, height), place((left + right) / 2.0, width), side, side)
}

/// Edge image and distance maps of a frame that was cut to `window`, `H, W, C`.
pub(super) fn draw(points: &[(f32, f32)], window: Window, frame: &Picture) -> Picture {
    let (top, left, height, width) = window;
    let all: Vec<(f32, f32)> =
        with_forehead(points).into_iter().map(|(x, y)| (x - left as f32, y - top as f32)).collect();
    let strokes = |numbers: &[usize]| {
        let mut canvas = Canvas::new(height, width);
        // Triples that share their ends: a parabola goes through each.
        for part in numbers.windows(3.min(numbers.len())).step_by(2) {
            curve(&mut canvas, &part.iter().map(|n| all[*n]).collect::<Vec<_>>());
        }
        if numbers.len() > 3 && numbers.len().is_multiple_of(2) {
            curve(&mut canvas, &numbers[numbers.len() - 2..].iter().map(|n| all[*n]).collect::<Vec<_>>());
        }
        canvas.0.data
    };
    let curves: Vec<Vec<u8>> = CURVES.iter().map(|numbers| strokes(numbers)).collect();
    let outline: Vec<(f32, f32)> = CURVES[0].iter().map(|n| all[*n]).collect();
    let mut edges = canny::edges(&grey_of_rgb(&frame.data), height, width);
    for (at, edge) in edges.iter_mut().enumerate() {
        if inside(&outline, (at % width) as f32, (at / width) as f32) {
            *edge = 0;
        }
    }
    for stroke in &curves {
        edges.iter_mut().zip(stroke).for_each(|(edge, drawn)| *edge = (*edge).max(*drawn));
    }
    let distances: Vec<Vec<u8>> = curves.iter().map(|stroke| distance(stroke, height, width)).collect();
    let mut out = Picture::blank(height, width, CHANNELS);
    for (at, pixel) in out.data.chunks_exact_mut(CHANNELS).enumerate() {
        pixel[0] = edges[at];
        pixel[1..].iter_mut().zip(&distances).for_each(|(value, map)| *value = map[at]);
    }
    out
}

/// The points of the outline mirrored upwards, flatter, behind the landmarks.
fn with_forehead(points: &[(f32, f32)]) -> Vec<(f32, f32)> {
    let base = (points[0].1 + points[16].1) / 2.0;
    let mirrored = |(x, y): &(f32, f32)| (*x, base + ((base - y) * 2.0 / 3.0).floor());
    points.iter().copied().chain(points[1..16].iter().rev().map(mirrored)).collect()
}

/// City-block distance from the nearest drawn pixel, a third of it, up to 255.
fn distance(drawn: &[u8], height: usize, width: usize) -> Vec<u8> {
    let far = (height + width) as u32;
    let mut steps: Vec<u32> = drawn.iter().map(|v| if *v > 0 { 0 } else { far }).collect();
    for at in 0..steps.len() {
        let (x, y) = (at % width, at / width);
        let left = if x > 0 { steps[at - 1] + 1 } else { far };
        let above = if y > 0 { steps[at - width] + 1 } else { far };
        steps[at] = steps[at].min(left).min(above);
    }
    for at in (0..steps.len()).rev() {
        let (x, y) = (at % width, at / width);
        let right = if x + 1 < width { steps[at + 1] + 1 } else { far };
        let below = if y + 1 < height { steps[at + width] + 1 } else { far };
        steps[at] = steps[at].min(right).min(below);
    }
    steps.into_iter().map(|n| (n / DISTANCE_SCALE).min(255) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_city_blocks() {
        let mut drawn = vec![0; 7 * 9];
        drawn[3 * 9 + 4] = 255;
        let map = distance(&drawn, 7, 9);
        for (at, value) in map.iter().enumerate() {
            let steps = (at % 9).abs_diff(4) + (at / 9).abs_diff(3);
            assert_eq!(usize::from(*value), steps / 3);
        }
    }

    #[test]
    fn the_window_is_a_square_inside_of_the_frame() {
        let face: Vec<(f32, f32)> =
            (0..68).map(|k| (100.0 + (k % 17) as f32 * 2.5, 60.0 + (k / 17) as f32 * 10.0)).collect();
        assert_eq!(window(&face, (240, 320)), (17, 70, 100, 100));
        assert_eq!(window(&face, (90, 320)), (0, 75, 90, 90));
    }

    #[test]
    fn the_forehead_is_the_mirrored_jaw() {
        let mut points = vec![(0.0, 0.0); 68];
        for (k, point) in points.iter_mut().enumerate().take(17) {
            *point = (k as f32, 10.0 + 6.0 * (8.0 - (k as f32 - 8.0).abs()));
        }
        let all = with_forehead(&points);
        assert_eq!((all.len(), all[68], all[75]), (83, (15.0, 6.0), (8.0, -22.0)));
    }
}
