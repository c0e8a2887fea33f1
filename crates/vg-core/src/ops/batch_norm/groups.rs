//! Which elements of a tensor share what.

use std::ops::Range;

use super::super::reduce::View;

/// What shares a scale and a shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Scope {
    /// A channel: what shares its statistics.
    Channel,
    /// A channel of one image.
    Row,
    /// One of so many equal parts of each channel of an image; all channels and images have the same scales and shifts.
    Part(usize),
}

/// A contiguous tensor whose elements share statistics by the channels of a view, and scales and shifts within it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Groups {
    pub stats: View,
    pub scope: Scope,
}

impl Groups {
    /// The same tensor as a view whose channels share a scale and a shift.
    pub(super) fn affine(self) -> View {
        let View { batch, channels, inner } = self.stats;
        match self.scope {
            Scope::Channel => self.stats,
            Scope::Row => View { batch: 1, channels: batch * channels, inner },
            Scope::Part(parts) => View { batch: batch * channels, channels: parts, inner: inner / parts },
        }
    }

    /// Segments of a channel of an image; a segment is what shares all that is known.
    pub(super) fn parts(self) -> usize {
        match self.scope {
            Scope::Part(parts) => parts,
            _ => 1,
        }
    }

    /// Elements of a segment.
    pub(super) fn segment(self) -> usize {
        self.affine().inner
    }

    /// Whether every element of a row has a scale and a shift of its own.
    pub(super) fn by_element(self) -> bool {
        matches!(self.scope, Scope::Part(parts) if parts == self.stats.inner)
    }

    /// The segments of a block of channels in one image in the order of memory: the place of the channel in the block, and the
    /// place of scale and shift among all of them.
    #[inline(always)]
    pub(super) fn segments(self, image: usize, block: &Range<usize>) -> impl Iterator<Item = (usize, usize)> {
        let (parts, first) = (self.parts(), block.start);
        (0..block.len() * parts).map(
            #[inline(always)]
            move |segment| {
                let channel = segment / parts;
                let affine = match self.scope {
                    Scope::Channel => first + channel,
                    Scope::Row => image * self.stats.channels + first + channel,
                    Scope::Part(_) => segment % parts,
                };
                (channel, affine)
            },
        )
    }
}
