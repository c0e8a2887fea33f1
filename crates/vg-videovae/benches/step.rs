//! One training step and one clip: `cargo bench -p vg-videovae`.

vg_core::testing::benchmark!(vg_videovae::Videovae, ["tiny", "small"]);
