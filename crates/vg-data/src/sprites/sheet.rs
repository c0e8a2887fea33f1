//! Animations of one layer: a text file that says where each frame lies in an image.
//!
//! Format of the FLARE engine: `image=PATH`, then for each action `[NAME]`, `frames=N`, `type=looped|play_once|back_forth` and lines
//! `frame=K,DIRECTION,x,y,w,h,offset_x,offset_y`, the offset being the place of the figure's feet within the frame.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use vg_core::{Error, Result};

/// Directions that a figure looks in.
pub(super) const DIRECTIONS: usize = 8;

/// How an action goes on behind its last frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    Loop,
    Once,
    BackForth,
}

impl Repeat {
    /// The frame of `frames` that is shown at a time.
    pub(super) fn frame(self, time: usize, frames: usize) -> usize {
        match self {
            _ if frames <= 1 => 0,
            Self::Loop => time % frames,
            Self::Once => time.min(frames - 1),
            Self::BackForth => {
                let place = time % (2 * frames - 2);
                place.min(2 * frames - 2 - place)
            }
        }
    }
}

/// A rectangle of the image and the place of the feet in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
    pub feet: (i32, i32),
}

/// One action, such as `run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Action {
    pub repeat: Repeat,
    /// By frame and direction.
    pub cuts: Vec<[Cut; DIRECTIONS]>,
}

/// All actions of a layer and its image, which is read when it is first drawn.
#[derive(Debug)]
pub(super) struct Sheet {
    image: PathBuf,
    pub actions: BTreeMap<String, Action>,
    pixels: OnceLock<Pixels>,
}

/// A decoded image, RGBA.
#[derive(Debug)]
pub(super) struct Pixels {
    pub width: usize,
    pub rgba: Vec<u8>,
}

impl Sheet {
    /// Reads `text_file`; the image lies at `image`.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::Format`] with the line that is not understood.
    pub(super) fn read(text_file: &Path, image: PathBuf) -> Result<Self> {
        let text = std::fs::read_to_string(text_file).map_err(Error::io("reading", text_file))?;
        Ok(Self { image, actions: parse(&text, text_file)?, pixels: OnceLock::new() })
    }

    /// The decoded image.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Format`] of the image; [`Error::Format`] when a frame lies outside of it.
    pub(super) fn pixels(&self) -> Result<&Pixels> {
        if let Some(pixels) = self.pixels.get() {
            return Ok(pixels);
        }
        let bytes = std::fs::read(&self.image).map_err(Error::io("reading", &self.image))?;
        let damaged = |e: image::ImageError| Error::format(&self.image, format!("not an image ({e})"));
        let rgba = image::load_from_memory(&bytes).map_err(damaged)?.into_rgba8();
        let (width, height) = (rgba.width() as usize, rgba.height() as usize);
        let outside = |cut: &&Cut| cut.x + cut.width > width || cut.y + cut.height > height;
        let cuts = self.actions.values().flat_map(|action| action.cuts.iter().flatten());
        if let Some(cut) = cuts.clone().find(outside) {
            let problem =
                format!("a frame at {},{} lies outside of its {width}x{height} pixels", cut.x, cut.y);
            return Err(Error::format(&self.image, problem));
        }
        Ok(self.pixels.get_or_init(|| Pixels { width, rgba: rgba.into_raw() }))
    }
}

fn parse(text: &str, origin: &Path) -> Result<BTreeMap<String, Action>> {
    let mut actions: BTreeMap<String, Action> = BTreeMap::new();
    let mut name = String::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let bad = || Error::format(origin, format!("line {}: {line:?} is not understood", number + 1));
        if let Some(header) = line.strip_prefix('[') {
            name = header.strip_suffix(']').ok_or_else(bad)?.to_owned();
            actions.insert(name.clone(), Action { repeat: Repeat::Once, cuts: Vec::new() });
            continue;
        }
        let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        let Some(action) = actions.get_mut(&name) else { continue };
        match key {
            "type" => {
                action.repeat = match value {
                    "looped" => Repeat::Loop,
                    "play_once" => Repeat::Once,
                    "back_forth" => Repeat::BackForth,
                    _ => return Err(bad()),
                }
            }
            "frame" => {
                let numbers: Option<Vec<i32>> = value.split(',').map(|n| n.trim().parse().ok()).collect();
                let Some(&[frame, direction, x, y, w, h, fx, fy]) = numbers.as_deref() else {
                    return Err(bad());
                };
                let known = (0..256).contains(&frame) && (0..DIRECTIONS as i32).contains(&direction);
                if !known || [x, y, w, h].iter().any(|n| *n < 0) {
                    return Err(bad());
                }
                let [frame, x, y, width, height] = [frame, x, y, w, h].map(|n| n as usize);
                let count = action.cuts.len().max(frame + 1);
                action.cuts.resize(count, [Cut::default(); DIRECTIONS]);
                action.cuts[frame][direction as usize] = Cut { x, y, width, height, feet: (fx, fy) };
            }
            _ => {}
        }
    }
    actions.retain(|_, action| !action.cuts.is_empty());
    Ok(actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_by_action_and_direction() {
        let text = "image=a.png\n\n[run]\nframes=2\nduration=9ms\ntype=looped\nframe=0,3,1,2,3,4,5,6\nframe=1,3,0,0,1,1,-2,0\n[hit]\nframes=0\n";
        let actions = parse(text, Path::new("a.txt")).unwrap();
        assert_eq!(actions.len(), 1);
        let run = &actions["run"];
        assert_eq!((run.repeat, run.cuts.len()), (Repeat::Loop, 2));
        assert_eq!(run.cuts[0][3], Cut { x: 1, y: 2, width: 3, height: 4, feet: (5, 6) });
        assert_eq!(run.cuts[0][2], Cut::default());
        let error = parse("[run]\ntype=often\n", Path::new("a.txt")).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("often"), "{error}");
        assert!(parse("[run]\nframe=0,8,0,0,1,1,0,0\n", Path::new("a.txt")).is_err());
    }

    #[test]
    fn actions_go_on_as_they_say() {
        let of = |repeat: Repeat| (0..7).map(|time| repeat.frame(time, 3)).collect::<Vec<_>>();
        assert_eq!(of(Repeat::Loop), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(of(Repeat::Once), [0, 1, 2, 2, 2, 2, 2]);
        assert_eq!(of(Repeat::BackForth), [0, 1, 2, 1, 0, 1, 2]);
        assert_eq!(Repeat::BackForth.frame(5, 1), 0);
    }
}
