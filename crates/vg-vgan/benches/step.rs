//! One training step and one sampled clip: `cargo bench -p vg-vgan`.

vg_core::testing::benchmark!(vg_vgan::Vgan, ["tiny", "small"]);
