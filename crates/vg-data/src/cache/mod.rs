//! Decoded clips on disk: resized once, memory-mapped ever after.
//!
//! A cache is a folder `NAME-KEY` with `index.json` and `shard-NNN.bin` files. The key is a hash of the files (names, sizes, times of
//! change), the frame size and the split. The index begins with a line `vg-clips VERSION SHA256` over the JSON that follows. A shard is
//! a header of 32 bytes (magic, version, height, width, channels as little-endian u32, zeros) and raw u8 frames `T, H, W, C`, clip
//! after clip. Folders are built under a temporary name and renamed, so they are whole or absent; a damaged one is built again.

mod average;
mod build;
mod parts;
mod shard;
mod store;
mod stored;

use std::{ops::Range, path::PathBuf};

use serde::{Deserialize, Serialize};
use vg_core::Result;

use self::{parts::Parts, stored::Stored};
use crate::{
    dataset::{Dataset, Skipped, Start},
    decode::{Ffmpeg, Fit, Origin},
    frames::FrameSize,
    open::Split,
};

/// Version of the format of caches.
const VERSION: u32 = 1;

/// Files that make a data set, before anything is decoded.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Name of the data set.
    pub name: String,
    /// Which part this is.
    pub split: Split,
    /// Clips in order.
    pub items: Vec<Item>,
    /// Label groups.
    pub groups: Vec<Group>,
    /// Keeps frames 0, n, 2n, ...
    pub keep_every: usize,
    /// Files that were already found broken.
    pub skipped: Vec<Skipped>,
    /// Whether files of one frame are expected and dropped without a word.
    pub drop_stills: bool,
    /// Clips with fewer frames are left out (0: none).
    pub min_frames: usize,
    /// Whether a class without a clip is an error.
    pub fill_classes: bool,
    /// How frames of another aspect ratio are fitted.
    pub fit: Fit,
    /// How decoded files are cut into clips.
    pub cut: Cut,
    /// Where shorter clips begin.
    pub start: Start,
    /// Whether clips for training are drawn by class, file and clip instead of in turn; see [`Hierarchy`](crate::Hierarchy).
    pub nested: bool,
}

/// How decoded files are cut into clips.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// Each file is a clip.
    #[default]
    Whole,
    /// By item, the frames of each of its clips.
    Segments(Vec<Vec<Range<usize>>>),
    /// The first `floor(2n / 3)` of a file's n frames are a clip for training, the others one for testing.
    Thirds,
}

/// One clip to be.
#[derive(Clone, Debug)]
pub struct Item {
    /// Path below the folder of the set.
    pub name: String,
    /// Its file or files.
    pub origin: Origin,
    /// Class index in each group.
    pub labels: Vec<u32>,
}

/// A label group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Such as `class`.
    pub name: String,
    /// Names of the classes in index order.
    pub classes: Vec<String>,
}

/// Where and how caches are made.
#[derive(Clone)]
pub(crate) struct Config {
    pub folder: PathBuf,
    pub strict: bool,
    pub ffmpeg: Ffmpeg,
    pub progress: std::sync::Arc<dyn crate::Progress>,
}

/// The JSON part of `index.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    key: String,
    size: FrameSize,
    shards: Vec<ShardEntry>,
    clips: Vec<ClipEntry>,
    skipped: Vec<Skipped>,
    /// Clips that are too short.
    #[serde(default)]
    short: Vec<Skipped>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShardEntry {
    file: String,
    bytes: u64,
}

/// One decoded clip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClipEntry {
    /// Index into the recipe's items.
    item: usize,
    shard: usize,
    /// Of its first byte in the shard.
    offset: u64,
    frames: usize,
    crc32: u32,
    /// SHA-256 of the source files, first 16 digits.
    source: String,
}

impl Default for Recipe {
    /// Nothing: no clips for training, every frame kept.
    fn default() -> Self {
        Self {
            name: String::new(),
            split: Split::Train,
            items: Vec::new(),
            groups: Vec::new(),
            keep_every: 1,
            skipped: Vec::new(),
            drop_stills: false,
            min_frames: 0,
            fill_classes: false,
            fit: Fit::Crop,
            cut: Cut::Whole,
            start: Start::Anywhere,
            nested: false,
        }
    }
}

impl Recipe {
    /// Number of clips, unless files turn out to be broken or too short.
    pub fn clips(&self) -> usize {
        match &self.cut {
            Cut::Segments(segments) => segments.iter().map(Vec::len).sum(),
            Cut::Whole | Cut::Thirds => self.items.len(),
        }
    }

    /// Opens the set with its clips decoded at `size`.
    pub(crate) fn open(self, size: FrameSize, config: Config) -> Result<Box<dyn Dataset>> {
        let stored = Stored::open(self, size, config)?;
        if stored.recipe().cut == Cut::Whole && !stored.recipe().nested {
            return Ok(Box::new(stored));
        }
        Ok(Box::new(Parts::of(stored)?))
    }
}
