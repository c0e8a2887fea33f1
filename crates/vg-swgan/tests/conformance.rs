//! What every model holds.

vg_core::testing::conformance!(vg_swgan::Swgan);
