//! What every model holds.

vg_core::testing::conformance!(vg_vid2vid::Vid2vid);
