//! Decoded clips on disk: resized once, memory-mapped ever after.
//!
//! A cache is a folder `NAME-KEY` with `index.json` and `shard-NNN.bin` files. The key is a hash of the files (names, sizes, times of
//! change), the frame size and the split. The index begins with a line `vg-clips VERSION SHA256` over the JSON that follows. A shard is
//! a header of 32 bytes (magic, version, height, width, channels as little-endian u32, zeros) and raw u8 frames `T, H, W, C`, clip
//! after clip. Folders are built under a temporary name and renamed, so they are whole or absent; a damaged one is built again.

mod build;
mod shard;
mod store;
mod stored;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vg_core::Result;

pub(crate) use self::stored::Stored;
use crate::{
    dataset::Skipped,
    decode::{Ffmpeg, Origin},
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
        }
    }
}

impl Recipe {
    /// Opens the set with its clips decoded at `size`.
    pub(crate) fn open(self, size: FrameSize, config: Config) -> Result<Stored> {
        Stored::open(self, size, config)
    }
}
