//! Several clips or frames in one picture.

use vg_core::{Error, Result};

use crate::frames::{FrameSize, Frames};

/// Grey level of the gaps between pictures.
const GAP: u8 = 128;

/// All clips playing side by side, `columns` a row, `gap` pixels apart. A shorter clip holds its last frame; grey clips
/// beside RGB ones become RGB.
///
/// # Errors
/// [`Error::Data`] when there is no clip or frame, when `columns` is 0 or when heights or widths differ.
pub fn grid(clips: &[Frames], columns: usize, gap: usize) -> Result<Frames> {
    let Some(first) = clips.first().filter(|_| columns > 0) else {
        return Err(Error::Data("a grid needs at least one clip and one column".to_owned()));
    };
    let fits = |clip: &&Frames| (clip.height, clip.width) == (first.height, first.width) && clip.frames > 0;
    if let Some(odd) = clips.iter().find(|clip| !fits(clip)) {
        return Err(Error::Data(format!(
            "clips of a grid must have frames of one size: {} frames of {} beside {} frames of {}",
            odd.frames,
            odd.size(),
            first.frames,
            first.size()
        )));
    }
    let frames = clips.iter().map(|clip| clip.frames).max().unwrap_or(0);
    let channels = clips.iter().map(|clip| clip.channels).max().unwrap_or(1);
    let mut canvas = Canvas::new(frames, clips.len(), columns, gap, FrameSize { channels, ..first.size() });
    for (place, clip) in clips.iter().enumerate() {
        let clip = clip.clone().with_channels(channels);
        for t in 0..frames {
            let frame = clip.frame(t.min(clip.frames - 1)).unwrap_or_default();
            canvas.paste(t, place, frame);
        }
    }
    Ok(canvas.picture)
}

/// The frames of a clip in one row, `gap` pixels apart, as a clip of one frame.
pub fn strip(clip: &Frames, gap: usize) -> Frames {
    let mut canvas = Canvas::new(1, clip.frames, clip.frames.max(1), gap, clip.size());
    clip.iter().enumerate().for_each(|(place, frame)| canvas.paste(0, place, frame));
    canvas.picture
}

/// A still picture with one clip a row and its frames from left to right.
///
/// # Errors
/// As [`grid`].
pub fn sheet(clips: &[Frames], gap: usize) -> Result<Frames> {
    let frames = clips.iter().map(|clip| clip.frames).max().unwrap_or(0);
    let rows: Vec<Frames> = clips
        .iter()
        .map(|clip| {
            let mut padded = clip.clone();
            padded.frames = frames;
            padded.data.resize(frames * clip.size().bytes(), GAP);
            strip(&padded, gap)
        })
        .collect();
    grid(&rows, 1, gap)
}

struct Canvas {
    picture: Frames,
    columns: usize,
    gap: usize,
    tile: FrameSize,
}

impl Canvas {
    fn new(frames: usize, tiles: usize, columns: usize, gap: usize, tile: FrameSize) -> Self {
        let columns = columns.min(tiles.max(1));
        let rows = tiles.div_ceil(columns);
        let side = |n: usize, tile: usize| n * tile + n.saturating_sub(1) * gap;
        let size = FrameSize {
            height: side(rows, tile.height),
            width: side(columns, tile.width),
            channels: tile.channels,
        };
        let mut picture = Frames::black(frames, size);
        picture.data.fill(GAP);
        Self { picture, columns, gap, tile }
    }

    fn paste(&mut self, t: usize, place: usize, frame: &[u8]) {
        let FrameSize { height, width, channels } = self.tile;
        let top = place / self.columns * (height + self.gap);
        let left = place % self.columns * (width + self.gap);
        for (y, row) in frame.chunks_exact(width * channels).enumerate() {
            let at = ((t * self.picture.height + top + y) * self.picture.width + left) * channels;
            self.picture.data[at..at + row.len()].copy_from_slice(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(frames: usize, value: u8) -> Frames {
        let size = FrameSize { height: 1, width: 2, channels: 1 };
        Frames::from_bytes(frames, size, vec![value; frames * 2]).unwrap()
    }

    #[test]
    fn tiles_stand_in_reading_order_with_gaps() {
        let picture = grid(&[flat(1, 1), flat(2, 2), flat(1, 3)], 2, 1).unwrap();
        assert_eq!((picture.frames, picture.height, picture.width), (2, 3, 5));
        let g = GAP;
        let first = [1, 1, g, 2, 2, g, g, g, g, g, 3, 3, g, g, g];
        assert_eq!(picture.frame(0).unwrap(), first);
        assert_eq!(picture.frame(1).unwrap(), first);
    }

    #[test]
    fn sheets_have_a_row_a_clip() {
        let picture = sheet(&[flat(2, 1), flat(1, 2)], 0).unwrap();
        assert_eq!((picture.frames, picture.height, picture.width), (1, 2, 4));
        assert_eq!(picture.data, [1, 1, 1, 1, 2, 2, GAP, GAP]);
    }

    #[test]
    fn clips_of_two_sizes_are_refused() {
        let other = Frames::black(1, FrameSize { height: 2, width: 2, channels: 1 });
        assert!(grid(&[flat(1, 0), other], 2, 0).is_err());
        assert!(grid(&[], 2, 0).is_err());
        assert!(grid(&[flat(1, 0)], 0, 0).is_err());
    }
}
