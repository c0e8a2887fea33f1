//! Clips on their way into a measurement: frames chosen, sizes checked, counted.

use vg_core::rng::Rng;

use crate::error::{Error, Result};
use crate::pixels::{Clip, Frames};
use crate::protocol::{FrameRule, Protocol};

/// Which set a clip belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Real,
    Fake,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Fake => "fake",
        }
    }

    /// The set's name in errors.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Real => "the real set",
            Self::Fake => "the fake set",
        }
    }
}

pub(super) struct Intake {
    protocol: &'static Protocol,
    rng: Rng,
    /// Name and size of the first clip, as measured.
    first: Option<(String, [usize; 4])>,
    counts: [usize; 2],
}

impl Intake {
    pub(super) fn new(protocol: &'static Protocol, seed: u64) -> Self {
        Self { protocol, rng: Rng::new(seed), first: None, counts: [0; 2] }
    }

    /// Number of clips taken.
    pub(super) fn count(&self, side: Side) -> usize {
        self.counts[side as usize]
    }

    /// Frames, height, width.
    pub(super) fn clip(&self) -> [usize; 3] {
        self.first.as_ref().map_or([0; 3], |(_, [t, h, w, _])| [*t, *h, *w])
    }

    /// The chosen frames of the next clip.
    pub(super) fn take(&mut self, side: Side, clip: Clip) -> Result<Clip> {
        let index = self.counts[side as usize];
        let clip = self.choose(index, clip)?;
        let frames = clip.frames();
        match &self.first {
            None => self.first = Some((frames.name().to_owned(), frames.dims())),
            Some((_, dims)) if *dims == frames.dims() => {}
            Some((name, [t, h, w, c])) => {
                let expected = format!("{t} x {h} x {w} x {c} [T, H, W, C] as clip {name}");
                return Err(Error::shape(format!("clip {}", frames.name()), expected, &frames.dims()));
            }
        }
        self.counts[side as usize] += 1;
        Ok(clip)
    }

    fn choose(&self, index: usize, clip: Clip) -> Result<Clip> {
        let length = clip.frames().len();
        let what = || format!("{}: frames of clip {}", self.protocol.name, clip.frames().name());
        Error::at_least(what(), length, self.protocol.min_frames())?;
        let place = |places| self.rng.child("clip", index as u64).stream("frames").below(places);
        match self.protocol.frames {
            FrameRule::All => Ok(clip),
            FrameRule::One => clip.window(place(length), 1, 1),
            FrameRule::Window { count, stride } => {
                clip.window(place(length - (count - 1) * stride), stride, count)
            }
        }
    }

    /// Shows the clips of a side, and checks that there were enough. No more are asked for than the protocol takes.
    pub(super) fn each(
        &mut self,
        side: Side,
        clips: impl IntoIterator<Item = Result<Clip>>,
        mut see: impl FnMut(&Frames<'_>) -> Result<()>,
    ) -> Result<()> {
        self.each_owned(side, clips, |clip| see(&clip.frames()))
    }

    /// [`each`](Self::each) for what keeps the clips.
    pub(super) fn each_owned(
        &mut self,
        side: Side,
        clips: impl IntoIterator<Item = Result<Clip>>,
        mut see: impl FnMut(Clip) -> Result<()>,
    ) -> Result<()> {
        for clip in clips.into_iter().take(self.most()) {
            see(self.take(side, clip?)?)?;
        }
        self.check_side(side)
    }

    /// Checks that pairs were there.
    pub(super) fn check(&self) -> Result<()> {
        self.check_side(Side::Real)?;
        self.check_side(Side::Fake)
    }

    fn most(&self) -> usize {
        self.protocol.clips_taken().unwrap_or(usize::MAX)
    }

    fn check_side(&self, side: Side) -> Result<()> {
        // Lengths were checked clip by clip.
        self.protocol.check_set(side.name(), self.count(side), usize::MAX)
    }
}
