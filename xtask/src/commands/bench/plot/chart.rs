//! Ratios to PyTorch as horizontal bars.

use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::newest::Newest;
use crate::failure::Failure;

/// Pixels.
const WIDTH: u32 = 960;
const ROW: u32 = 22;
const HEAD: u32 = 44;
const FOOT: u32 = 48;
const LABELS: u32 = 380;
/// As fast as PyTorch, and the aim.
const MARKS: [f64; 2] = [1.0, 1.5];
/// Bars of those that are slower than PyTorch, and of the others.
const SLOW: RGBColor = RGBColor(213, 94, 0);
const FAST: RGBColor = RGBColor(0, 114, 178);
const FONT: &str = "sans-serif";

/// A bar.
struct Bar<'a> {
    label: &'a str,
    ratio: f64,
}

/// The drawing; none when nothing was measured against PyTorch.
///
/// # Errors
/// [`Failure`] when it cannot be drawn.
pub fn svg(newest: &Newest) -> Result<Option<String>> {
    let bar = |ratio, label| Bar { label, ratio };
    let bars: Vec<Bar> =
        newest.rows.iter().filter_map(|r| Some(bar(r.now.ratio?, r.now.entry.as_str()))).collect();
    if bars.is_empty() {
        return Ok(None);
    }
    let mut text = String::new();
    let height = HEAD + FOOT + ROW * u32::try_from(bars.len())?;
    let root = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
    draw(&root, &bars).map_err(|e| Failure::new(format!("the results cannot be drawn: {e}")))?;
    drop(root);
    Ok(Some(text))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

/// The first bar on top: bar `i` of `n` lies between `n - i - 1` and `n - i`.
fn draw<'a>(root: &Area<'a>, bars: &[Bar]) -> Drawn<'a> {
    // Pages are dark for some readers; the text is black.
    root.fill(&WHITE)?;
    let rows = bars.len() as f64;
    let longest = bars.iter().map(|b| b.ratio).chain(MARKS).fold(0.0, f64::max);
    let mut chart = ChartBuilder::on(root)
        .caption("Times as fast as PyTorch", (FONT, 18))
        .margin_right(20)
        .x_label_area_size(FOOT - 10)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(0.0..longest * 1.12, 0.0..rows)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_labels(8)
        .max_light_lines(1)
        .label_style((FONT, 13))
        .draw()?;
    for (i, bar) in bars.iter().enumerate() {
        let top = rows - i as f64;
        let colour = if bar.ratio < 1.0 { SLOW } else { FAST };
        let corners = [(0.0, top - 0.15), (bar.ratio, top - 0.85)];
        chart.draw_series([Rectangle::new(corners, colour.filled())])?;
        let beside = |x: f64, shift: i32, side: HPos, text: String| {
            let style = (FONT, 13).into_font().color(&BLACK).pos(Pos::new(side, VPos::Center));
            EmptyElement::at((x, top - 0.5)) + Text::new(text, (shift, 0), style)
        };
        chart.draw_series([beside(bar.ratio, 5, HPos::Left, format!("{:.2}", bar.ratio))])?;
        // Labels lie outside of the plotting area, which draws elements beyond its edge, too.
        chart.draw_series([beside(0.0, -6, HPos::Right, bar.label.to_owned())])?;
    }
    for mark in MARKS {
        let line = PathElement::new([(mark, 0.0), (mark, rows)], BLACK.stroke_width(1));
        chart.draw_series([line])?;
    }
    root.present()
}

#[cfg(test)]
mod tests {
    use super::super::super::history::{Line, VERSION};
    use super::*;

    fn line(entry: &str, ratio: Option<f64>) -> Line {
        let json = serde_json::json!({
            "version": VERSION, "date": "1", "revision": null, "cpu": null, "cores": 8, "load": null, "threads": 2,
            "entry": entry, "secs": 1.0, "ratio": ratio,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn every_ratio_has_a_bar_with_its_name() {
        let lines = [line("conv 3->64 & more", Some(0.8)), line("norm", Some(1.7)), line("alone", None)];
        let svg = svg(&Newest::of(&lines)).unwrap().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(svg.contains("conv 3-&gt;64 &amp; more") && svg.contains("norm"), "{svg}");
        assert!(svg.contains("0.80") && svg.contains("1.70") && !svg.contains("alone"), "{svg}");
        assert!(svg.contains("#D55E00") && svg.contains("#0072B2"), "{svg}");
    }

    #[test]
    fn without_a_ratio_there_is_no_drawing() {
        assert!(svg(&Newest::of(&[line("alone", None)])).unwrap().is_none());
        assert!(svg(&Newest::default()).unwrap().is_none());
    }
}
