//! MoCoGAN's shape-motion videos: one circle or square on a Bezier path, on black.
//!
//! Rebuilt from the published strips: quartic curves evaluated in integers, stencils without antialiasing, one colour a video. Other
//! sizes than 64x64 take the nearest pixel, so that a clip has its one colour at any size.

use std::collections::BTreeMap;

use vg_core::{Error, Result, Rng, SourceInfo};

use crate::{
    dataset::Dataset,
    frames::{FrameSize, Frames},
    open::Split,
    resize,
};

/// Frames of a published strip.
pub const FRAMES: usize = 32;
/// Videos of the paper's training set.
pub const TRAIN_CLIPS: usize = 4_000;
/// Videos of the test split (ours; the paper has none).
pub const TEST_CLIPS: usize = 1_000;
/// Side of the canvas in pixels.
const SIDE: usize = 64;
/// Random numbers that make one video.
const DRAWS: usize = 13;
/// Sides of the bounding box in pixels.
const SIZES: [usize; 4] = [8, 10, 12, 14];

/// Names of the colour classes: one for each choice of channels that are 128 or more, red first, then green, then blue.
const COLOURS: [&str; 8] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/// The data set; clip `i` is a pure function of (seed, split, `i`).
#[derive(Clone, Debug)]
pub struct Shapes {
    info: SourceInfo,
    rng: Rng,
    frames: usize,
}

/// Outline of the moving shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A disc, clipped by one pixel at its top and left.
    Circle,
    /// A block.
    Square,
}

/// Everything that one video is made of: its labels and ground truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Video {
    /// Motion class: 0 from bottom to top, 1 from right to left.
    pub motion: usize,
    /// Circle or square.
    pub kind: Kind,
    /// Index into the sides 8, 10, 12, 14.
    pub size: usize,
    /// Colour of the shape.
    pub rgb: [u8; 3],
    /// Control points `(main, cross)` of the top-left corner in pixels; the main axis is y for motion 0 and x for motion 1.
    pub points: [(usize, usize); 5],
}

impl Shapes {
    /// `clips` videos of `frames` frames (at least 2).
    ///
    /// # Errors
    /// [`Error::Data`] for no clips or for less than two frames.
    pub fn new(seed: u64, split: Split, clips: usize, frames: usize) -> Result<Self> {
        if clips == 0 || !(2..=4096).contains(&frames) {
            return Err(Error::Data(format!(
                "shapes: {clips} clips of {frames} frames cannot be made; ask for 1 or more clips of 2 to 4096 frames"
            )));
        }
        let names = |list: &[&str]| list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let motions = names(&["bottom-to-top", "right-to-left"]);
        let classes = BTreeMap::from([
            ("class".to_owned(), motions.clone()),
            ("motion".to_owned(), motions),
            ("kind".to_owned(), names(&["circle", "square"])),
            ("size".to_owned(), SIZES.iter().map(ToString::to_string).collect()),
            ("colour".to_owned(), names(&COLOURS)),
        ]);
        let info = SourceInfo {
            name: "shapes".to_owned(),
            clips: clips as u64,
            classes,
            fingerprint: format!("shapes-2/{split}/seed {seed}/{clips} x {frames}"),
        };
        Ok(Self { info, rng: Rng::new(seed).child("shapes", split as u64), frames })
    }

    /// Labels and ground truth of clip `clip`.
    pub fn video(&self, clip: usize) -> Video {
        let mut stream = self.rng.child("video", clip as u64).stream("draws");
        Video::from_draws(&std::array::from_fn(|_| stream.unit()))
    }
}

impl Dataset for Shapes {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn frames(&self, _clip: usize) -> usize {
        self.frames
    }

    fn label(&self, clip: usize, group: &str) -> Option<u32> {
        let video = self.video(clip);
        match group {
            "class" | "motion" => Some(video.motion as u32),
            "kind" => Some(video.kind as u32),
            "size" => Some(video.size as u32),
            "colour" => Some(video.colour()),
            _ => None,
        }
    }

    fn read(&self, clip: usize, picks: &[usize], size: FrameSize) -> Result<Frames> {
        super::check_picks(&self.info, self.frames, clip, picks)?;
        let video = self.video(clip);
        let mut canvas = Frames::black(picks.len(), FrameSize { height: SIDE, width: SIDE, channels: 3 });
        for (frame, pick) in canvas.data.chunks_exact_mut(SIDE * SIDE * 3).zip(picks) {
            video.paint(*pick, self.frames, frame);
        }
        Ok(resize::fit_flat(canvas, size))
    }
}

