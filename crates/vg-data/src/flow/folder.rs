//! Flow from files that were made elsewhere.

use std::path::{Path, PathBuf};

use vg_core::{Error, Result};
use vg_flow::{Flow, Picture, flo, warp};

use crate::{dataset::Dataset, folder::entries};

/// `.flo` files, for each clip one a frame but the first: backward flow to the frame before.
pub(super) struct Folder(Vec<Vec<PathBuf>>);

impl Folder {
    /// The files below `folder` for the clips of `set`, both in the order of names.
    ///
    /// # Errors
    /// [`Error::Data`] when numbers of folders and clips, or of files and frames, differ.
    pub(super) fn open(folder: &Path, set: &dyn Dataset) -> Result<Self> {
        let clips = set.info().clips as usize;
        let folders: Vec<PathBuf> = entries(folder)?.into_iter().filter(|path| path.is_dir()).collect();
        if folders.len() != clips {
            return Err(Error::Data(format!(
                "{}: {} folders of flow files for the {clips} clips of {}; each clip needs one",
                folder.display(),
                folders.len(),
                set.info().name
            )));
        }
        let flows = |(clip, path): (usize, PathBuf)| {
            let mut files = entries(&path)?;
            files.retain(|file| file.extension().is_some_and(|ending| ending == "flo"));
            let frames = set.frames(clip);
            if files.len() + 1 != frames {
                return Err(Error::Data(format!(
                    "{}: {} flow files for {frames} frames; every frame but the first needs one",
                    path.display(),
                    files.len()
                )));
            }
            Ok(files)
        };
        Ok(Self(folders.into_iter().enumerate().map(flows).collect::<Result<_>>()?))
    }

    /// The way from frame `now` back to an earlier one, over all frames between.
    pub(super) fn flow(&self, clip: usize, before: usize, now: usize, size: (usize, usize)) -> Result<Flow> {
        let mut total = self.read(clip, now, size)?;
        for frame in (before + 1..now).rev() {
            let next = self.read(clip, frame, size)?;
            let failed = |e: vg_flow::FlowError| Error::Data(format!("joining flows: {e}"));
            let picture = Picture::new(2, size.0, size.1, &next.data).map_err(failed)?;
            let moved = warp(&picture, &total).map_err(failed)?;
            total.data.iter_mut().zip(moved).for_each(|(sum, v)| *sum += v);
        }
        Ok(total)
    }

    fn read(&self, clip: usize, frame: usize, (height, width): (usize, usize)) -> Result<Flow> {
        let path = &self.0[clip][frame - 1];
        let flow = flo::read(path).map_err(|e| Error::Data(e.to_string()))?;
        if (flow.height, flow.width) != (height, width) {
            return Err(Error::format(
                path,
                format!(
                    "flow of {}x{} pixels, but the frames have {width}x{height}; make the flow at the size of the model",
                    flow.width, flow.height
                ),
            ));
        }
        Ok(flow)
    }
}
