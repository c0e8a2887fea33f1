//! Clips on their way into measurements: frames chosen, sizes checked, counted.

use vg_core::rng::Rng;

use crate::error::{Error, Result};
use crate::pixels::Clip;
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

pub(super) struct Intake<'a> {
    /// All take the same frames of the same clips.
    protocols: &'a [&'static Protocol],
    rng: Rng,
    /// The first clip, as measured.
    first: Option<Clip>,
    counts: [usize; 2],
}

impl<'a> Intake<'a> {
    pub(super) fn new(protocols: &'a [&'static Protocol], seed: u64) -> Self {
        Self { protocols, rng: Rng::new(seed), first: None, counts: [0; 2] }
    }

    /// Number of clips taken.
    pub(super) fn count(&self, side: Side) -> usize {
        self.counts[side as usize]
    }

    /// Frames, height, width.
    pub(super) fn clip(&self) -> [usize; 3] {
        self.first.as_ref().map_or([0; 3], |clip| {
            let [t, h, w, _] = clip.frames().dims();
            [t, h, w]
        })
    }

    /// The chosen frames of the next clip.
    pub(super) fn take(&mut self, side: Side, clip: Clip) -> Result<Clip> {
        let index = self.counts[side as usize];
        let clip = self.choose(index, clip)?;
        match &self.first {
            None => self.first = Some(clip.clone()),
            Some(first) => first.frames().expect_same(&clip.frames())?,
        }
        self.counts[side as usize] += 1;
        Ok(clip)
    }

    fn choose(&self, index: usize, clip: Clip) -> Result<Clip> {
        let length = clip.frames().len();
        for protocol in self.protocols {
            let what = format!("{}: frames of clip {}", protocol.name, clip.frames().name());
            Error::at_least(what, length, protocol.min_frames())?;
        }
        let place = |places| self.rng.child("clip", index as u64).stream("frames").below(places);
        match self.protocols.first().map(|p| p.frames) {
            None | Some(FrameRule::All) => Ok(clip),
            Some(FrameRule::One) => clip.window(place(length), 1, 1),
            Some(FrameRule::Window { count, stride }) => {
                clip.window(place(length - (count - 1) * stride), stride, count)
            }
        }
    }

    /// Clips of a side that are looked at.
    pub(super) fn most(&self) -> usize {
        self.protocols.first().and_then(|p| p.clips_taken()).unwrap_or(usize::MAX)
    }

    /// Goes on as after `clips` clips of a side with these dimensions.
    pub(super) fn resume(&mut self, side: Side, clips: usize, dims: [usize; 4]) -> Result<()> {
        let blank = vec![0; dims.iter().product()];
        self.first = Some(Clip::new(format!("a clip of {}", side.what()), blank, dims)?);
        self.counts[side as usize] = clips;
        Ok(())
    }

    /// Frames, height, width, channels of the clips, as measured.
    pub(super) fn dims(&self) -> Option<[usize; 4]> {
        self.first.as_ref().map(|clip| clip.frames().dims())
    }

    /// Checks that a side had enough clips; their lengths were checked one by one.
    pub(super) fn check(&self, side: Side) -> Result<()> {
        self.protocols.iter().try_for_each(|p| p.check_set(side.name(), self.count(side), usize::MAX))
    }
}
