//! How all charts that are files look.

use plotters::style::RGBColor;

/// Of all texts.
pub const FONT: &str = "sans-serif";
/// Okabe and Ito's colours, which the colour-blind tell apart.
pub const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
