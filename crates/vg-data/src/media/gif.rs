//! Animated GIF with one palette for the whole clip.

use std::{collections::HashMap, path::Path};

use color_quant::NeuQuant;
use vg_core::{Error, Result};

use super::write_atomic;
use crate::frames::Frames;

/// Most pixels that a palette is learnt from; more change nothing that can be seen.
const SAMPLE: usize = 1 << 16;
/// NeuQuant's sampling factor, 1 (best) to 30 (fastest).
const QUALITY: i32 = 1;

pub(super) fn write(path: &Path, clip: &Frames, frames_per_sec: f64) -> Result<()> {
    let rgb = clip.clone().with_channels(3);
    let side = |n: usize| {
        u16::try_from(n).map_err(|_| {
            Error::Data(format!("{}: {n} pixels a side are too many for GIF (at most 65535)", path.display()))
        })
    };
    let (width, height) = (side(rgb.width)?, side(rgb.height)?);
    let mut palette = Palette::of(&rgb.data);
    let delay = (100.0 / frames_per_sec).round().clamp(2.0, 65_535.0) as u16;
    write_atomic(path, |out| {
        let failed = |e: gif::EncodingError| encoding(path, e);
        let mut encoder = gif::Encoder::new(out, width, height, &palette.rgb).map_err(failed)?;
        encoder.set_repeat(gif::Repeat::Infinite).map_err(failed)?;
        for frame in rgb.iter() {
            let pixels = palette.indices(frame);
            let frame = gif::Frame { delay, ..gif::Frame::from_indexed_pixels(width, height, pixels, None) };
            encoder.write_frame(&frame).map_err(failed)?;
        }
        Ok(())
    })
}

fn encoding(path: &Path, error: gif::EncodingError) -> Error {
    match error {
        gif::EncodingError::Io(source) => Error::io("writing", path)(source),
        other => Error::format(path, format!("GIF encoding: {other}")),
    }
}

/// At most 256 colours: exactly those of the clip if they are that few, else learnt from its pixels.
struct Palette {
    rgb: Vec<u8>,
    learnt: Option<NeuQuant>,
    known: HashMap<[u8; 3], u8>,
}

impl Palette {
    fn of(pixels: &[u8]) -> Self {
        Self::exact(pixels).unwrap_or_else(|| Self::learn(pixels))
    }

    fn exact(pixels: &[u8]) -> Option<Self> {
        let mut known = HashMap::new();
        let mut rgb = Vec::new();
        for pixel in pixels.chunks_exact(3) {
            let colour = [pixel[0], pixel[1], pixel[2]];
            if !known.contains_key(&colour) {
                known.insert(colour, u8::try_from(known.len()).ok()?);
                rgb.extend(colour);
            }
        }
        Some(Self { rgb, learnt: None, known })
    }

    fn learn(pixels: &[u8]) -> Self {
        let step = (pixels.len() / 3).div_ceil(SAMPLE).max(1);
        let sample: Vec<u8> =
            pixels.chunks_exact(3).step_by(step).flat_map(|p| [p[0], p[1], p[2], 255]).collect();
        let learnt = NeuQuant::new(QUALITY, 256, &sample);
        Self { rgb: learnt.color_map_rgb(), learnt: Some(learnt), known: HashMap::new() }
    }

    fn indices(&mut self, frame: &[u8]) -> Vec<u8> {
        let index = |pixel: &[u8]| {
            let colour = [pixel[0], pixel[1], pixel[2]];
            let learnt = &self.learnt;
            // An exact palette knows every colour already.
            *self.known.entry(colour).or_insert_with(|| {
                learnt.as_ref().map_or(0, |net| net.index_of(&[colour[0], colour[1], colour[2], 255]) as u8)
            })
        };
        frame.chunks_exact(3).map(index).collect()
    }
}
