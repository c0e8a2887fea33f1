//! vg-data
