//! Stochastic Moving MNIST (SVG, official `data/moving_mnist.py`): digits that bounce in unforeseeable directions.
//!
//! With MNIST's images this is the official set: digits enlarged to 32 pixels by Pillow's bilinear filter and added on a canvas of 64,
//! which saturates; per digit the draws are the image, x, y, dx, dy, then what its bounces need, each from the next number of a tape in
//! [0, 1). Positions end at 31, so the last row and column stay black. Shorter clips begin at the first frame. The training split has no
//! end, as the official set, which makes a new clip whenever one is asked for: each epoch has clips of its own. The test split is fixed.

pub mod glyphs;
pub mod motion;
mod pillow;

use std::collections::BTreeMap;

use vg_core::{Error, Result, Rng, SourceInfo, rng::Stream};

use self::{glyphs::Glyphs, motion::Bounce};
use crate::{
    dataset::{Dataset, Start},
    frames::{FrameSize, Frames},
    mnist::Mnist,
    open::Split,
    resize,
};

/// Frames of a clip, if no other number is asked for; SVG trains on the first 15 and tests on 30.
pub const FRAMES: usize = 30;
/// Digits on the canvas in the paper.
pub const DIGITS: usize = 2;
/// Side of the canvas in pixels.
const SIDE: usize = 64;
/// Side of a digit after enlarging.
const DIGIT_SIDE: usize = 32;

/// The data set; clip `i` is a pure function of (seed, split, `i`), also past the last one of the first epoch.
pub struct Digits {
    info: SourceInfo,
    rng: Rng,
    images: Images,
    config: Config,
    split: Split,
}

/// What is drawn, how much of it and how it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Number of clips; the official set has one per MNIST image.
    pub clips: usize,
    /// Frames a clip.
    pub frames: usize,
    /// Digits on the canvas, 1 to 4.
    pub digits: usize,
    /// Random or mirror-like bouncing.
    pub bounce: Bounce,
    /// Where shorter clips begin; in the official set at the first frame.
    pub start: Start,
    /// Whether each epoch of the training split has clips of its own, as in the official set.
    pub endless: bool,
}

/// Pictures of single digits, 28x28.
pub enum Images {
    /// Handwritten ones.
    Mnist(Mnist),
    /// Drawn in code.
    Glyphs(Glyphs),
}

impl Images {
    /// Number of pictures.
    pub fn count(&self) -> usize {
        match self {
            Self::Mnist(mnist) => mnist.count(),
            Self::Glyphs(glyphs) => glyphs.count(),
        }
    }

    /// Picture `index`, 28 x 28 grey levels on black.
    pub fn image(&self, index: usize) -> Vec<u8> {
        match self {
            Self::Mnist(mnist) => mnist.image(index).to_vec(),
            Self::Glyphs(glyphs) => glyphs.image(index),
        }
    }

    /// The digit that picture `index` shows.
    pub fn label(&self, index: usize) -> u32 {
        match self {
            Self::Mnist(mnist) => mnist.label(index),
            Self::Glyphs(glyphs) => glyphs.label(index),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Mnist(_) => "mnist",
            Self::Glyphs(_) => "glyphs-1",
        }
    }
}

impl Digits {
    /// Clips of `images`; a set of one digit has labels `class`.
    ///
    /// # Errors
    /// [`Error::Data`] for no clips, frames or pictures, or another number of digits than 1 to 4.
    pub fn new(name: &str, seed: u64, split: Split, images: Images, config: Config) -> Result<Self> {
        let Config { clips, frames, digits, bounce, start, endless } = config;
        if clips == 0 || frames == 0 || !(1..=4).contains(&digits) || images.count() == 0 {
            return Err(Error::Data(format!(
                "{name}: {clips} clips of {frames} frames with {digits} digits from {} pictures cannot be made; ask for at least one clip and frame and for 1 to 4 digits",
                images.count()
            )));
        }
        let names = (0..10).map(|digit| digit.to_string()).collect();
        let classes =
            if digits == 1 { BTreeMap::from([("class".to_owned(), names)]) } else { BTreeMap::new() };
        let fingerprint = format!(
            "digits-2/{}/{split}/seed {seed}/{clips} x {frames}/{digits} {bounce:?}/{start:?} {endless}",
            images.kind()
        );
        let info = SourceInfo { name: name.to_owned(), clips: clips as u64, classes, fingerprint };
        let rng = Rng::new(seed).child("digits", split as u64);
        Ok(Self { info, rng, images, config, split })
    }

    fn tape(&self, clip: usize) -> Stream {
        self.rng.child("video", clip as u64).stream("draws")
    }

    /// Index of the next picture of a tape.
    fn pick_image(&self, tape: &mut Stream) -> usize {
        motion::integer(&mut || tape.unit(), 0, self.images.count() as i64) as usize
    }
}

impl Dataset for Digits {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn frames(&self, _clip: usize) -> usize {
        self.config.frames
    }

