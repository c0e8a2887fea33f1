//! Pictures of conditions of faces and bodies, by what files a sequence has.

use std::path::PathBuf;

use vg_core::Result;

use super::{
    face,
    pictures::{Picture, Window, dimensions, same_size},
    pose,
    sequences::{Sequence, Stream},
};

/// Channels of the conditions, 0 without any.
pub(super) fn channels(sequence: &Sequence) -> usize {
    let there = |stream| usize::from(!sequence.of(stream).is_empty());
    face::CHANNELS * there(Stream::Keypoints) + 3 * (there(Stream::DensePose) + there(Stream::OpenPose))
}

/// What of each frame is kept: of faces a square about that of the first frame.
///
/// # Errors
/// Those of the first frame and its landmarks.
pub(super) fn window(sequence: &Sequence) -> Result<Option<Window>> {
    let (Some(points), Some(frame)) =
        (sequence.of(Stream::Keypoints).first(), sequence.of(Stream::Frames).first())
    else {
        return Ok(None);
    };
    Ok(Some(face::window(&face::landmarks(points)?, dimensions(frame)?)))
}

/// The conditions of frame `k` at the size `to`, `C, H, W` bytes.
///
/// # Errors
/// Those of its files; [`vg_core::Error::Format`] for a map of another size than the frame's.
pub(super) fn draw(
    sequence: &Sequence,
    k: usize,
    window: Option<Window>,
    to: (usize, usize),
    stretch: bool,
) -> Result<Vec<u8>> {
    let frame: &PathBuf = &sequence.of(Stream::Frames)[k];
    if let (Some(points), Some(window)) = (sequence.of(Stream::Keypoints).get(k), window) {
        let picture = Picture::read(frame)?.cut_of(window, frame)?;
        let drawn = face::draw(&face::landmarks(points)?, window, &picture);
        return Ok(by_channel(&drawn.smooth(to, stretch), face::CHANNELS));
    }
    let mut out = Vec::new();
    let mut add = |picture: &Picture| out.extend(by_channel(&picture.nearest(to, stretch), 3));
    if let Some(path) = sequence.of(Stream::DensePose).get(k) {
        let dense = Picture::read(path)?;
        same_size(path, (dense.size.height, dense.size.width), frame)?;
        add(&dense);
    }
    if let Some(path) = sequence.of(Stream::OpenPose).get(k) {
        add(&pose::draw(path, dimensions(frame)?)?);
    }
    Ok(out)
}

/// The values of conditions out of their bytes: drawn faces in [0, 1], poses in [-1, 1].
pub(super) fn planes(sequence: &Sequence, bytes: &[u8]) -> Vec<f32> {
    if !sequence.of(Stream::Keypoints).is_empty() {
        return bytes.iter().map(|v| f32::from(*v) / 255.0).collect();
    }
    let dense = !sequence.of(Stream::DensePose).is_empty();
    let plane = bytes.len() / channels(sequence).max(1);
    let value = |(at, v): (usize, &u8)| match at / plane.max(1) {
        channel if dense => pose::dense(channel, *v),
        _ => f32::from(*v) / 127.5 - 1.0,
    };
    bytes.iter().enumerate().map(value).collect()
}

/// From `H, W, C` to `C, H, W`.
fn by_channel(data: &[u8], channels: usize) -> Vec<u8> {
    (0..channels).flat_map(|c| data.iter().skip(c).step_by(channels)).copied().collect()
}
