//! Clips from files.

use std::path::{Path, PathBuf};

use anyhow::Result;
use vg_data::Split;
use vg_data::decode::decode_whole;
use vg_metrics::Clip;

use super::clip;
use crate::failure::Failure;

/// Files that are decoded one by one.
pub struct Folder {
    pub(super) path: PathBuf,
    pub(super) clips: Vec<vg_data::cache::Item>,
    frames: Option<usize>,
}

impl Folder {
    /// The first `num` clips of a folder, or all, and of each the first `frames` frames, or all.
    pub fn open(path: &Path, num: Option<usize>, frames: Option<usize>) -> Result<Self> {
        let mut clips = vg_data::folder::recipe(path, Split::Train, true)?.items;
        if let Some(num) = num {
            let (path, found) = (path.display(), clips.len());
            if found < num {
                return Err(Failure::new(format!("--num {num}: {path} has {found} clips")).into());
            }
            clips.truncate(num);
        }
        Ok(Self { path: path.to_path_buf(), clips, frames })
    }

    /// Frames, height and width of the first clip.
    pub fn size(&self) -> Result<[usize; 3]> {
        let none = || Failure::new(format!("{} has no clips", self.path.display()));
        let clip = self.read(self.clips.first().ok_or_else(none)?)?;
        let [t, h, w, _] = clip.frames().dims();
        Ok([t, h, w])
    }

    pub(super) fn read(&self, item: &vg_data::cache::Item) -> vg_metrics::Result<Clip> {
        let most = self.frames.unwrap_or(usize::MAX);
        let clip = clip(self.path.join(&item.name).display().to_string(), decode_whole(&item.origin, most)?)?;
        // A clip that is too short is named by its window.
        if most < usize::MAX { clip.every(1, most) } else { Ok(clip) }
    }
}
