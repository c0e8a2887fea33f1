//! What every model holds.

vg_core::testing::conformance!(vg_dvdgan::Dvdgan);
