//! One training step and one sampled clip: `cargo bench -p vg-mocogan`.

vg_core::testing::benchmark!(vg_mocogan::Mocogan, ["tiny", "small"]);
