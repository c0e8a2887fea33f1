//! One file of raw frames.

use std::{
    fs::File,
    io::{BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use vg_core::{Error, Result};

use super::VERSION;
use crate::frames::FrameSize;

const MAGIC: &[u8; 8] = b"VGCLIPS\n";
/// Bytes before the first frame.
pub(super) const HEADER: usize = 32;

/// The first bytes of every shard of a size.
pub(super) fn header(size: FrameSize) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    let numbers = [VERSION, size.height as u32, size.width as u32, size.channels as u32];
    for (field, number) in bytes[8..].chunks_exact_mut(4).zip(numbers) {
        field.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// A shard that grows.
pub(super) struct ShardWriter {
    pub path: PathBuf,
    pub number: usize,
    out: BufWriter<File>,
    end: u64,
}

/// What [`ShardWriter::append`] wrote.
pub(super) struct Appended {
    pub offset: u64,
    pub frames: usize,
    pub crc32: u32,
}

impl ShardWriter {
    pub(super) fn create(folder: &Path, number: usize, size: FrameSize) -> Result<Self> {
        let path = folder.join(format!("shard-{number:03}.bin"));
        let file = File::create_new(&path).map_err(Error::io("writing", &path))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(&header(size)).map_err(Error::io("writing", &path))?;
        Ok(Self { path, number, out, end: HEADER as u64 })
    }

    /// Length of the file so far.
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    /// Adds the frames that `fill` hands to its argument; when it fails, the shard is as before.
    pub(super) fn append(
        &mut self,
        fill: impl FnOnce(&mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()>,
    ) -> Result<Appended> {
        let (out, path) = (&mut self.out, &self.path);
        let mut crc = crc32fast::Hasher::new();
        let (mut frames, mut bytes) = (0, 0);
        let filled = fill(&mut |frame| {
            crc.update(frame);
            frames += 1;
            bytes += frame.len() as u64;
            out.write_all(frame).map_err(Error::io("writing", path))
        });
        match filled {
            Ok(()) => {
                let offset = self.end;
                self.end += bytes;
                Ok(Appended { offset, frames, crc32: crc.finalize() })
            }
            Err(error) => {
                // A write error is the one to report, whatever the rewind says.
                if !matches!(error, Error::Io { .. }) {
                    self.rewind()?;
                }
                Err(error)
            }
        }
    }

    /// Takes back the clip that was added last.
    pub(super) fn drop_last(&mut self, clip: &Appended) -> Result<()> {
        self.end = clip.offset;
        self.rewind()
    }

    fn rewind(&mut self) -> Result<()> {
        let cut = |out: &mut BufWriter<File>, end| {
            out.seek(SeekFrom::Start(end))?;
            out.get_ref().set_len(end)
        };
        cut(&mut self.out, self.end).map_err(Error::io("writing", &self.path))
    }

    /// Brings everything to the disk.
    pub(super) fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(Error::io("writing", &self.path))?;
        self.out.get_ref().sync_all().map_err(Error::io("writing", &self.path))
    }
}