    fn label(&self, clip: usize, group: &str) -> Option<u32> {
        let known = group == "class" && self.config.digits == 1;
        known.then(|| self.images.label(self.pick_image(&mut self.tape(clip))))
    }

    fn start(&self) -> Start {
        self.config.start
    }

    fn endless(&self) -> bool {
        self.config.endless && self.split == Split::Train
    }

    /// Random bounces of any of the digits.
    fn turns(&self, clip: usize) -> Vec<usize> {
        if self.config.bounce == Bounce::Mirror {
            return Vec::new();
        }
        let mut tape = self.tape(clip);
        let mut turns = vec![false; self.config.frames];
        for _ in 0..self.config.digits {
            self.pick_image(&mut tape);
            let path = motion::walk(&mut || tape.unit(), self.config.frames, self.config.bounce);
            turns.iter_mut().zip(path).for_each(|(turn, place)| *turn |= place.hit);
        }
        (0..turns.len()).filter(|frame| turns[*frame]).collect()
    }

    fn read(&self, clip: usize, picks: &[usize], size: FrameSize) -> Result<Frames> {
        let of_epoch = if self.endless() { clip % self.info.clips as usize } else { clip };
        super::check_picks(&self.info, self.config.frames, of_epoch, picks)?;
        let mut tape = self.tape(clip);
        let mut canvas = Frames::black(picks.len(), FrameSize { height: SIDE, width: SIDE, channels: 1 });
        for _ in 0..self.config.digits {
            let image = self.images.image(self.pick_image(&mut tape));
            let digit = pillow::bilinear(&image, 28, DIGIT_SIDE);
            // The whole path is walked whatever is picked: the next digit's draws come after it.
            let path = motion::path(&mut || tape.unit(), self.config.frames, self.config.bounce);
            for (frame, pick) in canvas.data.chunks_exact_mut(SIDE * SIDE).zip(picks) {
                paste(frame, &digit, path[*pick]);
            }
        }
        Ok(resize::fit(canvas, size))
    }
}

