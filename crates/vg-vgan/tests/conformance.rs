//! What every model must hold.

vg_core::testing::conformance!(vg_vgan::Vgan);
