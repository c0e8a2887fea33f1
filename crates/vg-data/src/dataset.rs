//! What every data set offers to the loader.

use std::collections::BTreeMap;

use vg_core::{Result, SourceInfo};

use crate::{
    frames::{FrameSize, Frames},
    maps::{self, Map, MapKind},
};

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

    /// Whether clips come with a kind of [map](crate::maps).
    fn has_map(&self, _kind: MapKind) -> bool {
        false
    }

    /// Maps over the frames `picks` of clip `clip`, fitted to `size` as the frames are; one for each kind, all of which the set
    /// [has](Dataset::has_map).
    ///
    /// # Errors
    /// As [`Dataset::read`]; [`vg_core::Error::Data`] for a map that the set lacks.
    fn read_maps(
        &self,
        _clip: usize,
        _picks: &[usize],
        _size: FrameSize,
        kinds: &[MapKind],
    ) -> Result<Vec<Map>> {
        Err(maps::none(&self.info().name, kinds))
    }

    /// Where in a longer clip a shorter one begins.
    fn start(&self) -> Start {
        Start::Anywhere
    }

    /// Whether clips past the last one exist too, so that no epoch repeats another: clip `n` of epoch `e` is `e * clips + n`.
    fn endless(&self) -> bool {
        false
    }

    /// Frames of clip `clip` behind which it goes on in a way that the frames up to there do not tell, where the set knows: the bounces of
    /// `digits`, whose new speed shows in the frame after.
    fn turns(&self, _clip: usize) -> Vec<usize> {
        Vec::new()
    }

    /// How clips for training are drawn where it is not all of them in turn.
    fn hierarchy(&self) -> Option<&Hierarchy> {
        None
    }

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
    fn has_map(&self, kind: MapKind) -> bool {
        (**self).has_map(kind)
    }
    fn read_maps(
        &self,
        clip: usize,
        picks: &[usize],
        size: FrameSize,
        kinds: &[MapKind],
    ) -> Result<Vec<Map>> {
        (**self).read_maps(clip, picks, size, kinds)
    }
    fn start(&self) -> Start {
        (**self).start()
    }
    fn endless(&self) -> bool {
        (**self).endless()
    }
    fn turns(&self, clip: usize) -> Vec<usize> {
        (**self).turns(clip)
    }
    fn hierarchy(&self) -> Option<&Hierarchy> {
        (**self).hierarchy()
    }
    fn report(&self) -> &Report {
        (**self).report()
    }
}

/// Where in a longer clip a shorter one begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At every frame that leaves room, with equal chances.
    #[default]
    Anywhere,
    /// At its first frame.
    First,
}

/// Clips by video and videos by class. A draw takes a class, one of its videos and one of the video's clips, each with equal chances,
/// and begins again with another class when the clip is too short (SVG, official `data/kth.py`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy(Vec<Vec<Vec<usize>>>);

impl Hierarchy {
    /// Of the clips `0, 1, 2, ...`, of each its class and its video; classes and videos without a clip are left out.
    pub fn new(clips: impl IntoIterator<Item = (u32, usize)>) -> Self {
        let mut classes: BTreeMap<u32, BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
        for (clip, (class, video)) in clips.into_iter().enumerate() {
            classes.entry(class).or_default().entry(video).or_default().push(clip);
        }
        Self(classes.into_values().map(|videos| videos.into_values().collect()).collect())
    }

    /// A clip that `fits`; there must be one. `below(n)` is uniform in `0..n`.
    pub(crate) fn draw(&self, mut below: impl FnMut(usize) -> usize, fits: impl Fn(usize) -> bool) -> usize {
        loop {
            let class = &self.0[below(self.0.len())];
            let video = &class[below(class.len())];
            let clip = video[below(video.len())];
            if fits(clip) {
                return clip;
            }
        }
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