impl Video {
    /// The video that 13 numbers in [0, 1) stand for: motion, kind, size, red, green, blue, the cross coordinate of both ends,
    /// then (main, cross) of the three inner control points.
    pub fn from_draws(draws: &[f64; DRAWS]) -> Self {
        let integer = |u: f64, low: usize, high: usize| low + (u * (high - low + 1) as f64) as usize;
        let [motion, kind, size, r, g, b, cross, inner @ ..] = *draws;
        let size = integer(size, 0, SIZES.len() - 1);
        let last = 62 - SIZES[size];
        let place = |u: f64| integer(u, 1, last);
        let byte = |u: f64| integer(u, 0, 255) as u8;
        let point = |i: usize| (place(inner[2 * i]), place(inner[2 * i + 1]));
        Self {
            motion: integer(motion, 0, 1),
            kind: if integer(kind, 0, 1) == 0 { Kind::Circle } else { Kind::Square },
            size,
            rgb: [byte(r), byte(g), byte(b)],
            points: [(last, place(cross)), point(0), point(1), point(2), (1, place(cross))],
        }
    }

    /// Class of the colour: red counts 1, green 2 and blue 4 where they are 128 or more.
    pub fn colour(&self) -> u32 {
        self.rgb.iter().rev().fold(0, |class, value| 2 * class + u32::from(value / 128))
    }

    /// Top-left corner `(y, x)` in frame `k` of `frames`, floor of the exact quartic.
    pub fn corner(&self, k: usize, frames: usize) -> (usize, usize) {
        let (n, k) = (frames as u128 - 1, k as u128);
        let weights: [u128; 5] =
            std::array::from_fn(|i| [1, 4, 6, 4, 1][i] * k.pow(i as u32) * (n - k).pow(4 - i as u32));
        let at = |axis: fn(&(usize, usize)) -> usize| {
            let sum: u128 = weights.iter().zip(&self.points).map(|(w, p)| w * axis(p) as u128).sum();
            (sum / n.pow(4)) as usize
        };
        let (main, cross) = (at(|p| p.0), at(|p| p.1));
        if self.motion == 0 { (main, cross) } else { (cross, main) }
    }

    fn paint(&self, k: usize, frames: usize, canvas: &mut [u8]) {
        let (y, x) = self.corner(k, frames);
        for (dy, start, end) in self.spans() {
            let row = &mut canvas[((y + dy) * SIDE + x) * 3..];
            row[start * 3..end * 3].chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&self.rgb));
        }
    }

    /// Filled columns `start..end` of each row below the corner.
    fn spans(&self) -> Vec<(usize, usize, usize)> {
        let side = SIZES[self.size];
        match self.kind {
            Kind::Square => (0..side).map(|dy| (dy, 0, side)).collect(),
            Kind::Circle => circle_spans(side / 2),
        }
    }
}

