//! Frames and maps of a set on disk, a file for each clip, beside the shards of decoded videos.
//!
//! A store is a folder `NAME-SPLIT-WHAT-HxW-KEY` with files `clip-000000.bin`: magic and version (8 bytes), first half of the key (16),
//! number of frames and bytes of a frame (little-endian u32), the CRC-32 of each frame, and the frames. Files are written under
//! another name and renamed, so each is whole or absent: an interrupted run goes on where it was. A damaged file is made again.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use sha2::{Digest, Sha256};
use vg_core::{Error, Result};

use crate::{
    media::write_atomic,
    progress::{Progress, Unit},
};

/// Magic and version.
const MAGIC: &[u8; 8] = b"vg-maps1";
/// Bytes before the checksums.
const HEADER: usize = 32;

/// The clips of one kind at one size.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    key: [u8; 16],
    frame_bytes: usize,
}

impl Store {
    /// A store below `cache` for what `content` tells apart from everything else; `label` begins the folder's name.
    pub(crate) fn new(cache: &Path, label: &str, content: &str, frame_bytes: usize) -> Self {
        let digits = format!("{:x}", Sha256::digest(content));
        let plain: String = label.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let short: String = plain.chars().rev().take(60).collect::<Vec<_>>().into_iter().rev().collect();
        let folder = cache.join(format!("{}-{}", short.trim_matches('-'), &digits[..16]));
        let mut key = [0; 16];
        key.copy_from_slice(&digits.as_bytes()[..16]);
        Self { folder, key, frame_bytes }
    }

    fn path(&self, clip: usize) -> PathBuf {
        self.folder.join(format!("clip-{clip:06}.bin"))
    }

    /// Whether a clip is there with `frames` frames; their checksums are compared when they are read.
    pub(crate) fn has(&self, clip: usize, frames: usize) -> bool {
        self.open(clip).is_ok_and(|(_, found)| found == frames)
    }

    /// Writes the frames of a clip.
    ///
    /// # Errors
    /// [`Error::Shape`] for frames of another length, [`Error::Io`] from the disk.
    pub(crate) fn write(&self, clip: usize, frames: &[Vec<u8>]) -> Result<()> {
        if let Some(odd) = frames.iter().find(|frame| frame.len() != self.frame_bytes) {
            return Err(Error::shape(
                "a frame to be kept",
                format!("{} bytes", self.frame_bytes),
                &[odd.len()],
            ));
        }
        let path = self.path(clip);
        write_atomic(&path, |out| {
            let mut write = || {
                out.write_all(MAGIC)?;
                out.write_all(&self.key)?;
                out.write_all(&(frames.len() as u32).to_le_bytes())?;
                out.write_all(&(self.frame_bytes as u32).to_le_bytes())?;
                frames.iter().try_for_each(|f| out.write_all(&crc32fast::hash(f).to_le_bytes()))?;
                frames.iter().try_for_each(|f| out.write_all(f))
            };
            write().map_err(Error::io("writing", &path))
        })
    }

    /// The frames `picks` of a clip.
    ///
    /// # Errors
    /// [`Error::Format`] for a file that is damaged or of something else, [`Error::Io`] for one that is not there.
    pub(crate) fn read(&self, clip: usize, picks: &[usize]) -> Result<Vec<Vec<u8>>> {
        let path = self.path(clip);
        let damaged = |_| Error::format(&path, "the file is cut off");
        let (mut file, frames) = self.open(clip)?;
        let mut sums = vec![0; 4 * frames];
        file.read_exact(&mut sums).map_err(damaged)?;
        let begin = (HEADER + sums.len()) as u64;
        picks
            .iter()
            .map(|pick| {
                let sum = sums.get(4 * pick..4 * pick + 4);
                let sum =
                    sum.ok_or_else(|| Error::format(&path, format!("there is no frame {pick} of {frames}")))?;
                let mut frame = vec![0; self.frame_bytes];
                let place = SeekFrom::Start(begin + (pick * self.frame_bytes) as u64);
                file.seek(place).map_err(Error::io("reading", &path))?;
                file.read_exact(&mut frame).map_err(damaged)?;
                if crc32fast::hash(&frame).to_le_bytes() != sum {
                    return Err(Error::format(&path, format!("frame {pick} is damaged")));
                }
                Ok(frame)
            })
            .collect()
    }

    /// A file behind its header, and its number of frames.
    fn open(&self, clip: usize) -> Result<(File, usize)> {
        let path = self.path(clip);
        let mut file = File::open(&path).map_err(Error::io("reading", &path))?;
        let mut header = [0; HEADER];
        let other = || Error::format(&path, "damaged, or of another version or content");
        file.read_exact(&mut header).map_err(|_| other())?;
        let number = |at: usize| header[at..at + 4].iter().rev().fold(0, |n, b| n << 8 | usize::from(*b));
        let (frames, bytes) = (number(24), number(28));
        let known = header[..8] == *MAGIC && header[8..24] == self.key && bytes == self.frame_bytes;
        let length = file.metadata().map_err(Error::io("reading", &path))?.len();
        if !known || length != (HEADER + frames * (4 + bytes)) as u64 {
            return Err(other());
        }
        Ok((file, frames))
    }

