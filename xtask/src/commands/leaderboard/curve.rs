//! A metric over the training time, one line a model.

use anyhow::Result;
use plotters::prelude::*;

use crate::failure::Failure;

/// Pixels.
const SIZE: (u32, u32) = (640, 360);
const FONT: &str = "sans-serif";
/// Okabe and Ito's colours, which the colour-blind tell apart.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// A metric over time.
pub struct Curve {
    pub metric: String,
    /// By model: minutes and values.
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Curve {
    pub fn new(metric: String) -> Self {
        Self { metric, lines: Vec::new() }
    }

    /// A value after `secs` seconds of a model's training.
    pub fn push(&mut self, label: &str, secs: f64, value: f64) {
        let point = (secs / 60.0, value);
        match self.lines.iter_mut().find(|(name, _)| name == label) {
            Some((_, points)) => points.push(point),
            None => self.lines.push((label.to_owned(), vec![point])),
        }
    }

    /// The drawing.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be drawn.
    pub fn svg(&self) -> Result<String> {
        let mut text = String::new();
        let failed =
            |e: &dyn std::fmt::Display| Failure::new(format!("{} cannot be drawn: {e}", self.metric));
        self.draw(SVGBackend::with_string(&mut text, SIZE)).map_err(|e| failed(&e))?;
        Ok(text)
    }

    fn draw(&self, backend: SVGBackend<'_>) -> Result<(), Box<dyn std::error::Error>> {
        let root = backend.into_drawing_area();
        // Pages are dark for some readers; the text is black.
        root.fill(&WHITE)?;
        let points = || self.lines.iter().flat_map(|(_, points)| points);
        let last = points().map(|p| p.0).fold(0.0, f64::max).max(1e-3);
        let low = points().map(|p| p.1).fold(f64::INFINITY, f64::min).min(0.0);
        let high = points().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max).max(low + 1e-9);
        let mut chart = ChartBuilder::on(&root)
            .caption(&self.metric, (FONT, 18))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..last, low..high + 0.05 * (high - low))?;
        chart
            .configure_mesh()
            .x_desc("minutes of training")
            .light_line_style(WHITE)
            .label_style((FONT, 13))
            .draw()?;
        for ((label, points), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3);
            let key = |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2));
            chart.draw_series(line)?.label(label).legend(key);
        }
        let mut labels = chart.configure_series_labels();
        labels.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).label_font((FONT, 13)).draw()?;
        Ok(root.present()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_a_line_with_its_name() {
        let mut curve = Curve::new("fvd-vg".to_owned());
        for (label, value) in [("tgan", 9.0), ("tgan", 5.0), ("a & b", 7.0)] {
            curve.push(label, 60.0 * value, value);
        }
        let svg = curve.svg().unwrap();
        assert!(svg.contains("tgan") && svg.contains("a &amp; b") && svg.contains("fvd-vg"), "{svg}");
        assert!(svg.contains("#0072B2") && svg.contains("#D55E00"), "{svg}");
        assert!(Curve::new("empty".to_owned()).svg().is_ok());
    }
}
