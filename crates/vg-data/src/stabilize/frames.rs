//! The frames of a video at their own size, clip by clip; the decoder waits while a clip is worked on.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::Path,
    process::{ChildStdout, Stdio},
};

use vg_core::{Error, Result};

use super::child::apart;
use crate::decode::{Ffmpeg, Running, file_url, read_error};

/// Longest header line that is read.
const MAX_LINE: u64 = 1024;
/// Most pixels of a frame, those of 8K.
const MAX_PIXELS: usize = 1 << 25;

/// A video in decoding, as Y4M.
pub(super) struct Video<'a> {
    path: &'a Path,
    running: Running,
    out: BufReader<ChildStdout>,
    header: Vec<u8>,
    /// One frame of YUV 4:2:0.
    frame: Vec<u8>,
}

impl<'a> Video<'a> {
    /// Starts to decode the first video stream.
    ///
    /// # Errors
    /// [`Error::Format`] when there is none or its frames are too large, [`Error::Unsupported`] without ffmpeg.
    pub(super) fn open(ffmpeg: &Ffmpeg, path: &'a Path) -> Result<Self> {
        let mut command = apart(ffmpeg.command());
        command.args(["-threads", "1", "-i"]).arg(file_url(path));
        command.args(["-map", "0:v:0", "-an", "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "pipe:1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut running = Running::start(ffmpeg, command, path)?;
        let Some(out) = running.child.stdout.take() else {
            return Err(Error::format(path, "ffmpeg gave no output"));
        };
        let mut out = BufReader::new(out);
        let header = line(path, &mut out)?;
        if header.is_empty() {
            running.finish(path)?;
            return Err(Error::format(path, "there are no frames"));
        }
        let bytes = frame_bytes(&header).map_err(|problem| Error::format(path, problem))?;
        Ok(Self { path, running, out, header, frame: vec![0; bytes] })
    }

    /// Passes over frames.
    pub(super) fn skip(&mut self, frames: usize) -> Result<()> {
        for _ in 0..frames {
            self.read()?;
        }
        Ok(())
    }

    /// Writes the next `most` frames as a Y4M file; returns how many there were.
    pub(super) fn save(&mut self, to: &Path, most: usize) -> Result<usize> {
        let file = File::create(to).map_err(Error::io("writing", to))?;
        let mut file = BufWriter::new(file);
        let mut put = |bytes: &[u8]| file.write_all(bytes).map_err(Error::io("writing", to));
        put(&self.header)?;
        let mut count = 0;
        while count < most && self.read()? {
            put(b"FRAME\n")?;
            put(&self.frame)?;
            count += 1;
        }
        file.flush().map_err(Error::io("writing", to))?;
        Ok(count)
    }

    /// Waits for ffmpeg after the last frame.
    pub(super) fn finish(self) -> Result<()> {
        drop(self.out);
        self.running.finish(self.path)
    }

    /// The next frame; false at the end.
    fn read(&mut self) -> Result<bool> {
        let tag = line(self.path, &mut self.out)?;
        if tag.is_empty() {
            return Ok(false);
        }
        self.out.read_exact(&mut self.frame).map_err(|e| read_error(self.path, e))?;
        Ok(true)
    }
}

/// The next line with its end; empty at the end of the stream.
fn line(path: &Path, out: &mut impl BufRead) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    out.take(MAX_LINE).read_until(b'\n', &mut bytes).map_err(|e| read_error(path, e))?;
    if bytes.last().is_some_and(|last| *last != b'\n') {
        return Err(Error::format(path, "ffmpeg's frames are cut off"));
    }
    Ok(bytes)
}

/// Bytes of a frame of YUV 4:2:0 by the header of its stream.
fn frame_bytes(header: &[u8]) -> std::result::Result<usize, String> {
    let header = String::from_utf8_lossy(header);
    let side = |tag: char| header.split_whitespace().find_map(|word| word.strip_prefix(tag)?.parse().ok());
    let (width, height): (usize, usize) = (side('W').unwrap_or(0), side('H').unwrap_or(0));
    match width.checked_mul(height) {
        Some(1..=MAX_PIXELS) => Ok(width * height + 2 * width.div_ceil(2) * height.div_ceil(2)),
        _ => Err(format!("frames of {width}x{height} pixels; accepted are 1 to {MAX_PIXELS} pixels")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_as_long_as_their_header_says() {
        assert_eq!(frame_bytes(b"YUV4MPEG2 W5 H3 F25:1 Ip A1:1 C420jpeg\n"), Ok(15 + 2 * 6));
        assert!(frame_bytes(b"YUV4MPEG2 W99999 H99999 F25:1\n").unwrap_err().contains("99999x99999"));
        assert!(frame_bytes(b"YUV4MPEG2 F25:1\n").unwrap_err().contains("0x0"));
    }
}
