//! Clips that go through the networks together.

use vg_core::sample::Groups;
use vg_core::{Error, Result};

use crate::config::SampleNorm;

/// Clips of a group; single ones take twice the time.
const AT_ONCE: usize = 8;

/// Groups of one size for running statistics, under which a clip does not feel the others; all `clips` in one group for batch statistics.
///
/// # Errors
/// [`Error::Unsupported`] for batch statistics of a single clip: the encoder's last layer has one number a clip and channel.
pub(crate) fn groups(norm: SampleNorm, clips: usize) -> Result<Groups> {
    match norm {
        SampleNorm::Running => Ok(Groups::new(AT_ONCE, clips)),
        SampleNorm::Batch if clips < 2 => {
            let problem = "batch statistics (`sample.norm = \"batch\"`) need at least 2 clips together; ask for more, or set it to \"running\"";
            Err(Error::Unsupported(problem.into()))
        }
        SampleNorm::Batch => Ok(Groups::new(clips, clips)),
    }
}
