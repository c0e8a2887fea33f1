//! vg-tgan
