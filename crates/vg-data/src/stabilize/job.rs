//! One video: its clips appear together, in a folder of their own.

use std::{path::Path, sync::atomic::Ordering};

use vg_core::{Error, Result};

use super::{
    CLIP_FRAMES, DROPPED, LEAST_FRAMES, MAX_CLIPS, Method, Options, QUALITY, filter::CLIP, frames::Video,
    plan::Task,
};
use crate::{media, staging::Staging};

/// A video and what is done with it.
pub(super) struct Job<'a> {
    pub video: &'a Task,
    pub method: Method,
    pub options: &'a Options<'a>,
    /// The folder of all results.
    pub to: &'a Path,
}

/// How it ended.
pub(super) enum Done {
    /// It was finished by an earlier call.
    Before,
    /// Its folder is there.
    Now,
    /// It has to be done again.
    Stopped,
    /// It cannot be read, and why.
    Broken(String),
}

impl Job<'_> {
    /// # Errors
    /// [`Error::Io`] from the disk, [`Error::Unsupported`] without ffmpeg; a broken video is none.
    pub(super) fn run(&self) -> Result<Done> {
        let target = self.to.join(&self.video.folder);
        if target.is_dir() {
            return Ok(Done::Before);
        }
        if self.options.stop.load(Ordering::Relaxed) {
            return Ok(Done::Stopped);
        }
        let work = Staging::new(self.to, ".stabilizing-")?;
        let made = work.path().join("clips");
        std::fs::create_dir(&made).map_err(Error::io("making the folder", &made))?;
        match self.clips(work.path(), &made) {
            Ok(true) => {}
            Ok(false) => return Ok(Done::Stopped),
            Err(Error::Format { problem, .. }) => return Ok(Done::Broken(problem)),
            Err(error) => return Err(error),
        }
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(Error::io("making the folder", parent))?;
        }
        std::fs::rename(&made, &target).map_err(Error::io("writing", &target))?;
        Ok(Done::Now)
    }

    /// False when it was told to stop.
    fn clips(&self, work: &Path, made: &Path) -> Result<bool> {
        let Options { ffmpeg, size, stop, .. } = self.options;
        let path = &self.video.path;
        let mut video = Video::open(ffmpeg, path)?;
        video.skip(DROPPED)?;
        for number in 0..MAX_CLIPS {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let count = video.save(&work.join(CLIP), CLIP_FRAMES)?;
            let long_enough = count >= LEAST_FRAMES;
            let clip = if long_enough { self.method.apply(ffmpeg, work, *size, path)? } else { None };
            if let Some(clip) = clip {
                if clip.frames != count {
                    let problem = format!("ffmpeg gave {} frames of a clip of {count}", clip.frames);
                    return Err(Error::format(path, problem));
                }
                media::write_stacked(&made.join(format!("{number:03}.jpg")), &clip, QUALITY)?;
            }
            if count < CLIP_FRAMES {
                video.finish()?;
                break;
            }
        }
        Ok(true)
    }
}
