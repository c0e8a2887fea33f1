//! YUV4MPEG2, 8 bits, 4:2:0, 4:2:2, 4:4:4 and grey; colours by BT.601.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
};

use vg_core::{Error, Result};

use super::{Picture, Sink, read_error};
use crate::frames::FrameSize;

/// Longest header line that is read.
const MAX_LINE: u64 = 1024;
/// Largest side that is decoded.
const MAX_SIDE: usize = 16_384;

/// Size and layout of the planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    height: usize,
    width: usize,
    /// Luma rows and columns per chroma sample; none for grey.
    chroma: Option<(usize, usize)>,
    /// Luma 0..=255 instead of 16..=235.
    full_range: bool,
}

pub(super) fn frames(path: &Path, sink: &mut Sink<'_>) -> Result<()> {
    let mut reader = BufReader::new(File::open(path).map_err(Error::io("reading", path))?);
    let header = line(path, &mut reader)?;
    let layout = Layout::parse(&header).map_err(|problem| Error::format(path, problem))?;
    let mut planes = vec![0; layout.bytes()];
    loop {
        let tag = line(path, &mut reader)?;
        if tag.is_empty() {
            return Ok(());
        }
        if !tag.starts_with("FRAME") {
            return Err(Error::format(path, "damaged Y4M: a frame does not begin with FRAME"));
        }
        reader.read_exact(&mut planes).map_err(|e| read_error(path, e))?;
        let size = FrameSize { height: layout.height, width: layout.width, channels: 3 };
        sink(Picture { size, pixels: &layout.to_rgb(&planes) })?;
    }
}

/// The next line without its end; empty at the end of the file.
fn line(path: &Path, reader: &mut impl BufRead) -> Result<String> {
    let mut bytes = Vec::new();
    reader.take(MAX_LINE).read_until(b'\n', &mut bytes).map_err(|e| read_error(path, e))?;
    if !bytes.is_empty() && bytes.pop() != Some(b'\n') {
        return Err(Error::format(path, "damaged Y4M: a header line has no end"));
    }
    String::from_utf8(bytes).map_err(|_| Error::format(path, "damaged Y4M: a header line is not text"))
}

impl Layout {
    fn parse(header: &str) -> std::result::Result<Self, String> {
        let mut layout = Self { height: 0, width: 0, chroma: Some((2, 2)), full_range: false };
        for token in header.split(' ').skip(1).filter(|token| !token.is_empty()) {
            let (tag, value) = token.split_at(token.chars().next().map_or(0, char::len_utf8));
            let side = || value.parse::<usize>().ok().filter(|n| (1..=MAX_SIDE).contains(n));
            match tag {
                "W" => {
                    layout.width =
                        side().ok_or_else(|| format!("Y4M width {value:?} is not 1 to {MAX_SIDE}"))?
                }
                "H" => {
                    layout.height =
                        side().ok_or_else(|| format!("Y4M height {value:?} is not 1 to {MAX_SIDE}"))?
                }
                "C" => layout.chroma = chroma(value)?,
                "X" if value == "COLORRANGE=FULL" => layout.full_range = true,
                _ => {}
            }
        }
        if layout.width == 0 || layout.height == 0 {
            return Err("damaged Y4M: the header gives no width or height".to_owned());
        }
        Ok(layout)
    }

    fn chroma_size(&self) -> (usize, usize) {
        self.chroma
            .map_or((0, 0), |(rows, columns)| (self.height.div_ceil(rows), self.width.div_ceil(columns)))
    }

    fn bytes(&self) -> usize {
        let (rows, columns) = self.chroma_size();
        self.height * self.width + 2 * rows * columns
    }

    fn to_rgb(self, planes: &[u8]) -> Vec<u8> {
        let (luma, chroma) = planes.split_at(self.height * self.width);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        let (_, columns) = self.chroma_size();
        let mut rgb = Vec::with_capacity(luma.len() * 3);
        for (i, y) in luma.iter().enumerate() {
            let colour = self.chroma.map_or((128, 128), |(rows, per)| {
                let at = i / self.width / rows * columns + i % self.width / per;
                (u[at], v[at])
            });
            rgb.extend(bt601(*y, colour, self.full_range));
        }
        rgb
    }
}

fn chroma(value: &str) -> std::result::Result<Option<(usize, usize)>, String> {
    match value {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(Some((2, 2))),
        "422" => Ok(Some((1, 2))),
        "444" => Ok(Some((1, 1))),
        "mono" => Ok(None),
        _ => Err(format!("Y4M colour space {value:?}; accepted are 420, 422, 444 and mono with 8 bits")),
    }
}

/// RGB of one pixel.
fn bt601(y: u8, (u, v): (u8, u8), full_range: bool) -> [u8; 3] {
    let (luma, gain) =
        if full_range { (f32::from(y), 1.0) } else { ((f32::from(y) - 16.0) * 255.0 / 219.0, 255.0 / 224.0) };
    let (u, v) = ((f32::from(u) - 128.0) * gain, (f32::from(v) - 128.0) * gain);
    let rgb = [luma + 1.402 * v, luma - 0.344_136 * u - 0.714_136 * v, luma + 1.772 * u];
    rgb.map(|value| (value + 0.5).clamp(0.0, 255.0) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<(FrameSize, Vec<u8>)>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.y4m");
        std::fs::write(&path, bytes).unwrap();
        let mut seen = Vec::new();
        frames(&path, &mut |picture| {
            seen.push((picture.size, picture.pixels.to_vec()));
            Ok(())
        })?;
        Ok(seen)
    }

    #[test]
    fn known_colours_come_out() {
        assert_eq!(bt601(235, (128, 128), false), [255; 3]);
        assert_eq!(bt601(16, (128, 128), false), [0; 3]);
        assert_eq!(bt601(81, (90, 240), false), [254, 0, 0]);
        assert_eq!(bt601(7, (128, 128), true), [7; 3]);
    }

    #[test]
    fn odd_sizes_and_several_frames_are_read() {
        let mut bytes = b"YUV4MPEG2 W3 H1 F25:1 Ip C420jpeg\nFRAME\n".to_vec();
        bytes.extend([16, 235, 16, 128, 128, 128, 128]);
        bytes.extend(b"FRAME Ip\n");
        bytes.extend([235, 16, 81, 128, 90, 128, 240]);
        let seen = read(&bytes).unwrap();
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].1, [0, 0, 0, 255, 255, 255, 0, 0, 0]);
        assert_eq!(seen[1].1[6..], [254, 0, 0]);
        let mono = read(b"YUV4MPEG2 W1 H1 Cmono\nFRAME\n\xeb").unwrap();
        assert_eq!(mono[0].1, [255; 3]);
    }

    #[test]
    fn damage_is_named() {
        let message = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
        assert!(message(b"YUV4MPEG2 W2 H2 C444\nFRAME\n123").contains("cut off"));
        assert!(message(b"YUV4MPEG2 W2 H2 C420p10\nFRAME\n").contains("420p10"));
        assert!(message(b"YUV4MPEG2 W2\nFRAME\n").contains("no width or height"));
        assert!(message(b"YUV4MPEG2 W2 H99999999\n").contains("height"));
        assert!(message(b"YUV4MPEG2 W1 H1 Cmono\nFRAME\n1nonsense").contains("no end"));
    }
}
