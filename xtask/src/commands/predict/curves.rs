//! A metric over the predicted frames, one line a contestant, with its band.

use anyhow::Result;
use plotters::prelude::*;

use super::score;
use crate::failure::Failure;
use crate::palette::{COLOURS, FONT};

/// Pixels.
const SIZE: (u32, u32) = (640, 360);

/// The drawing; frames are counted from 1, given ones included.
///
/// # Errors
/// [`Failure`] when it cannot be drawn.
pub(super) fn svg(metric: &str, results: &[score::Result], past: usize) -> Result<String> {
    let mut text = String::new();
    draw(SVGBackend::with_string(&mut text, SIZE), metric, results, past)
        .map_err(|e| Failure::new(format!("{metric} cannot be drawn: {e}")))?;
    Ok(text)
}

/// Frame number, mean and half the width of its band; frames without a finite mean are left out.
fn points(result: &score::Result, metric: &str, past: usize) -> Vec<(f64, f64, f64)> {
    let curve = result.metrics[metric].curve.iter().enumerate();
    curve.filter_map(|(k, p)| Some(((past + 1 + k) as f64, p.mean?, p.half_band.unwrap_or(0.0)))).collect()
}

fn draw(
    backend: SVGBackend<'_>,
    metric: &str,
    results: &[score::Result],
    past: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = backend.into_drawing_area();
    // Pages are dark for some readers; the text is black.
    root.fill(&WHITE)?;
    let lines: Vec<_> = results.iter().map(|r| (r, points(r, metric, past))).collect();
    let ends = || lines.iter().flat_map(|(_, line)| line).flat_map(|(_, y, band)| [y - band, y + band]);
    let low = ends().fold(f64::INFINITY, f64::min).min(1e9);
    let high = ends().fold(f64::NEG_INFINITY, f64::max).max(low + 1e-9);
    let last = past + results.first().map_or(1, |r| r.metrics[metric].curve.len());
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("{metric}, best of the futures"), (FONT, 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d((past + 1) as f64..last.max(past + 2) as f64, low..high + 0.3 * (high - low))?;
    chart.configure_mesh().x_desc("frame").light_line_style(WHITE).label_style((FONT, 13)).draw()?;
    for ((result, line), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        let upper = line.iter().map(|(x, y, band)| (*x, y + band));
        let lower = line.iter().rev().map(|(x, y, band)| (*x, y - band));
        let band: Vec<(f64, f64)> = upper.chain(lower).collect();
        chart.draw_series(std::iter::once(Polygon::new(band, colour.mix(0.2))))?;
        let key = |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2));
        let means = line.iter().map(|(x, y, _)| (*x, *y));
        chart.draw_series(LineSeries::new(means, colour.stroke_width(2)))?.label(&result.model).legend(key);
    }
    let mut labels = chart.configure_series_labels();
    labels.background_style(WHITE.mix(0.8)).border_style(BLACK.mix(0.3)).label_font((FONT, 13)).draw()?;
    Ok(root.present()?)
}
