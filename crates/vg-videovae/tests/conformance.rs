//! What every model holds.

vg_core::testing::conformance!(vg_videovae::Videovae);
