//! Caches of smaller frames, made from one of larger frames instead of the files.

use std::path::Path;

use vg_core::{Error, Result};

use super::{
    ClipEntry, Index, ShardEntry,
    build::{SHARD_BYTES, write_index},
    shard::ShardWriter,
    store::Store,
    stored::Form,
};
use crate::{
    frames::{FrameSize, Frames},
    staging::Staging,
};

/// Builds the cache `folder`, below `parent`, of the averages of all frames of `whole`, which are `form.averaged` times as large.
///
/// # Errors
/// [`Error::Io`] of the disk, [`Error::Format`] when `whole` is damaged.
pub(super) fn average(whole: &Store, key: &str, form: Form, parent: &Path, folder: &Path) -> Result<()> {
    let temp = Staging::new(parent, ".building-")?;
    let (mut clips, mut shards) = (Vec::with_capacity(whole.clips().len()), Vec::new());
    let mut shard = ShardWriter::create(temp.path(), 0, form.size)?;
    for (number, entry) in whole.clips().iter().enumerate() {
        if shard.bytes() >= SHARD_BYTES {
            let next = ShardWriter::create(temp.path(), shard.number + 1, form.size)?;
            shards.push(finish(std::mem::replace(&mut shard, next))?);
        }
        clips.push(clip(whole, number, entry, form, &mut shard)?);
    }
    shards.push(finish(shard)?);
    let index = Index {
        key: key.to_owned(),
        size: form.size,
        shards,
        clips,
        skipped: whole.skipped().to_vec(),
        short: whole.short().to_vec(),
    };
    write_index(&temp.path().join("index.json"), &index)?;
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(Error::io("removing the old cache", folder))?;
    }
    temp.rename(folder)
}

fn clip(
    whole: &Store,
    number: usize,
    entry: &ClipEntry,
    form: Form,
    shard: &mut ShardWriter,
) -> Result<ClipEntry> {
    let large: FrameSize = form.size.enlarged(form.averaged);
    let bytes = whole.clip(number)?;
    let written = shard.append(|sink| {
        bytes.chunks_exact(large.bytes()).try_for_each(|frame| {
            sink(&Frames::from_bytes(1, large, frame.to_vec())?.averaged(form.averaged).data)
        })
    })?;
    Ok(ClipEntry {
        item: entry.item,
        shard: shard.number,
        offset: written.offset,
        frames: written.frames,
        crc32: written.crc32,
        source: entry.source.clone(),
    })
}

fn finish(shard: ShardWriter) -> Result<ShardEntry> {
    let name = shard.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let entry = ShardEntry { file: name, bytes: shard.bytes() };
    shard.finish()?;
    Ok(entry)
}
