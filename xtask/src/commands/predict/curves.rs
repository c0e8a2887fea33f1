//! Means with their bands over frames, one line a contestant.

use anyhow::Result;
use plotters::prelude::*;
use vg_metrics::best_of::CurvePoint;

use crate::failure::Failure;
use crate::palette::{COLOURS, FONT};

/// Pixels.
const SIZE: (u32, u32) = (640, 360);

/// A drawing.
pub(super) struct Chart<'a> {
    pub title: &'a str,
    /// What the horizontal axis counts.
    pub axis: &'a str,
    pub lines: Vec<Line<'a>>,
}

/// A contestant's line.
pub(super) struct Line<'a> {
    label: &'a str,
    /// Place, mean, half the width of the band.
    points: Vec<(f64, f64, f64)>,
}

impl<'a> Line<'a> {
    /// Places without a finite mean are left out.
    pub(super) fn new(label: &'a str, points: impl Iterator<Item = (i64, &'a CurvePoint)>) -> Self {
        let known = points.filter_map(|(x, p)| Some((x as f64, p.mean?, p.half_band.unwrap_or(0.0))));
        Self { label, points: known.collect() }
    }
}

impl Chart<'_> {
    /// The drawing.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be drawn.
    pub(super) fn svg(&self) -> Result<String> {
        let mut text = String::new();
        self.draw(SVGBackend::with_string(&mut text, SIZE))
            .map_err(|e| Failure::new(format!("{} cannot be drawn: {e}", self.title)))?;
        Ok(text)
    }

    fn draw(&self, backend: SVGBackend<'_>) -> Result<(), Box<dyn std::error::Error>> {
        let root = backend.into_drawing_area();
        // Pages are dark for some readers; the text is black.
        root.fill(&WHITE)?;
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (left, right) = range(points().map(|p| p.0));
        let (low, high) = range(points().flat_map(|(_, y, band)| [y - band, y + band]));
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, (FONT, 18))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(56)
            // Room for the names.
            .build_cartesian_2d(left..right, low..high + 0.3 * (high - low))?;
        chart
            .configure_mesh()
            .x_desc(self.axis)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .light_line_style(WHITE)
            .label_style((FONT, 13))
            .draw()?;
        for (Line { label, points }, colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let upper = points.iter().map(|(x, y, band)| (*x, y + band));
            let lower = points.iter().rev().map(|(x, y, band)| (*x, y - band));
            let band: Vec<(f64, f64)> = upper.chain(lower).collect();
            chart.draw_series(std::iter::once(Polygon::new(band, colour.mix(0.2))))?;
            let key = |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2));
            let means = points.iter().map(|(x, y, _)| (*x, *y));
            chart.draw_series(LineSeries::new(means, colour.stroke_width(2)))?.label(*label).legend(key);
        }
        let mut labels = chart.configure_series_labels();
        labels.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).label_font((FONT, 13)).draw()?;
        Ok(root.present()?)
    }
}

/// From the least to the largest value, and never empty.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    if low > high { (0.0, 1.0) } else { (low, high.max(low + 1e-9)) }
}
