//! Writes a strip of a set with its maps, side by side: `cargo run --release -p vg-data --example maps -- OUT NAME [H W]`.
//!
//! `OUT.png` has a row for the frames and one for each map that the set has: classes, boundaries of objects, conditions, flow, confidence.

use std::path::PathBuf;

use vg_core::{Error, Result};
use vg_data::{
    Dataset, FrameSize, Frames, OpenOptions,
    maps::{MapKind, palette},
    media::{maps, sheet, write},
    open,
};

/// Frames in a row.
const FRAMES: usize = 4;
/// Distance between them in the clip.
const STEP: usize = 3;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [out, name, size @ ..] = &args[..] else {
        return Err(Error::Data("usage: maps OUT NAME [H W]".to_owned()));
    };
    let side = |k: usize, default: usize| size.get(k).and_then(|n| n.parse().ok()).unwrap_or(default);
    let size = FrameSize { height: side(0, 64), width: side(1, 128), channels: 3 };
    let set = open(name, &OpenOptions { size, ..OpenOptions::default() })?;
    let mut rows = Vec::new();
    for clip in 0..3.min(set.info().clips as usize) {
        rows.extend(of_clip(&*set, name, clip, size)?);
    }
    write(&PathBuf::from(out).with_extension("png"), &sheet(&rows, 1)?, 8.0)
}

fn of_clip(set: &dyn Dataset, name: &str, clip: usize, size: FrameSize) -> Result<Vec<Frames>> {
    // Flow is between neighbours, so each frame that is shown comes with the one before.
    let shown = FRAMES.min(set.frames(clip).saturating_sub(1) / STEP).max(1);
    let picks: Vec<usize> = (0..=shown * STEP).collect();
    let every = |frames: Frames| -> Result<Frames> {
        let data = (0..frames.frames)
            .skip(STEP - 1)
            .step_by(STEP)
            .filter_map(|k| frames.frame(k))
            .flatten()
            .copied();
        Frames::from_bytes(shown, frames.size(), data.collect())
    };
    let later = |frames: Frames| -> Result<Frames> {
        let bytes = frames.size().bytes();
        Frames::from_bytes(frames.frames - 1, frames.size(), frames.data[bytes..].to_vec())
    };
    let mut rows = vec![every(later(set.read(clip, &picks, size)?)?)?];
    for kind in [
        MapKind::Segmentation,
        MapKind::Instances,
        MapKind::Conditions,
        MapKind::Flow(1),
        MapKind::Confidence(1),
    ] {
        if !set.has_map(kind) {
            continue;
        }
        for map in set.read_maps(clip, &picks, size, &[kind])? {
            rows.push(every(match kind {
                MapKind::Segmentation => later(maps::classes(&map, &palette(name))?)?,
                MapKind::Instances => later(maps::boundaries(&map)?)?,
                MapKind::Conditions => later(maps::conditions(&map)?)?,
                MapKind::Flow(_) => maps::flow(&map, size.width as f32 / 20.0)?,
                MapKind::Confidence(_) => maps::conditions(&map)?,
            })?);
        }
    }
    Ok(rows)
}
