//! What a file is, by its first bytes.

use std::{fs::File, io::Read, path::Path};

use vg_core::{Error, Result};

/// Formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// GIF.
    Gif,
    /// WebP.
    WebP,
    /// PNG or APNG.
    Png,
    /// JPEG, a still.
    Jpeg,
    /// YUV4MPEG2.
    Y4m,
    /// A container for the ffmpeg program.
    Video,
}

/// File endings whose files should be clips; one with other content is damaged.
const ENDINGS: &[&str] = &[
    "gif", "webp", "png", "apng", "jpg", "jpeg", "y4m", "mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg",
    "mpeg", "ogv", "flv", "ts", "wmv",
];

impl Format {
    /// Whether single files of this format hold one image each in a numbered sequence.
    pub fn is_image(self) -> bool {
        matches!(self, Self::Gif | Self::WebP | Self::Png | Self::Jpeg)
    }
}

/// The format of a file, whatever its name; none for files that are no clips.
///
/// # Errors
/// [`Error::Io`] when it cannot be read; [`Error::Format`] when its ending promises a clip and its content is none.
pub fn sniff(path: &Path) -> Result<Option<Format>> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(Error::io("reading", path))?;
    file.take(16).read_to_end(&mut head).map_err(Error::io("reading", path))?;
    match of_bytes(&head) {
        Some(format) => Ok(Some(format)),
        None if promises_a_clip(path) => {
            let what = if head.is_empty() { "empty" } else { "not what its ending says, or damaged" };
            Err(Error::format(path, format!("the file is {what}; accepted are {}", super::ACCEPTED)))
        }
        None => Ok(None),
    }
}

fn of_bytes(head: &[u8]) -> Option<Format> {
    let at = |start: usize, magic: &[u8]| head.get(start..start + magic.len()) == Some(magic);
    if at(0, b"GIF8") {
        Some(Format::Gif)
    } else if at(0, b"RIFF") && at(8, b"WEBP") {
        Some(Format::WebP)
    } else if at(0, b"\x89PNG\r\n\x1a\n") {
        Some(Format::Png)
    } else if at(0, b"\xff\xd8\xff") {
        Some(Format::Jpeg)
    } else if at(0, b"YUV4MPEG2 ") {
        Some(Format::Y4m)
    } else {
        let avi = at(0, b"RIFF") && at(8, b"AVI ");
        let containers: [&[u8]; 6] =
            [b"\x1a\x45\xdf\xa3", b"\0\0\x01\xba", b"\0\0\x01\xb3", b"OggS", b"FLV\x01", b"\x30\x26\xb2\x75"];
        let video = avi
            || at(4, b"ftyp")
            || at(4, b"moov")
            || at(4, b"mdat")
            || containers.iter().any(|magic| at(0, magic));
        video.then_some(Format::Video)
    }
}

fn promises_a_clip(path: &Path) -> bool {
    path.extension().is_some_and(|e| ENDINGS.contains(&e.to_string_lossy().to_lowercase().as_str()))
}
