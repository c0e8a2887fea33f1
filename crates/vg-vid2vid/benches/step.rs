//! One training step and one clip from maps: `cargo bench -p vg-vid2vid`.

vg_core::testing::benchmark!(vg_vid2vid::Vid2vid, ["tiny", "small"]);
