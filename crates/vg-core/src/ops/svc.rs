//! Singular value clipping.
