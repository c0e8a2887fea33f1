//! A finished cache, mapped into memory.

use std::{
    fs::File,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use memmap2::Mmap;
use sha2::{Digest, Sha256};
use vg_core::{Error, Result};

use super::{
    ClipEntry, Index, VERSION,
    shard::{HEADER, header},
};
use crate::{dataset::Skipped, frames::FrameSize};

/// The clips of a set at one size.
pub(super) struct Store {
    index: Index,
    shards: Vec<Mmap>,
    /// Clips whose checksum has been compared.
    checked: Vec<AtomicBool>,
}

impl Store {
    /// Opens a cache.
    ///
    /// # Errors
    /// [`Error::Format`] when it is damaged, of another version or of other content; [`Error::Io`] when it is not there.
    pub(super) fn open(folder: &Path, key: &str, size: FrameSize) -> Result<Self> {
        let index = read_index(&folder.join("index.json"))?;
        if index.key != key || index.size != size {
            return Err(Error::format(folder, "the cache is of other files or another size"));
        }
        let shards = index
            .shards
            .iter()
            .map(|shard| map_shard(&folder.join(&shard.file), shard.bytes, size))
            .collect::<Result<Vec<_>>>()?;
        let checked = index.clips.iter().map(|_| AtomicBool::new(false)).collect();
        let store = Self { index, shards, checked };
        match (0..store.clips().len()).find(|clip| store.bytes(*clip).is_none()) {
            Some(clip) => {
                Err(Error::format(folder, format!("clip {clip} of the cache lies outside of its shard")))
            }
            None => Ok(store),
        }
    }

    pub(super) fn clips(&self) -> &[ClipEntry] {
        &self.index.clips
    }

    pub(super) fn skipped(&self) -> &[Skipped] {
        &self.index.skipped
    }

    pub(super) fn short(&self) -> &[Skipped] {
        &self.index.short
    }

    /// Frames of a clip, `T, H, W, C`.
    ///
    /// # Errors
    /// [`Error::Format`] when the bytes are not those that were written.
    pub(super) fn clip(&self, clip: usize) -> Result<&[u8]> {
        let entry = &self.index.clips[clip];
        let damaged = || {
            Error::format(
                &self.index.shards[entry.shard].file,
                format!("clip {clip} of the cache is damaged"),
            )
        };
        let bytes = self.bytes(clip).ok_or_else(damaged)?;
        if !self.checked[clip].load(Ordering::Relaxed) {
            if crc32fast::hash(bytes) != entry.crc32 {
                return Err(damaged());
            }
            self.checked[clip].store(true, Ordering::Relaxed);
        }
        Ok(bytes)
    }

    fn bytes(&self, clip: usize) -> Option<&[u8]> {
        let entry = &self.index.clips[clip];
        let start = usize::try_from(entry.offset).ok()?;
        let length = entry.frames.checked_mul(self.index.size.bytes())?;
        self.shards.get(entry.shard)?.get(start..start.checked_add(length)?)
    }
}

fn read_index(path: &Path) -> Result<Index> {
    let text = std::fs::read_to_string(path).map_err(Error::io("reading", path))?;
    let (first, json) = text.split_once('\n').unwrap_or((&text, ""));
    let expected = format!("vg-clips {VERSION} {:x}", Sha256::digest(json.as_bytes()));
    if first != expected {
        return Err(Error::format(path, "the index of the cache is damaged or of another version"));
    }
    serde_json::from_str(json).map_err(|e| Error::format(path, e.to_string()))
}

fn map_shard(path: &Path, bytes: u64, size: FrameSize) -> Result<Mmap> {
    let file = File::open(path).map_err(Error::io("reading", path))?;
    let length = file.metadata().map_err(Error::io("reading", path))?.len();
    if length != bytes {
        return Err(Error::format(path, format!("the shard has {length} bytes instead of {bytes}")));
    }
    // SAFETY: shards are written under a temporary name, renamed when complete and only ever replaced as a whole, so the mapped file
    // does not change while this map lives; a file that a stranger cuts short meanwhile is outside of what can be guarded against.
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io("mapping", path))?;
    match map.get(..HEADER) {
        Some(found) if found == header(size) => Ok(map),
        _ => Err(Error::format(path, "the shard is of another version or size")),
    }
}
