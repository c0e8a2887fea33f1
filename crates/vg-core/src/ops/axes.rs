//! The spatial axes of a tensor `[B, C, ...]` as an array of three, aligned to the right.

use crate::{Error, Result};

/// Names of the three axes, for messages.
pub(crate) const NAMES: [&str; 3] = ["T", "H", "W"];

/// `values` at the right end of three axes, `fill` on the others.
pub(crate) fn align(values: &[usize], fill: usize) -> [usize; 3] {
    let mut out = [fill; 3];
    for (o, v) in out.iter_mut().rev().zip(values.iter().rev()) {
        *o = *v;
    }
    out
}

/// The entries of `values` for the last `rank` axes, `fill` on the others.
pub(crate) fn keep(values: [usize; 3], rank: usize, fill: usize) -> [usize; 3] {
    align(&values[3 - rank..], fill)
}

/// The number of spatial axes, 1 to 3.
pub(crate) fn rank(what: &'static str, dims: &[usize]) -> Result<usize> {
    if (3..=5).contains(&dims.len()) {
        Ok(dims.len() - 2)
    } else {
        Err(Error::shape(what, "[B, C, W], [B, C, H, W] or [B, C, T, H, W]", dims))
    }
}