/// Rows of a disc of radius 4 to 7 about `(r - 1, r - 1)`, as the published strips have them.
fn circle_spans(radius: usize) -> Vec<(usize, usize, usize)> {
    let half_widths: &[usize] = match radius {
        4 => &[3, 3, 3, 2],
        5 => &[4, 4, 4, 4, 3],
        6 => &[5, 5, 5, 5, 4, 3],
        _ => &[6, 6, 6, 6, 5, 5, 3],
    };
    let centre = radius - 1;
    let mut spans: Vec<_> = (0..2 * radius - 1)
        .map(|dy| (dy, half_widths[dy.abs_diff(centre)]))
        .map(|(dy, w)| (dy, centre - w, centre + w + 1))
        .collect();
    spans[centre].2 += 1;
    spans.push((2 * radius - 1, centre, centre + 1));
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_video() -> Video {
        Video {
            motion: 0,
            kind: Kind::Square,
            size: 0,
            rgb: [1, 2, 3],
            points: [(54, 20), (10, 40), (50, 5), (3, 30), (1, 20)],
        }
    }

    #[test]
    fn corners_are_those_of_the_published_fit() {
        let corners = [0, 1, 5, 10, 15, 16, 20, 30, 31].map(|k| check_video().corner(k, 32));
        let expected =
            [(54, 20), (48, 22), (36, 26), (29, 24), (25, 22), (24, 21), (19, 21), (1, 21), (1, 20)];
        assert_eq!(corners, expected);
        let turned = Video { motion: 1, ..check_video() };
        assert_eq!(turned.corner(5, 32), (26, 36));
    }

    #[test]
    fn stencils_have_the_published_areas() {
        let areas = [4, 5, 6, 7].map(|r| circle_spans(r).iter().map(|(_, a, b)| b - a).sum::<usize>());
        assert_eq!(areas, [47, 79, 111, 151]);
    }

    #[test]
    fn draws_reach_both_ends_of_every_range() {
        let low = Video::from_draws(&[0.0; DRAWS]);
        assert_eq!((low.motion, low.kind, low.size, low.rgb), (0, Kind::Circle, 0, [0; 3]));
        assert_eq!(low.points, [(54, 1), (1, 1), (1, 1), (1, 1), (1, 1)]);
        let high = Video::from_draws(&[1.0 - 1e-12; DRAWS]);
        assert_eq!((high.motion, high.kind, high.size, high.rgb), (1, Kind::Square, 3, [255; 3]));
        assert_eq!(high.points, [(48, 48), (48, 48), (48, 48), (48, 48), (1, 48)]);
    }

    #[test]
    fn colours_are_told_by_which_channels_are_bright() {
        let of = |rgb| COLOURS[Video { rgb, ..check_video() }.colour() as usize];
        let named =
            [[127, 0, 90], [128, 127, 0], [0, 255, 1], [200, 200, 9], [3, 4, 130], [255, 0, 255]].map(of);
        assert_eq!(named, ["black", "red", "green", "yellow", "blue", "magenta"]);
        assert_eq!([[0, 128, 128], [128, 128, 128]].map(of), ["cyan", "white"]);
        let set = Shapes::new(3, Split::Train, 300, FRAMES).unwrap();
        let mut counts = [0; 8];
        (0..300).for_each(|clip| counts[set.label(clip, "colour").unwrap() as usize] += 1);
        assert!(counts.iter().all(|n| (15..70).contains(n)), "{counts:?}");
    }

    #[test]
    fn frames_hold_the_shape_in_its_colour_and_nothing_else() {
        let set = Shapes::new(3, Split::Train, 40, FRAMES).unwrap();
        let size = FrameSize { height: 64, width: 64, channels: 3 };
        for clip in 0..40 {
            let video = set.video(clip);
            let area: usize = video.spans().iter().map(|(_, a, b)| b - a).sum();
            for frame in set.read(clip, &[0, 13, 31], size).unwrap().iter() {
                let painted = frame.chunks_exact(3).filter(|p| **p == video.rgb).count();
                let black = frame.chunks_exact(3).filter(|p| **p == [0; 3]).count();
                assert_eq!((painted, black), (area, 64 * 64 - area));
            }
        }
    }

    #[test]
    fn a_clip_has_one_colour_at_any_size() {
        let set = Shapes::new(3, Split::Train, 20, FRAMES).unwrap();
        for (clip, side) in (0..20).flat_map(|clip| [16, 32, 48, 96].map(|side| (clip, side))) {
            let size = FrameSize { height: side, width: side, channels: 3 };
            let (frames, rgb) = (set.read(clip, &[0, 13, 31], size).unwrap(), set.video(clip).rgb);
            for frame in frames.iter() {
                let shape = frame.chunks_exact(3).filter(|p| **p != [0; 3]).collect::<Vec<_>>();
                assert!(!shape.is_empty() && shape.iter().all(|p| **p == rgb), "{clip} at {side}");
            }
        }
    }

    #[test]
    fn clips_depend_on_seed_and_split() {
        let make = |seed, split| Shapes::new(seed, split, 10, FRAMES).unwrap().video(7);
        assert_eq!(make(1, Split::Train), make(1, Split::Train));
        assert_ne!(make(1, Split::Train), make(2, Split::Train));
        assert_ne!(make(1, Split::Train), make(1, Split::Test));
    }

    #[test]
    fn frames_past_the_end_are_refused() {
        let set = Shapes::new(0, Split::Train, 2, FRAMES).unwrap();
        let size = FrameSize { height: 64, width: 64, channels: 3 };
        let error = set.read(0, &[32], size).unwrap_err().to_string();
        assert!(error.contains("frame 32") && error.contains("32 frames"), "{error}");
        assert!(set.read(2, &[0], size).is_err());
        assert!(Shapes::new(0, Split::Train, 2, 1).is_err());
    }
}
