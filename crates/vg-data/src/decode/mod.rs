//! Files and folders of images to frames.

mod animation;
mod ffmpeg;
mod record;
mod single;
mod sniff;
mod strip;
mod y4m;

use std::path::{Path, PathBuf};

use vg_core::{Error, Result};

pub(crate) use self::ffmpeg::{Running, file_url};
pub use self::{
    ffmpeg::Ffmpeg,
    record::{Layout, Record},
    single::clip,
    sniff::{Format, sniff},
    strip::Length,
};
use crate::{
    frames::{FrameSize, Frames},
    resize::Resizer,
};

/// What can be read, for messages.
pub const ACCEPTED: &str = "GIF, animated WebP, APNG, Y4M, folders that hold nothing but numbered images, and through the ffmpeg program mp4, avi, mkv, webm, mov, mpeg";

/// Where the frames of a clip come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// One file.
    File(PathBuf, Format),
    /// One image a frame, in order.
    Images(Vec<PathBuf>),
    /// One image that holds square frames side by side or stacked.
    Strip(PathBuf, Length),
    /// One record of a TFRecord file.
    Record(Record),
}

/// How frames of another aspect ratio become those of the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// The largest centred window of the model's ratio is cut out.
    #[default]
    Crop,
    /// The whole frame is scaled, each axis by its own factor.
    Stretch,
}

impl Origin {
    /// The file, or all files in order.
    pub fn files(&self) -> &[PathBuf] {
        match self {
            Self::File(path, _) | Self::Strip(path, _) => std::slice::from_ref(path),
            Self::Images(paths) => paths,
            Self::Record(record) => std::slice::from_ref(&record.path),
        }
    }
}

/// One decoded picture.
pub(crate) struct Picture<'a> {
    pub size: FrameSize,
    pub pixels: &'a [u8],
}

/// Receives pictures in order.
pub(crate) type Sink<'a> = dyn FnMut(Picture<'_>) -> Result<()> + 'a;

/// Hands every `keep_every`-th frame, fitted to `size`, to `sink` as `H, W, C` bytes; one frame is in memory at a time.
///
/// # Errors
/// [`Error::Format`] for a damaged file, [`Error::Io`] for one that cannot be read, [`Error::Unsupported`] without ffmpeg.
pub fn decode(
    origin: &Origin,
    size: FrameSize,
    fit: Fit,
    keep_every: usize,
    ffmpeg: &Ffmpeg,
    sink: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let mut fitting = Fitting { size, fit, resizer: None, buffer: Vec::new() };
    let mut index = 0;
    let mut each = |picture: Picture<'_>| {
        index += 1;
        if (index - 1) % keep_every.max(1) != 0 {
            return Ok(());
        }
        fitting.fit(&picture);
        sink(&fitting.buffer)
    };
    match origin {
        Origin::Images(paths) => paths.iter().try_for_each(|path| animation::still(path, &mut each)),
        Origin::Strip(path, length) => strip::frames(path, *length, &mut each),
        Origin::Record(record) => record.frames(&mut each),
        Origin::File(path, format) => match format {
            Format::Gif | Format::WebP | Format::Png => animation::frames(path, *format, &mut each),
            Format::Y4m => y4m::frames(path, &mut each),
            Format::Video => ffmpeg.frames(path, size, fit, &mut each),
            Format::Jpeg => animation::still(path, &mut each),
        },
    }
}

/// The first frames of a clip, `most` at the utmost, at their own size.
///
/// # Errors
/// [`Error::Format`] for a damaged file or frames of several sizes, [`Error::Io`] for one that cannot be read, [`Error::Unsupported`] for
/// videos, whose frames come from ffmpeg at a size that is asked for.
pub fn decode_whole(origin: &Origin, most: usize) -> Result<Frames> {
    let path = origin.files().first().map(PathBuf::as_path).unwrap_or_else(|| Path::new(""));
    let mut found: Option<(FrameSize, Vec<u8>)> = None;
    let mut count = 0;
    let mut each = |picture: Picture<'_>| {
        let (size, data) = found.get_or_insert_with(|| (picture.size, Vec::new()));
        if picture.size != *size {
            let problem = format!("frame {count} is {}, the first is {size}", picture.size);
            return Err(Error::format(path, problem));
        }
        if count < most {
            data.extend_from_slice(picture.pixels);
            count += 1;
        }
        Ok(())
    };
    match origin {
        Origin::Images(paths) => paths.iter().take(most).try_for_each(|p| animation::still(p, &mut each)),
        Origin::Strip(path, length) => strip::frames(path, *length, &mut each),
        Origin::Record(record) => record.frames(&mut each),
        Origin::File(path, format) => match format {
            Format::Gif | Format::WebP | Format::Png => animation::frames(path, *format, &mut each),
            Format::Y4m => y4m::frames(path, &mut each),
            Format::Jpeg => animation::still(path, &mut each),
            Format::Video => Err(Error::Unsupported(format!(
                "{}: clips at their own size are read from GIF, WebP, APNG, Y4M and folders of images; convert it with ffmpeg",
                path.display()
            ))),
        },
    }?;
    let (size, data) = found.ok_or_else(|| Error::format(path, "there are no frames"))?;
    Frames::from_bytes(count, size, data)
}

/// Resizes pictures; keeps its tables while the size of the source does not change.
struct Fitting {
    size: FrameSize,
    fit: Fit,
    resizer: Option<(FrameSize, Resizer)>,
    buffer: Vec<u8>,
}

impl Fitting {
    fn fit(&mut self, picture: &Picture<'_>) {
        let target = (self.size.height, self.size.width);
        self.buffer.clear();
        if (picture.size.height, picture.size.width) == target {
            self.buffer.extend_from_slice(picture.pixels);
        } else {
            let resizer = match self.fit {
                Fit::Crop => Resizer::new,
                Fit::Stretch => Resizer::stretched,
            };
            let fresh = || (picture.size, resizer(picture.size, target));
            let kept = self.resizer.take().filter(|(from, _)| *from == picture.size);
            let (_, resizer) = self.resizer.insert(kept.unwrap_or_else(fresh));
            resizer.append(picture.pixels, &mut self.buffer);
        }
        match (picture.size.channels, self.size.channels) {
            (3, 1) => self.buffer = crate::frames::grey_of_rgb(&self.buffer),
            (1, 3) => self.buffer = self.buffer.iter().flat_map(|v| [*v; 3]).collect(),
            _ => {}
        }
    }
}

/// A damaged file: the end of a file that came too early is damage, other answers of the system are not.
pub(crate) fn read_error(path: &Path, error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => {
            Error::format(path, format!("damaged or cut off ({error})"))
        }
        _ => Error::io("reading", path)(error),
    }
}
