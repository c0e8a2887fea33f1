//! From sampled clips to a file that plays.

use std::path::{Path, PathBuf};

use vg_core::sample::Clips;
use vg_core::{Error, Result};
use vg_data::Frames;
use vg_data::media;

/// Frames a second of everything that is written; a whole number of GIF's hundredths.
pub const FRAMES_PER_SEC: f64 = 10.0;
/// Clips smaller than this are enlarged where no scale is asked for, so that one sees something.
const COMFORTABLE: usize = 64;
/// Width of the border of given frames, in pixels.
const BORDER: usize = 2;
/// Frames of a clip in the picture of a table.
const STILLS: usize = 4;

/// Writes clips as one animation in a grid, or as a sheet with one clip a row for `.png`.
///
/// `scale` repeats each pixel that many times; by default small clips are brought to about 64 pixels.
///
/// # Errors
/// [`Error::Unknown`] for an ending that is no clip format, errors of the disk.
pub fn write(path: &Path, clips: &Clips, scale: Option<usize>) -> Result<()> {
    let frames = Frames::from_tensor(&clips.tensor, clips.pixels)?;
    write_frames(path, frames, scale)
}

/// Writes clips side by side as one animation, small ones enlarged as by [`write()`].
///
/// # Errors
/// As [`write()`].
pub fn write_row(path: &Path, frames: Vec<Frames>) -> Result<()> {
    let frames = enlarged(frames, None);
    media::write_grid(path, &frames, frames.len(), FRAMES_PER_SEC)
}

/// [`write()`] for clips that are decoded already.
pub fn write_frames(path: &Path, frames: Vec<Frames>, scale: Option<usize>) -> Result<()> {
    let frames = enlarged(frames, scale);
    if ending(path) == "png" {
        return media::write(path, &media::sheet(&frames, 1)?, FRAMES_PER_SEC);
    }
    media::write_grid(path, &frames, columns(frames.len()), FRAMES_PER_SEC)
}

/// Writes clips as one animation with `columns` clips a row, or as a sheet with one clip a row for `.png`.
///
/// # Errors
/// As [`write()`].
pub fn write_rows(path: &Path, frames: Vec<Frames>, columns: usize, scale: Option<usize>) -> Result<()> {
    if ending(path) == "png" {
        return write_frames(path, frames, scale);
    }
    media::write_grid(path, &enlarged(frames, scale), columns, FRAMES_PER_SEC)
}

/// Writes clips as a table with `columns` clips a row: one animation, and a PNG picture beside it with [`STILLS`] frames of each clip
/// side by side. Returns both files; with `.png` given, the animation is a GIF.
///
/// # Errors
/// As [`write()`].
pub fn write_table(
    path: &Path,
    frames: Vec<Frames>,
    columns: usize,
    scale: Option<usize>,
) -> Result<Vec<PathBuf>> {
    let scale = scale.unwrap_or_else(|| comfortable(&frames));
    let frames = enlarged(frames, Some(scale));
    let picture = path.with_extension("png");
    let animation = if ending(path) == "png" { path.with_extension("gif") } else { path.to_path_buf() };
    media::write_grid(&animation, &frames, columns, FRAMES_PER_SEC)?;
    let strips: Vec<Frames> = frames.iter().map(|f| media::strip(&stills(f), 0)).collect();
    media::write(&picture, &media::grid(&strips, columns, scale.max(2))?, FRAMES_PER_SEC)?;
    Ok(vec![animation, picture])
}

/// Frames from the first to the last, evenly spaced.
fn stills(clip: &Frames) -> Frames {
    let n = STILLS.min(clip.frames);
    let pick = |k: usize| k * (clip.frames - 1) / (n - 1).max(1);
    let data = (0..n).flat_map(|k| clip.frame(pick(k)).unwrap_or_default().to_vec()).collect();
    Frames { frames: n, data, ..*clip }
}

/// Writes clips of one frame as one picture with a grid of them; the path ends with `.png`.
pub fn write_stills(path: &Path, frames: Vec<Frames>, scale: Option<usize>) -> Result<()> {
    let frames = enlarged(frames, scale);
    media::write_grid(path, &frames, columns(frames.len()), FRAMES_PER_SEC)
}

fn enlarged(frames: Vec<Frames>, scale: Option<usize>) -> Vec<Frames> {
    let scale = scale.unwrap_or_else(|| comfortable(&frames));
    frames.into_iter().map(|f| enlarge(f, scale)).collect()
}

/// Draws a bright border around the first frames, which were given.
pub fn mark_given(clip: &mut Frames, past: usize) {
    let size = clip.size();
    let (h, w, c) = (size.height, size.width, size.channels);
    for frame in clip.data.chunks_exact_mut(size.bytes()).take(past) {
        for (at, pixel) in frame.chunks_exact_mut(c).enumerate() {
            let (y, x) = (at / w, at % w);
            if y.min(h - 1 - y).min(x).min(w - 1 - x) < BORDER {
                pixel.fill(255);
            }
        }
    }
}

/// Refuses a file ending that cannot be written, before any work is done.
///
/// # Errors
/// [`Error::Unknown`] that lists the endings.
pub fn check_ending(path: &Path) -> Result<()> {
    let ending = ending(path);
    if media::ENDINGS.contains(&ending.as_str()) {
        return Ok(());
    }
    Err(Error::unknown("clip format (the file's ending)", &ending, media::ENDINGS.iter().copied()))
}

fn ending(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// The scale that is used where none is asked for.
fn comfortable(frames: &[Frames]) -> usize {
    let height = frames.first().map_or(COMFORTABLE, |f| f.height.max(1));
    (COMFORTABLE / height).max(1)
}

/// The most nearly square grid.
fn columns(clips: usize) -> usize {
    (1..).find(|n| n * n >= clips).unwrap_or(1)
}

fn enlarge(clip: Frames, scale: usize) -> Frames {
    if scale <= 1 {
        return clip;
    }
    let row_bytes = clip.width * clip.channels;
    let mut data = Vec::with_capacity(clip.data.len() * scale * scale);
    for row in clip.data.chunks_exact(row_bytes.max(1)) {
        let pixels = row.chunks_exact(clip.channels);
        let wide: Vec<u8> = pixels.flat_map(|p| p.iter().copied().cycle().take(p.len() * scale)).collect();
        (0..scale).for_each(|_| data.extend_from_slice(&wide));
    }
    Frames { height: clip.height * scale, width: clip.width * scale, data, ..clip }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_nearly_square() {
        assert_eq!([1, 2, 4, 5, 9, 16].map(columns), [1, 2, 2, 3, 3, 4]);
    }

    #[test]
    fn stills_go_from_the_first_frame_to_the_last() {
        let clip =
            |n: u8| Frames { frames: n.into(), height: 1, width: 1, channels: 1, data: (0..n).collect() };
        assert_eq!(stills(&clip(16)).data, [0, 5, 10, 15]);
        assert_eq!(stills(&clip(2)).data, [0, 1]);
        assert_eq!(stills(&clip(1)).data, [0]);
    }

    #[test]
    fn enlarging_repeats_pixels_in_both_directions() {
        let clip = Frames { frames: 1, height: 1, width: 2, channels: 3, data: vec![1, 2, 3, 4, 5, 6] };
        let big = enlarge(clip, 2);
        assert_eq!((big.height, big.width), (2, 4));
        let row = [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6];
        assert_eq!(big.data, [row, row].concat());
    }
}
