//! One training step and one clip: `cargo bench -p vg-swgan`.

vg_core::testing::benchmark!(vg_swgan::Swgan, ["tiny", "small"]);
