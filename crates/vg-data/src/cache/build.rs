//! Decoding all files of a set into shards, on all cores, with one frame a worker in memory.

use std::{
    fs::File,
    io::{Read, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use sha2::{Digest, Sha256};
use vg_core::{Error, Result};

use super::{ClipEntry, Config, Index, Item, Recipe, ShardEntry, VERSION, shard::ShardWriter};
use crate::{
    dataset::Skipped,
    decode::{self, Origin},
    frames::FrameSize,
    media::write_atomic,
    progress::Unit,
    staging::Staging,
};

/// A worker begins another shard when its own is this long.
pub(super) const SHARD_BYTES: u64 = 256 << 20;

/// Builds the cache `folder` (made anew) for `recipe` at `size`.
///
/// # Errors
/// The first [`Error::Io`] or [`Error::Unsupported`]; the first broken file if strict; [`Error::Data`] when no clip is left.
pub(super) fn build(
    recipe: &Recipe,
    key: &str,
    size: FrameSize,
    config: &Config,
    folder: &Path,
) -> Result<()> {
    std::fs::create_dir_all(&config.folder).map_err(Error::io("making the folder", &config.folder))?;
    let temp = Staging::new(&config.folder, ".building-")?;
    config.progress.start(
        &format!("decoding {} {}", recipe.name, recipe.split),
        recipe.items.len() as u64,
        Unit::Files,
    );
    let work = Work::new(recipe, size, config, temp.path());
    let outcome = work.run();
    config.progress.finish();
    let index = outcome?.index(key, size, recipe)?;
    write_index(&temp.path().join("index.json"), &index)?;
    // Another process may have built the same cache meanwhile; the newer one takes its place, and maps of the old stay valid.
    if folder.exists() {
        std::fs::remove_dir_all(folder).map_err(Error::io("removing the old cache", folder))?;
    }
    temp.rename(folder)
}

struct Work<'a> {
    recipe: &'a Recipe,
    size: FrameSize,
    config: &'a Config,
    folder: &'a Path,
    next: AtomicUsize,
    shards: AtomicUsize,
    stop: AtomicBool,
}

/// What one worker made.
#[derive(Default)]
struct Made {
    shards: Vec<(usize, u64)>,
    clips: Vec<ClipEntry>,
    skipped: Vec<(usize, String)>,
    short: Vec<(usize, String)>,
}

impl<'a> Work<'a> {
    fn new(recipe: &'a Recipe, size: FrameSize, config: &'a Config, folder: &'a Path) -> Self {
        let (next, shards, stop) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
        Self { recipe, size, config, folder, next, shards, stop }
    }

    /// Own threads, not rayon's: a loader may ask for clips on rayon's threads and wait there for this build.
    fn run(&self) -> Result<Made> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let total = Mutex::new(Ok(Made::default()));
        std::thread::scope(|scope| {
            for _ in 0..cores.min(self.recipe.items.len()) {
                scope.spawn(|| {
                    let made = self.worker();
                    if made.is_err() {
                        self.stop.store(true, Ordering::Relaxed);
                    }
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    match (&mut *total, made) {
                        (Ok(sum), Ok(made)) => sum.merge(made),
                        (Ok(_), Err(error)) => *total = Err(error),
                        (Err(_), _) => {}
                    }
                });
            }
        });
        total.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn worker(&self) -> Result<Made> {
        let mut made = Made::default();
        let mut open: Option<ShardWriter> = None;
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = self.recipe.items.get(number) else { break };
            let mut shard = match open.take() {
                Some(shard) => shard,
                None => {
                    ShardWriter::create(self.folder, self.shards.fetch_add(1, Ordering::Relaxed), self.size)?
                }
            };
            self.clip(number, item, &mut shard, &mut made)?;
            self.config.progress.advance(1);
            if shard.bytes() >= SHARD_BYTES {
                made.finish(shard)?;
            } else {
                open = Some(shard);
            }
        }
        open.map_or(Ok(()), |shard| made.finish(shard))?;
        Ok(made)
    }

    fn clip(&self, number: usize, item: &Item, shard: &mut ShardWriter, made: &mut Made) -> Result<()> {
        let decoded = shard.append(|sink| {
            let Recipe { fit, keep_every, .. } = *self.recipe;
            decode::decode(&item.origin, self.size, fit, keep_every, &self.config.ffmpeg, sink)
        });
        let clip = match decoded {
            Ok(clip) => clip,
            Err(Error::Format { problem, .. }) if !self.config.strict => {
                made.skipped.push((number, problem));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if clip.frames < 2 {
            shard.drop_last(&clip)?;
            return self.still(number, item, made);
        }
        let least = self.recipe.min_frames;
        if clip.frames < least {
            shard.drop_last(&clip)?;
            made.short.push((number, format!("{} frames; at least {least} are asked for", clip.frames)));
            return Ok(());
        }
        let source = match &item.origin {
            Origin::Record(record) => record.hash()?,
            origin => hash_files(origin.files())?,
        };
        let (shard, offset, frames, crc32) = (shard.number, clip.offset, clip.frames, clip.crc32);
        made.clips.push(ClipEntry { item: number, shard, offset, frames, crc32, source });
        Ok(())
    }

    fn still(&self, number: usize, item: &Item, made: &mut Made) -> Result<()> {
        let problem = "a still image, not a clip: it has one frame";
        if self.recipe.drop_stills {
            return Ok(());
        }
        if self.config.strict {
            let path = item.origin.files().first().map_or(Path::new(&item.name), PathBuf::as_path);
            return Err(Error::format(path, problem));
        }
        made.skipped.push((number, problem.to_owned()));
        Ok(())
    }
}

impl Made {
    fn finish(&mut self, shard: ShardWriter) -> Result<()> {
        self.shards.push((shard.number, shard.bytes()));
        shard.finish()
    }

    fn merge(&mut self, other: Self) {
        self.shards.extend(other.shards);
        self.clips.extend(other.clips);
        self.skipped.extend(other.skipped);
        self.short.extend(other.short);
    }

    /// Everything in the order of the recipe, however the work was shared out.
    fn index(mut self, key: &str, size: FrameSize, recipe: &Recipe) -> Result<Index> {
        self.clips.sort_by_key(|clip| clip.item);
        self.shards.sort_unstable();
        let [skipped, short] = [self.skipped, self.short].map(|mut left_out| {
            left_out.sort();
            let name = |item: usize| recipe.items[item].name.clone();
            left_out.into_iter().map(|(item, problem)| Skipped { name: name(item), problem }).collect()
        });
        let skipped: Vec<Skipped> = skipped;
        if self.clips.is_empty() {
            let first = skipped.first().or(short.first());
            let first = first.map_or(String::new(), |s| format!("; the first: {}: {}", s.name, s.problem));
            return Err(Error::Data(format!(
                "{}: none of its {} files is a clip{first}",
                recipe.name,
                recipe.items.len()
            )));
        }
        let entry = |(number, bytes)| ShardEntry { file: format!("shard-{number:03}.bin"), bytes };
        let shards = self.shards.into_iter().map(entry).collect();
        Ok(Index { key: key.to_owned(), size, shards, clips: self.clips, skipped, short })
    }
}

pub(super) fn write_index(path: &Path, index: &Index) -> Result<()> {
    let json = serde_json::to_vec(index).map_err(|e| Error::format(path, e.to_string()))?;
    write_atomic(path, |out| {
        let mut write = || {
            writeln!(out, "vg-clips {VERSION} {:x}", Sha256::digest(&json))?;
            out.write_all(&json)
        };
        write().map_err(Error::io("writing", path))
    })
}

fn hash_files(paths: &[PathBuf]) -> Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    for path in paths {
        let mut file = File::open(path).map_err(Error::io("reading", path))?;
        loop {
            let n = file.read(&mut buffer).map_err(Error::io("reading", path))?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
        }
    }
    let mut digits = format!("{:x}", hash.finalize());
    digits.truncate(16);
    Ok(digits)
}
