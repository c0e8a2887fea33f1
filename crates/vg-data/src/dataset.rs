//! What every data set offers to the loader.

use vg_core::{Result, SourceInfo};

use crate::frames::{FrameSize, Frames};

/// Clips by index, with labels; every method is a pure function of the data set.
pub trait Dataset: Send + Sync {
    /// Name, number of clips, label groups, fingerprint.
    fn info(&self) -> &SourceInfo;

    /// Number of frames of clip `clip`, which is below [`SourceInfo::clips`].
    fn frames(&self, clip: usize) -> usize;

    /// Class index of clip `clip` in a label group; none when the group does not exist.
    fn label(&self, clip: usize, group: &str) -> Option<u32>;

    /// The frames `picks` of clip `clip`, in that order, cropped and resized to `size`.
    ///
    /// # Errors
    /// [`vg_core::Error::Data`] for a clip or frame past the end; errors of the disk for sets that are read from files.
    fn read(&self, clip: usize, picks: &[usize], size: FrameSize) -> Result<Frames>;

    /// What was left out when the set was opened, and why.
    fn report(&self) -> &Report {
        const NOTHING: &Report = &Report { skipped: Vec::new(), short: Vec::new() };
        NOTHING
    }
}

impl<D: Dataset + ?Sized> Dataset for Box<D> {
    fn info(&self) -> &SourceInfo {
        (**self).info()
    }
    fn frames(&self, clip: usize) -> usize {
        (**self).frames(clip)
    }
    fn label(&self, clip: usize, group: &str) -> Option<u32> {
        (**self).label(clip, group)
    }
    fn read(&self, clip: usize, picks: &[usize], size: FrameSize) -> Result<Frames> {
        (**self).read(clip, picks, size)
    }
    fn report(&self) -> &Report {
        (**self).report()
    }
}

/// Files that were left out of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Broken ones, in the order of the files.
    pub skipped: Vec<Skipped>,
    /// Sound ones with fewer frames than the set asks for, in the order of the files.
    pub short: Vec<Skipped>,
}

/// A file that was left out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Skipped {
    /// Path below the folder of the data set.
    pub name: String,
    /// What is wrong with it.
    pub problem: String,
}

impl std::fmt::Display for Report {
    /// One line with the count, then one line a file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} files were left out", self.skipped.len() + self.short.len())?;
        self.skipped.iter().chain(&self.short).try_for_each(|s| write!(f, "\n  {}: {}", s.name, s.problem))
    }
}
