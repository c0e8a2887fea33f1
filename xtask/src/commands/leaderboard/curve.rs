//! A metric over the training time, one line a model.

use anyhow::Result;
use plotters::prelude::*;
use vg_metrics::Measurement;

use crate::failure::Failure;
use crate::palette::{COLOURS, FONT};

/// Pixels.
const SIZE: (u32, u32) = (640, 360);

/// A metric over time.
pub struct Curve {
    pub metric: String,
    /// By model: minutes and values.
    lines: Vec<(String, Vec<(f64, f64)>)>,
    /// The same with all that they depend on: model, seconds, value.
    values: Vec<(String, f64, Measurement)>,
}

impl Curve {
    pub fn new(metric: String) -> Self {
        Self { metric, lines: Vec::new(), values: Vec::new() }
    }

    /// A value after `secs` seconds of a model's training.
    pub fn push(&mut self, label: &str, secs: f64, value: Measurement) {
        let height = value.value;
        self.values.push((label.to_owned(), secs, value));
        let Some(height) = height else { return };
        let point = (secs / 60.0, height);
        match self.lines.iter_mut().find(|(name, _)| name == label) {
            Some((_, points)) => points.push(point),
            None => self.lines.push((label.to_owned(), vec![point])),
        }
    }

    /// One JSON object a value: `model`, `train_secs`, and all of the measurement.
    ///
    /// # Errors
    /// None in practice: measurements have no numbers that JSON cannot hold.
    pub fn json_lines(&self) -> Result<String> {
        let line = |(model, secs, value): &(String, f64, Measurement)| {
            let mut line = serde_json::json!({ "model": model, "train_secs": secs });
            if let (Some(line), serde_json::Value::Object(rest)) =
                (line.as_object_mut(), serde_json::to_value(value)?)
            {
                line.extend(rest);
            }
            Ok(format!("{line}\n"))
        };
        self.values.iter().map(line).collect()
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
        let scale = Scale::of(points().map(|p| p.1));
        let heights = || points().map(|p| scale.height(p.1));
        let low = heights().fold(f64::INFINITY, f64::min).min(scale.floor());
        let high = heights().fold(f64::NEG_INFINITY, f64::max).max(low + 1e-9);
        let mut chart = ChartBuilder::on(&root)
            .caption(&self.metric, (FONT, 18))
            .margin(12)
            .x_label_area_size(36)
            .y_label_area_size(64)
            // Room for the names.
            .build_cartesian_2d(0.0..1.4 * last, low..high + 0.05 * (high - low))?;
        chart
            .configure_mesh()
            .x_desc("minutes of training")
            .y_label_formatter(&|height| scale.label(*height))
            .light_line_style(WHITE)
            .label_style((FONT, 13))
            .draw()?;
        for ((label, points), colour) in self.lines.iter().zip(COLOURS.iter().cycle()) {
            let at = points.iter().map(|(minutes, value)| (*minutes, scale.height(*value)));
            let line = LineSeries::new(at, colour.stroke_width(2)).point_size(3);
            let key = |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2));
            chart.draw_series(line)?.label(label).legend(key);
        }
        let mut labels = chart.configure_series_labels();
        labels.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).label_font((FONT, 13)).draw()?;
        Ok(root.present()?)
    }
}

/// The vertical axis: from 0 on, or by powers of ten where a model that knows nothing yet would flatten all others.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear,
    Logarithmic,
}

impl Scale {
    /// Largest ratio of values that a linear axis still shows.
    const RATIO: f64 = 100.0;

    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, 0f64), |(low, high), v| (low.min(v), high.max(v)));
        if low > 0.0 && high > Self::RATIO * low { Self::Logarithmic } else { Self::Linear }
    }

    fn height(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.log10(),
        }
    }

    /// What the axis reaches down to at least.
    fn floor(self) -> f64 {
        match self {
            Self::Linear => 0.0,
            Self::Logarithmic => f64::INFINITY,
        }
    }

    fn label(self, height: f64) -> String {
        match self {
            Self::Linear => significant(height),
            Self::Logarithmic => significant(10f64.powf(height)),
        }
    }
}

/// Three digits, without zeros that say nothing.
fn significant(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 9) };
    let text = format!("{value:.*}", digits as usize);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_a_line_with_its_name() {
        let mut curve = Curve::new("fvd-vg".to_owned());
        for (label, value) in [("tgan", 9.0), ("tgan", 5.0), ("a & b", 7.0)] {
            let value = Measurement::new(vg_metrics::protocol("fvd-vg").unwrap(), value);
            curve.push(label, 60.0 * value.value.unwrap(), value);
        }
        let lines = curve.json_lines().unwrap();
        assert!(
            lines.starts_with(r#"{"model":"tgan","train_secs":540.0,"metric":"fvd-vg","value":9.0"#),
            "{lines}"
        );
        assert_eq!(lines.lines().count(), 3);
        let svg = curve.svg().unwrap();
        assert!(svg.contains("tgan") && svg.contains("a &amp; b") && svg.contains("fvd-vg"), "{svg}");
        assert!(svg.contains("#0072B2") && svg.contains("#D55E00"), "{svg}");
        assert!(Curve::new("empty".to_owned()).svg().is_ok());
    }

    #[test]
    fn values_far_apart_are_shown_by_powers_of_ten() {
        assert_eq!(Scale::of([3.0, 250.0].into_iter()), Scale::Linear);
        assert_eq!(Scale::of([0.0, 250.0].into_iter()), Scale::Linear);
        let scale = Scale::of([2.0, 250.0].into_iter());
        assert_eq!((scale, scale.height(100.0), scale.label(3.0)), (Scale::Logarithmic, 2.0, "1000".into()));
        assert_eq!([0.0, 12.5, 1234.0, 0.25, 50.0].map(significant), ["0", "12.5", "1234", "0.25", "50"]);
    }
}