    /// The frames `picks` of a clip, which is made, with a message, if its file is gone or damaged.
    pub(crate) fn read_or_make(
        &self,
        clip: usize,
        picks: &[usize],
        progress: &dyn Progress,
        make: impl FnOnce() -> Result<Vec<Vec<u8>>>,
    ) -> Result<Vec<Vec<u8>>> {
        match self.read(clip, picks) {
            Err(error) => {
                progress.message(&format!("{error}; it is made again"));
                self.write(clip, &make()?)?;
                self.read(clip, picks)
            }
            done => done,
        }
    }

    /// Makes all `clips`, by number and number of frames, that are not there yet. Returns those whose files are broken if `lenient`.
    ///
    /// Own threads, not rayon's: a loader may ask for clips on rayon's threads and wait there for this.
    ///
    /// # Errors
    /// The first error of `make`, in the order of the clips that were begun; a damaged file only if not `lenient`.
    pub(crate) fn fill(
        &self,
        what: &str,
        clips: &[(usize, usize)],
        lenient: bool,
        progress: &dyn Progress,
        make: impl Fn(usize) -> Result<Vec<Vec<u8>>> + Sync,
    ) -> Result<Vec<(usize, String)>> {
        let missing: Vec<usize> =
            clips.iter().filter(|(clip, frames)| !self.has(*clip, *frames)).map(|(clip, _)| *clip).collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        progress.start(what, missing.len() as u64, Unit::Videos);
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let outcomes = Mutex::new((Vec::new(), Vec::new()));
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                let Some(clip) = missing.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                let made = make(*clip).and_then(|frames| self.write(*clip, &frames));
                progress.advance(1);
                let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
                match made {
                    Ok(()) => {}
                    Err(error @ Error::Format { .. }) if lenient => {
                        outcomes.0.push((*clip, error.to_string()))
                    }
                    Err(error) => {
                        stop.store(true, Ordering::Relaxed);
                        outcomes.1.push((*clip, error));
                    }
                }
            }
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| (0..cores.min(missing.len())).for_each(|_| drop(scope.spawn(work))));
        progress.finish();
        let (mut broken, errors) = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        broken.sort();
        match errors.into_iter().min_by_key(|(clip, _)| *clip) {
            Some((_, error)) => Err(error),
            None => Ok(broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn frames(clip: usize) -> Vec<Vec<u8>> {
        (0..3).map(|k| vec![(10 * clip + k) as u8; 5]).collect()
    }

    #[test]
    fn what_was_written_is_read_and_damage_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path(), "set:a/b", "content 1", 5);
        let made = AtomicUsize::new(0);
        let make = |clip: usize| {
            made.fetch_add(1, Ordering::Relaxed);
            Ok(frames(clip))
        };
        let clips = [(0, 3), (4, 3)];
        assert!(store.fill("making", &clips, false, &Silent, make).unwrap().is_empty());
        assert!(store.fill("making", &clips, false, &Silent, make).unwrap().is_empty());
        assert_eq!(made.load(Ordering::Relaxed), 2, "made once");
        assert_eq!(store.read(4, &[2, 0]).unwrap(), [vec![42; 5], vec![40; 5]]);
        assert!(store.read(4, &[3]).is_err() && store.read(1, &[0]).is_err());
        let mut bytes = std::fs::read(store.path(4)).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(store.path(4), &bytes).unwrap();
        assert!(store.read(4, &[2]).unwrap_err().to_string().contains("frame 2 is damaged"));
        assert_eq!(store.read_or_make(4, &[2], &Silent, || make(4)).unwrap(), [vec![42; 5]]);
        std::fs::write(store.path(0), &bytes[..20]).unwrap();
        assert!(!store.has(0, 3));
        let other = Store::new(folder.path(), "set:a/b", "content 2", 5);
        assert!(!other.has(4, 3), "other content has another place");
    }

    #[test]
    fn broken_files_are_told_or_stop_the_work() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path(), "s", "c", 5);
        let make = |clip: usize| match clip {
            1 => Err(Error::format("frame 7.png", "no image")),
            _ => Ok(frames(clip)),
        };
        let clips = [(0, 3), (1, 3), (2, 3)];
        let broken = store.fill("making", &clips, true, &Silent, make).unwrap();
        assert_eq!(broken, [(1, "frame 7.png: no image".to_owned())]);
        assert!(store.has(2, 3) && !store.has(1, 3));
        let error = store.fill("making", &clips, false, &Silent, make).unwrap_err();
        assert!(error.to_string().contains("frame 7.png"));
    }
}
