//! Videos to steady clips, as VGAN's authors made theirs: each clip is warped to the view of its first frame, its frames are scaled to a
//! shorter side of 128 pixels, cropped to the middle and stacked in one JPEG image that a list names. `strips:OUT` trains on the result.
//!
//! Source: VGAN, supplement and official code `extra/`. What differs: the motion is measured by ffmpeg's `vidstabdetect` (fields of
//! pixels, shift and rotation and zoom) instead of SIFT and a homography, and a clip is dropped for a cut instead of a lack of matches;
//! without that filter `deshake` takes its place, which only evens out the motion. Clips have 32 frames, 16 to 31 at the end of a video;
//! the authors' have up to 34, of which 32 are read.

mod child;
mod filter;
mod frames;
mod job;
mod plan;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use vg_core::{Error, Result};

pub use self::filter::Method;
use self::{
    job::{Done, Job},
    plan::Plan,
};
use crate::{
    cache::Recipe,
    dataset::Skipped,
    decode::Ffmpeg,
    progress::{Progress, Unit},
};

/// Frames that are dropped at the beginning of a video.
const DROPPED: usize = 2;
/// Frames of a clip.
pub const CLIP_FRAMES: usize = 32;
/// Frames of the shortest clip that is kept.
pub const LEAST_FRAMES: usize = 16;
/// Most clips of a video.
pub const MAX_CLIPS: usize = 100;
/// Quality of the JPEG images.
const QUALITY: u8 = 95;

/// How clips are made.
#[derive(Clone)]
pub struct Options<'a> {
    /// Rows and columns of a frame; VGAN 128, its classifier 256.
    pub size: usize,
    /// Videos in work at once; changes nothing but the time.
    pub jobs: usize,
    /// The ffmpeg program.
    pub ffmpeg: Ffmpeg,
    /// When set, work ends after the clips that are being made, and what is finished is listed.
    pub stop: &'a AtomicBool,
    /// Told how far it is.
    pub progress: Arc<dyn Progress>,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What steadied the clips.
    pub method: Method,
    /// Videos that are finished, those of earlier calls included.
    pub videos: usize,
    /// Videos that were finished before this call.
    pub before: usize,
    /// Clips of all finished videos.
    pub clips: usize,
    /// Finished videos without a clip: too short, or a cut in every clip.
    pub short: usize,
    /// Videos that ffmpeg cannot read, and files that are no videos.
    pub broken: Vec<Skipped>,
    /// The lists that name all clips.
    pub lists: Vec<PathBuf>,
    /// Whether it was stopped before the last video.
    pub interrupted: bool,
}

/// Makes clips of all videos of `sets` (one, or one for each split) in the folder `to`.
///
/// Each video gets a folder of clips, which appears whole or not at all; a second call goes on after the finished ones. A broken video is
/// named and left out, and tried again by the next call. The lists are `list.txt` for one set, `train.txt` and `test.txt` for two; with
/// classes, `classInd.txt` names them.
///
/// # Errors
/// [`Error::Unsupported`] without ffmpeg or its filters, [`Error::Data`] when `to` holds clips of other settings, when two videos would
/// share a folder or when no video can be read, [`Error::Io`] from the disk.
pub fn stabilize(sets: &[Recipe], to: &Path, options: &Options<'_>) -> Result<Summary> {
    check(options)?;
    let method = Method::find(&options.ffmpeg)?;
    let plan = Plan::new(sets, to)?;
    std::fs::create_dir_all(to).map_err(Error::io("making the folder", to))?;
    plan::settle(to, method, options.size)?;
    options.progress.start(
        &format!("stabilising with {}", method.name()),
        plan.videos.len() as u64,
        Unit::Videos,
    );
    let made = run(&plan, method, options);
    options.progress.finish();
    let made = made?;
    let written = plan.write_lists(to)?;
    let mut broken = plan.skipped.clone();
    broken.extend(made.broken);
    if written.finished == 0 && !made.interrupted {
        let first = broken.first().map_or(String::new(), |s| format!(": {}: {}", s.name, s.problem));
        return Err(Error::Data(format!("none of the {} videos can be read{first}", plan.videos.len())));
    }
    Ok(Summary {
        method,
        videos: written.finished,
        before: made.before,
        clips: written.clips,
        short: written.short,
        broken,
        lists: written.lists,
        interrupted: made.interrupted,
    })
}

fn check(options: &Options<'_>) -> Result<()> {
    if (16..=1024).contains(&options.size) {
        return Ok(());
    }
    Err(Error::Data(format!("frames of {0}x{0} pixels; accepted are 16 to 1024 a side", options.size)))
}

#[derive(Default)]
struct Made {
    before: usize,
    broken: Vec<Skipped>,
    interrupted: bool,
}

fn run(plan: &Plan, method: Method, options: &Options<'_>) -> Result<Made> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let total = Mutex::new(Ok(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, plan.videos.len().max(1)) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(video) = plan.videos.get(number) else { break };
                    let done = Job { video, method, options, to: &plan.to }.run();
                    failed.fetch_or(done.is_err(), Ordering::Relaxed);
                    options.progress.advance(1);
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    match (&mut *total, done) {
                        (Ok(all), Ok(done)) => all.push((number, done)),
                        (Ok(_), Err(error)) => *total = Err(error),
                        (Err(_), _) => {}
                    }
                }
            });
        }
    });
    let mut all = total.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    all.sort_by_key(|(number, _)| *number);
    let mut made = Made::default();
    for (number, done) in all {
        match done {
            Done::Before => made.before += 1,
            Done::Now => {}
            Done::Stopped => made.interrupted = true,
            Done::Broken(problem) => {
                made.broken.push(Skipped { name: plan.videos[number].name.clone(), problem });
            }
        }
    }
    Ok(made)
}