/// Adds the digit with its corner at `(sx, sy)`; sums end at white.
fn paste(frame: &mut [u8], digit: &[u8], (sx, sy): (usize, usize)) {
    for (y, row) in digit.chunks_exact(DIGIT_SIDE).enumerate() {
        let target = &mut frame[(sy + y) * SIDE + sx..][..DIGIT_SIDE];
        target.iter_mut().zip(row).for_each(|(pixel, value)| *pixel = pixel.saturating_add(*value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREY: FrameSize = FrameSize { height: SIDE, width: SIDE, channels: 1 };

    fn config(digits: usize, bounce: Bounce) -> Config {
        Config { clips: 60, frames: FRAMES, digits, bounce, start: Start::First, endless: true }
    }

    fn digits(digits: usize, bounce: Bounce) -> Digits {
        let config = config(digits, bounce);
        let images = Images::Glyphs(Glyphs::new(Split::Train));
        Digits::new("digits", 4, Split::Train, images, config).unwrap()
    }

    /// A digit goes straight on but behind its turns; it bounces at walls alone.
    #[test]
    fn turns_are_where_a_digit_changes_its_way() {
        let set = digits(1, Bounce::Random);
        let mut seen = 0;
        for clip in 0..20 {
            let mut tape = set.tape(clip);
            set.pick_image(&mut tape);
            let path = motion::path(&mut || tape.unit(), FRAMES, Bounce::Random);
            let step = |k: usize| {
                let ((ax, ay), (bx, by)) = (path[k], path[k + 1]);
                (bx as i64 - ax as i64, by as i64 - ay as i64)
            };
            let turns = set.turns(clip);
            seen += turns.len();
            for turn in &turns {
                let (x, y) = path[*turn];
                assert!([x, y].iter().any(|at| [0, 31].contains(at)), "clip {clip}, frame {turn}: {x} {y}");
            }
            // The step into a wall is cut short, and the one behind has the new speed.
            let straight = |frame: &usize| !turns.contains(frame) && !turns.contains(&(frame + 1));
            for frame in (1..FRAMES - 1).filter(straight) {
                assert_eq!(step(frame - 1), step(frame), "clip {clip}, frame {frame}, turns {turns:?}");
            }
        }
        assert!(seen > 20, "{seen}");
        assert!(digits(1, Bounce::Mirror).turns(0).is_empty());
    }

    #[test]
    fn last_row_and_column_are_always_black() {
        let set = digits(2, Bounce::Random);
        let all: Vec<usize> = (0..FRAMES).collect();
        for clip in 0..60 {
            for frame in set.read(clip, &all, GREY).unwrap().iter() {
                assert!(frame[63 * 64..].iter().all(|v| *v == 0));
                assert!(frame.chunks_exact(64).all(|row| row[63] == 0));
                assert!(frame.iter().any(|v| *v > 200));
            }
        }
    }

    #[test]
    fn picked_frames_are_those_of_the_whole_clip() {
        let set = digits(2, Bounce::Random);
        let all = set.read(9, &(0..FRAMES).collect::<Vec<_>>(), GREY).unwrap();
        let some = set.read(9, &[29, 3], GREY).unwrap();
        assert_eq!((some.frame(0), some.frame(1)), (all.frame(29), all.frame(3)));
    }

    /// SVG section 5.1 written out: what the official loop makes of a tape.
    fn official(images: &Images, tape: &mut Stream, mirror: bool) -> Vec<Vec<u8>> {
        let mut integer = |low: i64, high: i64| low + (tape.unit() * (high - low) as f64).floor() as i64;
        let mut frames = vec![vec![0.0_f32; 64 * 64]; FRAMES];
        for _ in 0..2 {
            let digit = pillow::bilinear(&images.image(integer(0, images.count() as i64) as usize), 28, 32);
            let (mut sx, mut sy) = (integer(0, 32), integer(0, 32));
            let (mut dx, mut dy) = (integer(-4, 5), integer(-4, 5));
            for frame in &mut frames {
                if sy < 0 {
                    sy = 0;
                    (dy, dx) = if mirror { (-dy, dx) } else { (integer(1, 5), integer(-4, 5)) };
                } else if sy >= 32 {
                    sy = 31;
                    (dy, dx) = if mirror { (-dy, dx) } else { (integer(-4, 0), integer(-4, 5)) };
                }
                if sx < 0 {
                    sx = 0;
                    (dx, dy) = if mirror { (-dx, dy) } else { (integer(1, 5), integer(-4, 5)) };
                } else if sx >= 32 {
                    sx = 31;
                    (dx, dy) = if mirror { (-dx, dy) } else { (integer(-4, 0), integer(-4, 5)) };
                }
                for (i, value) in digit.iter().enumerate() {
                    let at = (sy as usize + i / 32) * 64 + sx as usize + i % 32;
                    frame[at] += f32::from(*value) / 255.0;
                }
                (sy, sx) = (sy + dy, sx + dx);
            }
        }
        let byte = |v: &f32| (v.min(1.0) * 255.0).round() as u8;
        frames.iter().map(|frame| frame.iter().map(byte).collect()).collect()
    }

    #[test]
    fn clips_are_what_the_official_loop_makes_of_the_same_draws() {
        for bounce in [Bounce::Random, Bounce::Mirror] {
            let set = digits(2, bounce);
            let all: Vec<usize> = (0..FRAMES).collect();
            for clip in 0..40 {
                let expected = official(&set.images, &mut set.tape(clip), bounce == Bounce::Mirror);
                assert_eq!(set.read(clip, &all, GREY).unwrap().data, expected.concat(), "clip {clip}");
            }
        }
    }

    #[test]
    fn training_clips_never_repeat_and_begin_at_the_first_frame() {
        use vg_core::{BatchSource, BatchSpec, ClipSpec, Pixels};
        let clip = ClipSpec { frames: 15, height: SIDE, width: SIDE, channels: 1 };
        let spec = BatchSpec::clips(60, clip, Pixels::Unit);
        let mut loader = crate::source(digits(2, Bounce::Random), 3).with_prefetch(0);
        let mut epoch = |position| {
            let clips = Frames::from_tensor(&loader.batch(&spec, position).unwrap().clips, Pixels::Unit);
            clips.unwrap().into_iter().map(|c| c.data).collect::<std::collections::BTreeSet<_>>()
        };
        let (first, second) = (epoch(0), epoch(60));
        let set = digits(2, Bounce::Random);
        let whole = |from: usize| -> std::collections::BTreeSet<Vec<u8>> {
            let read = |clip| set.read(clip, &(0..15).collect::<Vec<_>>(), GREY).unwrap().data;
            (from..from + 60).map(read).collect()
        };
        assert_eq!((first.len(), second.len()), (60, 60));
        assert_eq!((first, second), (whole(0), whole(60)));
        let config = config(2, Bounce::Random);
        let test = Digits::new("digits", 4, Split::Test, Images::Glyphs(Glyphs::new(Split::Test)), config);
        assert!(test.unwrap().read(60, &[0], GREY).unwrap_err().to_string().contains("no clip 60"));
    }

    #[test]
    fn one_digit_has_its_class_and_two_have_none() {
        let one = digits(1, Bounce::Mirror);
        let seen: std::collections::BTreeSet<u32> = (0..60).map(|c| one.label(c, "class").unwrap()).collect();
        assert!(seen.len() > 5 && seen.iter().all(|digit| *digit < 10));
        assert_eq!(digits(2, Bounce::Random).label(0, "class"), None);
        assert_eq!(one.label(0, "kind"), None);
    }

    #[test]
    fn overlapping_digits_saturate() {
        let mut frame = vec![200; SIDE * SIDE];
        paste(&mut frame, &[100; DIGIT_SIDE * DIGIT_SIDE], (31, 31));
        assert_eq!((frame[31 * 64 + 31], frame[62 * 64 + 62], frame[63 * 64 + 63]), (255, 255, 200));
    }
}
