//! One training step and one continued clip: `cargo bench -p vg-svg`.

vg_core::testing::benchmark!(vg_svg::Svg, ["tiny", "small"]);
