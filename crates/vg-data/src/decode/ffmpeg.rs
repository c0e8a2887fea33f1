//! Other containers through the installed ffmpeg program.

use std::{
    ffi::OsString,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::JoinHandle,
};

use vg_core::{Error, Result};

use super::{Fit, Picture, Sink};
use crate::frames::{FrameSize, Frames};

/// The ffmpeg program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ffmpeg {
    /// A name that the system looks up, or a path.
    pub program: PathBuf,
}

impl Default for Ffmpeg {
    fn default() -> Self {
        Self { program: PathBuf::from("ffmpeg") }
    }
}

impl Ffmpeg {
    /// Whether the program can be started.
    pub fn is_installed(&self) -> bool {
        let probe = Command::new(&self.program)
            .arg("-version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        probe.is_ok_and(|status| status.success())
    }

    /// Decodes the first video stream at a constant frame rate; ffmpeg crops and scales.
    ///
    /// Whole frames are scaled as by ffmpeg's own `-s`, bicubic.
    pub(super) fn frames(&self, path: &Path, size: FrameSize, fit: Fit, sink: &mut Sink<'_>) -> Result<()> {
        let FrameSize { height, width, .. } = size;
        let fit = match fit {
            Fit::Crop => format!(
                "crop='min(iw,ih*{width}/{height})':'min(ih,iw*{height}/{width})',scale={width}:{height}:flags=area"
            ),
            Fit::Stretch => format!("scale={width}:{height}:flags=bicubic"),
        };
        let mut command = self.command();
        command.arg("-i").arg(file_url(path)).args(["-map", "0:v:0", "-an", "-vf", &fit]);
        command.args(["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut running = Running::start(self, command, path)?;
        let size = FrameSize { channels: 3, ..size };
        let mut pixels = vec![0; size.bytes()];
        if let Some(mut out) = running.child.stdout.take() {
            while fill(&mut out, &mut pixels).map_err(Error::io("reading ffmpeg's frames of", path))? {
                sink(Picture { size, pixels: &pixels })?;
            }
        }
        running.finish(path)
    }

    /// Encodes a clip to `target` with the codec of its container (`mp4`: H.264, `webm`: VP9).
    pub(crate) fn encode(
        &self,
        target: &Path,
        ending: &str,
        clip: &Frames,
        frames_per_sec: f64,
    ) -> Result<()> {
        let clip = clip.clone().with_channels(3);
        let codec: &[&str] = match ending {
            "mp4" => &["-c:v", "libx264", "-crf", "16", "-movflags", "+faststart"],
            _ => &["-c:v", "libvpx-vp9", "-crf", "18", "-b:v", "0"],
        };
        let mut command = self.command();
        command.args([
            "-y",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
            "-s",
            &format!("{}x{}", clip.width, clip.height),
        ]);
        command.args(["-r", &frames_per_sec.to_string(), "-i", "pipe:0"]).args(codec);
        // 4:2:0 needs even sides; an odd one gets a black row or column.
        command.args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]);
        command.args(["-f", ending]).arg(file_url(target));
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut running = Running::start(self, command, target)?;
        let written = running.child.stdin.take().map_or(Ok(()), |mut input| input.write_all(&clip.data));
        // When ffmpeg ends early its own message says more than the broken pipe.
        running.finish(target)?;
        written.map_err(Error::io("sending frames to ffmpeg for", target))
    }

    /// The program with the options of every call.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-v", "error", "-nostdin"]);
        command
    }
}

/// A child with its error output being read; killed when dropped before its end.
pub(crate) struct Running {
    pub child: Child,
    errors: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts `command`; `path` is what it works on, for messages.
    pub(crate) fn start(ffmpeg: &Ffmpeg, mut command: Command, path: &Path) -> Result<Self> {
        let mut child = command.stderr(Stdio::piped()).spawn().map_err(|e| missing(ffmpeg, path, e))?;
        let errors = child.stderr.take().map(|mut pipe| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                // What could be read is still worth showing.
                let _ = pipe.read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        Ok(Self { child, errors })
    }

    /// Waits for its end.
    pub(crate) fn finish(mut self, path: &Path) -> Result<()> {
        let status = self.child.wait().map_err(Error::io("waiting for ffmpeg on", path))?;
        let said = self.errors.take().and_then(|errors| errors.join().ok()).unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message");
        Err(Error::format(path, format!("ffmpeg cannot handle it: {last}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the child has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn missing(ffmpeg: &Ffmpeg, path: &Path, error: std::io::Error) -> Error {
    let program = ffmpeg.program.display();
    if error.kind() == std::io::ErrorKind::NotFound {
        Error::Unsupported(format!(
            "{}: this format needs the {program} program, which was not found; install ffmpeg (Debian: `apt install ffmpeg`), or use GIF, APNG or Y4M",
            path.display()
        ))
    } else {
        Error::io("starting", program.to_string())(error)
    }
}

/// `file:PATH`, so that no name is taken for an option or a protocol.
pub(crate) fn file_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}

/// Fills the buffer; false at the end. A part of a frame at the end is dropped.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
