//! Writing clips: GIF, APNG, PNG and JPEG strips, sheets, mp4 and webm through ffmpeg.

mod apng;
mod atomic;
mod gif;
mod grid;
mod jpeg;
pub mod maps;
mod still;

use std::path::Path;

use vg_core::{Error, Result};

use self::atomic::write_atomic_at;
pub use self::{
    atomic::write_atomic,
    grid::{grid, sheet, strip},
    jpeg::write_stacked,
};
use crate::decode::Ffmpeg;
pub use crate::frames::Frames;

/// File endings that [`write()`] knows.
pub const ENDINGS: &[&str] = &["gif", "apng", "png", "mp4", "webm"];

/// Writes a clip in the format of the file's ending: `gif` and `apng` loop forever, `png` holds all frames side by side,
/// `mp4` and `webm` are made by the ffmpeg program.
///
/// The file appears whole or not at all. `frames_per_sec` is not used by `png`; GIF rounds it to whole hundredths of a second.
///
/// # Errors
/// [`Error::Unknown`] for another ending, [`Error::Data`] for a clip without frames or pixels, [`Error::Io`] from the disk,
/// [`Error::Unsupported`] without ffmpeg.
pub fn write(path: &Path, clip: &Frames, frames_per_sec: f64) -> Result<()> {
    check(path, clip, frames_per_sec)?;
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "gif" => gif::write(path, clip, frames_per_sec),
        "apng" => apng::write(path, clip, frames_per_sec),
        "png" => still::write(path, &strip(clip, 0)),
        "mp4" | "webm" => video(path, &ending, clip, frames_per_sec),
        _ => Err(Error::unknown("clip format (the file's ending)", &ending, ENDINGS.iter().copied())),
    }
}

/// Writes many clips as one: a grid with `columns` clips a row and gaps of one pixel; the format is that of [`write()`].
///
/// # Errors
/// As [`write()`]; [`Error::Data`] when the clips differ in size.
pub fn write_grid(path: &Path, clips: &[Frames], columns: usize, frames_per_sec: f64) -> Result<()> {
    write(path, &grid(clips, columns, 1)?, frames_per_sec)
}

/// ffmpeg writes to a name of its own choice, so the temporary file is made first and then overwritten.
fn video(path: &Path, ending: &str, clip: &Frames, frames_per_sec: f64) -> Result<()> {
    write_atomic_at(path, |temp| Ffmpeg::default().encode(temp, ending, clip, frames_per_sec))
}

fn check(path: &Path, clip: &Frames, frames_per_sec: f64) -> Result<()> {
    let size = clip.size();
    if clip.frames == 0 || size.bytes() == 0 {
        return Err(Error::Data(format!(
            "{}: a clip of {} frames of {size} cannot be written",
            path.display(),
            clip.frames
        )));
    }
    if !(frames_per_sec.is_finite() && frames_per_sec > 0.0) {
        return Err(Error::Data(format!(
            "{}: {frames_per_sec} frames a second cannot be written; give a positive number",
            path.display()
        )));
    }
    Ok(())
}
