//! One training step and one sampled clip: `cargo bench -p vg-dvdgan`.

vg_core::testing::benchmark!(vg_dvdgan::Dvdgan, ["tiny", "small"]);
