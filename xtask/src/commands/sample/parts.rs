//! Files of the parts that clips were made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use vg_data::Frames;

use crate::clips;

/// Writes each part beside the clips: `samples.gif` gets `samples-mask.gif`, and `samples-background.png` for still pictures.
pub(in crate::commands) fn write(
    out: &Path,
    parts: BTreeMap<&'static str, Vec<Frames>>,
    scale: Option<usize>,
) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (name, frames) in parts {
        let still = frames.iter().all(|clip| clip.frames == 1);
        let path = beside(out, name, still);
        if still {
            clips::write_stills(&path, frames, scale)?
        } else {
            clips::write_frames(&path, frames, scale)?
        }
        written.push(path);
    }
    Ok(written)
}

/// Writes clips with what they were made of side by side, a row a clip: parts in the order of their names, then the clip. `samples.gif` gets
/// `samples-rows.gif`.
///
/// # Errors
/// As [`clips::write()`].
pub(in crate::commands) fn write_rows(
    out: &Path,
    clips: &[Frames],
    parts: &BTreeMap<&'static str, Vec<Frames>>,
    scale: Option<usize>,
) -> Result<PathBuf> {
    let row = |(k, clip): (usize, &Frames)| {
        let own = parts.values().filter_map(move |all| all.get(k).cloned());
        own.chain(std::iter::once(clip.clone()))
    };
    let path = beside(out, "rows", false);
    let cells = clips.iter().enumerate().flat_map(row).collect();
    clips::write_rows(&path, cells, parts.len() + 1, scale)?;
    Ok(path)
}

fn beside(out: &Path, name: &str, still: bool) -> PathBuf {
    let stem = out.file_stem().unwrap_or_default().to_string_lossy();
    let ending = if still { "png".into() } else { out.extension().unwrap_or_default().to_string_lossy() };
    out.with_file_name(format!("{stem}-{name}.{ending}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_beside_the_clips() {
        assert_eq!(beside(Path::new("a/b.c.gif"), "mask", false), Path::new("a/b.c-mask.gif"));
        assert_eq!(beside(Path::new("b.mp4"), "background", true), Path::new("b-background.png"));
    }
}
