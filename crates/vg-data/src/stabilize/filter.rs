//! The filters of ffmpeg that hold a clip still.

use std::{
    io::{ErrorKind, Read},
    path::Path,
    process::{Command, Stdio},
};

use vg_core::{Error, Result};

use super::child::apart;
use crate::{
    decode::{Ffmpeg, Running},
    frames::{FrameSize, Frames},
};

/// The clip in work, in the folder of the work.
pub(super) const CLIP: &str = "clip.y4m";
/// The motion that the first pass measures.
const MOTION: &str = "motion.trf";
/// Frames in which more than this part of the picture changes at once begin another scene.
const CUT: &str = "0.4";
/// Pixels each way of such a frame as the first pass reports it.
const MARK: usize = 16;

/// What holds a clip still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// `vidstabdetect` and `vidstabtransform`: the motion from frame to frame is added up and every frame warped to the view of the first
    /// (`smoothing=0`); what it does not show is kept from the frame before.
    Vidstab,
    /// `deshake`: the motion from frame to frame is evened out; what a frame does not show is taken from it unmoved.
    Deshake,
}

impl Method {
    /// The best one that the program has.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without the program, or if it has neither.
    pub fn find(ffmpeg: &Ffmpeg) -> Result<Self> {
        let mut command = apart(ffmpeg.command());
        command.args(["-hide_banner", "-filters"]).stdin(Stdio::null());
        let output = command.output().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::Unsupported(format!(
                "stabilisation needs the {} program, which was not found; install ffmpeg (Debian: `apt install ffmpeg`)",
                ffmpeg.program.display()
            )),
            _ => Error::io("starting", &ffmpeg.program)(error),
        })?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Self::of_list(&text).ok_or_else(|| {
            Error::Unsupported(format!(
                "{}: it has no stabiliser (vidstabdetect and vidstabtransform, or deshake); install a full build of ffmpeg",
                ffmpeg.program.display()
            ))
        })
    }

    /// The best one in the output of `ffmpeg -filters`, whose second column holds the names.
    fn of_list(text: &str) -> Option<Self> {
        let has = |name: &str| text.lines().any(|line| line.split_whitespace().nth(1) == Some(name));
        if has("vidstabdetect") && has("vidstabtransform") {
            Some(Self::Vidstab)
        } else {
            has("deshake").then_some(Self::Deshake)
        }
    }

    /// The name of the filter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Vidstab => "vidstab",
            Self::Deshake => "deshake",
        }
    }

    /// The frames of [`CLIP`] in `work`, held still, scaled and cropped to `size` pixels each way; `video` is named in errors. None for a
    /// clip with a cut: what it shows after the cut has no place in the view of its first frame.
    pub(super) fn apply(
        self,
        ffmpeg: &Ffmpeg,
        work: &Path,
        size: usize,
        video: &Path,
    ) -> Result<Option<Frames>> {
        let detect = match self {
            Self::Vidstab => format!("vidstabdetect=result={MOTION},"),
            Self::Deshake => String::new(),
        };
        let cuts = format!("{detect}select='gt(scene,{CUT})',scale={MARK}:{MARK},format=rgb24");
        let mark = FrameSize { height: MARK, width: MARK, channels: 3 };
        if run(ffmpeg, work, &cuts, mark, video)?.frames > 0 {
            return Ok(None);
        }
        let fit = format!(
            "scale=w='if(gt(iw,ih),-1,{size})':h='if(gt(iw,ih),{size},-1)':flags=bilinear,format=rgb24,crop={size}:{size}"
        );
        let steady = match self {
            Self::Vidstab => format!("vidstabtransform=smoothing=0:crop=keep:optzoom=0:input={MOTION}"),
            Self::Deshake => "deshake=edge=original".to_owned(),
        };
        let size = FrameSize { height: size, width: size, channels: 3 };
        run(ffmpeg, work, &format!("{steady},{fit}"), size, video).map(Some)
    }
}

/// The frames that `filters` make of [`CLIP`].
fn run(ffmpeg: &Ffmpeg, work: &Path, filters: &str, size: FrameSize, video: &Path) -> Result<Frames> {
    let mut command = pass(ffmpeg, work)?;
    command.args(["-vf", filters, "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]).stdout(Stdio::piped());
    let mut running = Running::start(ffmpeg, command, video)?;
    let mut data = Vec::new();
    if let Some(out) = &mut running.child.stdout {
        // One frame more than a clip has, to notice what should not be.
        let limit = ((super::CLIP_FRAMES + 1) * size.bytes()) as u64;
        out.take(limit).read_to_end(&mut data).map_err(Error::io("reading ffmpeg's frames of", video))?;
    }
    running.finish(video)?;
    Frames::from_bytes(data.len() / size.bytes(), size, data)
}

/// A call of ffmpeg that reads the clip in `work`, where it runs: names in filters then need no quotes.
fn pass(ffmpeg: &Ffmpeg, work: &Path) -> Result<Command> {
    let program = match ffmpeg.program.components().count() {
        0 | 1 => ffmpeg.program.clone(),
        // A path that starts from the current folder would mean another file there.
        _ => std::path::absolute(&ffmpeg.program).map_err(Error::io("finding", &ffmpeg.program))?,
    };
    let mut command = apart(Ffmpeg { program }.command());
    // vid.stab adds up what its threads find in the order in which they end.
    command.current_dir(work).env("OMP_NUM_THREADS", "1").stdin(Stdio::null());
    command.args(["-threads", "1", "-i", CLIP, "-an"]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_filter_is_taken() {
        let deshake = " ... deshake           V->V       Stabilize shaky video.\n";
        let vidstab = " ... vidstabdetect     V->V       pass 1 of 2 (see vidstabtransform).\n";
        assert_eq!(Method::of_list(deshake), Some(Method::Deshake));
        assert_eq!(Method::of_list(&format!("{deshake}{vidstab}")), Some(Method::Deshake));
        let both = format!("{deshake}{vidstab} ... vidstabtransform  V->V       pass 2 of 2\n");
        assert_eq!(Method::of_list(&both), Some(Method::Vidstab));
        assert_eq!(Method::of_list(" ... null V->V Pass on. deshake"), None);
    }
}
