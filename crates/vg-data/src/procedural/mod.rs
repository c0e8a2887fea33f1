//! Data sets that are made in code from a seed, with labels and ground truth.

pub mod digits;
pub mod shapes;
pub mod street;

use vg_core::{Error, Result, SourceInfo};

/// Refuses clips and frames past the end.
pub(crate) fn check_picks(info: &SourceInfo, frames: usize, clip: usize, picks: &[usize]) -> Result<()> {
    if clip as u64 >= info.clips {
        return Err(Error::Data(format!(
            "{}: there is no clip {clip}, it has {} clips",
            info.name, info.clips
        )));
    }
    match picks.iter().find(|pick| **pick >= frames) {
        None => Ok(()),
        Some(pick) => Err(Error::Data(format!(
            "{}: clip {clip} has no frame {pick}, it has {frames} frames",
            info.name
        ))),
    }
}
