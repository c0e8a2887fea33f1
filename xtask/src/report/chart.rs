//! One line chart as inline SVG; colours come from the page's style, so that it follows light and dark.

use std::fmt::Write;

use super::series::{Series, thin};

const WIDTH: f64 = 460.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 28.0;

/// Where the data lie on the drawing.
struct Frame {
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let part = |v: f64, (low, high): (f64, f64)| (v - low) / (high - low);
        let left = LEFT + part(x, self.x) * (WIDTH - LEFT - RIGHT);
        let top = HEIGHT - BOTTOM - part(y, self.y) * (HEIGHT - TOP - BOTTOM);
        // Spikes beyond the frame are cut by the clip path; far beyond, they would only make the file longer.
        (left, top.clamp(-HEIGHT, 2.0 * HEIGHT))
    }
}

/// The chart of a series, raw values faint below their moving average; nothing for an empty one.
pub fn svg(series: &Series, id: usize) -> Option<String> {
    let frame = frame(series)?;
    let mut out = String::new();
    let _ = write!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\"><clipPath id=\"c{id}\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" \
         height=\"{}\"/></clipPath>",
        WIDTH - LEFT - RIGHT,
        HEIGHT - TOP - BOTTOM
    );
    for y in ticks(frame.y, 4) {
        let (_, top) = frame.at((frame.x.0, y));
        let right = WIDTH - RIGHT;
        let _ = write!(out, "<path class=\"grid\" d=\"M{LEFT} {top:.1}H{right}\"/>");
        let _ =
            write!(out, "<text x=\"{}\" y=\"{:.1}\" class=\"y\">{}</text>", LEFT - 6.0, top + 4.0, label(y));
    }
    for x in ticks(frame.x, 5) {
        let (left, _) = frame.at((x, frame.y.0));
        let _ = write!(out, "<text x=\"{left:.1}\" y=\"{}\" class=\"x\">{}</text>", HEIGHT - 8.0, label(x));
    }
    let _ = write!(out, "<g clip-path=\"url(#c{id})\">");
    let _ = write!(out, "<path class=\"raw\" d=\"{}\"/>", path(&frame, &thin(&series.points)));
    let _ = write!(out, "<path class=\"mean\" d=\"{}\"/></g></svg>", path(&frame, &thin(&series.smoothed())));
    Some(out)
}

fn frame(series: &Series) -> Option<Frame> {
    let (low, high) = series.range()?;
    let margin = if high > low { 0.06 * (high - low) } else { high.abs().max(1e-6) * 0.5 };
    let (first, last) = (series.points.first()?.0, series.points.last()?.0);
    Some(Frame { x: (first, last.max(first + 1.0)), y: (low - margin, high + margin) })
}

fn path(frame: &Frame, points: &[(f64, f64)]) -> String {
    let mut out = String::new();
    for (i, point) in points.iter().enumerate() {
        let (x, y) = frame.at(*point);
        let _ = write!(out, "{}{x:.1} {y:.1}", if i == 0 { 'M' } else { 'L' });
    }
    if points.len() == 1 {
        // A lone point shows as a dot under round line ends.
        out.push_str("h0.01");
    }
    out
}

/// Round numbers inside a range, about `wanted` of them.
fn ticks((low, high): (f64, f64), wanted: usize) -> Vec<f64> {
    let rough = (high - low) / wanted as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= rough).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|t| *t <= high).take(20).collect()
}

fn label(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e5).contains(&size) {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let labels: Vec<String> = ticks((-0.13, 0.92), 4).into_iter().map(label).collect();
        assert_eq!(labels, ["0", "0.5"]);
        assert_eq!(ticks((0.0, 1000.0), 5), [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
    }

    #[test]
    fn constant_single_and_empty_series_can_be_drawn() {
        let of = |points: Vec<(f64, f64)>| svg(&Series { name: "a".into(), points }, 0);
        assert!(of(Vec::new()).is_none());
        for points in [vec![(1.0, 0.0)], vec![(1.0, 3.0), (2.0, 3.0)], vec![(1.0, -1e30), (2.0, 1e30)]] {
            let svg = of(points).unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }
}
