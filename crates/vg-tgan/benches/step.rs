//! One training step and one sampled clip: `cargo bench -p vg-tgan`.

vg_core::testing::benchmark!(vg_tgan::Tgan, ["tiny", "small"]);
