//! What a metric's name stands for.

use serde::Serialize;

use crate::acd::Colour;
use crate::error::{Error, Result};
use crate::framing::Framing;
use crate::gaussian::Divisor;
use crate::inception_score::InceptionScore;
use crate::kernel::Estimator;
use crate::network::{c3d, i3d};
use crate::similarity::{Psnr, Ssim};
use crate::weights::Network;

/// Everything that a metric's name fixes. Values measured under different protocols do not compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Protocol {
    /// The name, as given on a command line and written into results.
    pub name: &'static str,
    /// The name in words.
    pub title: &'static str,
    /// What is computed.
    pub measure: Measure,
    /// The network whose outputs it is computed from, if there is one.
    pub network: Option<Extractor>,
    /// How frames are brought to the network's size.
    pub resize: Framing,
    /// What is measured.
    pub input: Input,
    /// How many clips are taken.
    pub clips: Clips,
    /// Which frames of a clip are taken.
    pub frames: FrameRule,
    /// The good direction.
    pub better: Better,
    /// Where the protocol comes from.
    pub source: &'static str,
}

/// The computation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// [Fréchet distance](crate::frechet::distance) of Gaussians.
    Frechet(Divisor),
    /// [Kernel distance](crate::kernel::discrepancy) of the whole sets.
    Kernel(Estimator),
    /// Mean [kernel distance](crate::kernel::over_subsets) of random subsets.
    KernelSubsets {
        /// Number of subsets.
        count: usize,
        /// Vectors in a subset.
        size: usize,
    },
    /// [Inception Score](crate::inception_score), mean over runs with sets of their own.
    InceptionScore {
        /// Guard, splits, shuffle.
        rule: InceptionScore,
        /// Runs of the number of clips in the protocol.
        runs: usize,
    },
    /// [PSNR](Psnr) of frames with pixels in [0, 1], averaged over frames.
    Psnr(Psnr),
    /// [SSIM](Ssim) of frames with pixels in [0, 1], averaged over frames.
    Ssim(Ssim),
    /// [MS-SSIM between clips](crate::sanity::pairwise_ms_ssim).
    MsSsim,
    /// A network's distance between frames, averaged over frames.
    Perceptual,
    /// [Average content distance](crate::acd) of colours.
    AcdColour(Colour),
    /// Average content distance of a network's embeddings.
    AcdEmbedding,
    /// [Sliced Wasserstein distance](crate::sliced_wasserstein), mean over levels.
    SlicedWasserstein,
    /// [Precision](crate::precision_recall) with so many neighbours.
    Precision(usize),
    /// Recall with so many neighbours.
    Recall(usize),
    /// [Share of frozen frames](crate::sanity::frozen_ratio).
    Frozen,
    /// [Motion energy](crate::sanity::motion_energy).
    Motion,
    /// [Mean distance between clips](crate::sanity::diversity).
    Diversity,
}

/// A network and its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extractor {
    /// I3D of the TF-Hub module deepmind/i3d-kinetics-400/1: 400 logits, averaged over time.
    I3d,
    /// The same weights with BatchNorm's epsilon at 1e-5, as VideoGPT and TATS have it.
    I3dEpsilon1e5,
    /// C3D fine-tuned on UCF-101: 101 probabilities.
    C3dUcf101,
    /// Inception-v3 of 2015-12-05: 2048 pooled features.
    InceptionPool,
    /// The same: probabilities of 1008 classes, from logits without bias.
    InceptionSoftmax,
    /// LPIPS v0.1 on AlexNet.
    LpipsAlex,
    /// LPIPS v0.1 on VGG16.
    LpipsVgg,
    /// Shift-tolerant LPIPS on VGG16.
    StLpipsVgg,
    /// Face embedding of face-api: 128 numbers.
    FaceEmbedding,
    /// This project's small network for procedural clips: its features.
    VgFeatures,
    /// The same: class probabilities.
    VgSoftmax,
}

impl Extractor {
    /// The weights that it is made of, by the names that `download` takes; none for this project's own network, which is not downloaded.
    pub const fn weights(self) -> Option<&'static [Network]> {
        Some(match self {
            Self::I3d | Self::I3dEpsilon1e5 => &[Network::I3d],
            Self::C3dUcf101 => &[Network::C3d],
            Self::InceptionPool | Self::InceptionSoftmax => &[Network::InceptionV3],
            Self::LpipsAlex => &[Network::AlexNet, Network::LpipsHeads],
            Self::LpipsVgg => &[Network::Vgg16, Network::LpipsHeads],
            Self::StLpipsVgg => &[Network::StLpips],
            Self::FaceEmbedding => &[Network::Face],
            Self::VgFeatures | Self::VgSoftmax => return None,
        })
    }

    /// Fewest frames that a clip must have.
    pub const fn min_frames(self) -> usize {
        match self {
            Self::I3d | Self::I3dEpsilon1e5 => i3d::MIN_FRAMES,
            Self::C3dUcf101 => c3d::FRAMES,
            _ => 1,
        }
    }
}

/// What a metric looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Real and generated clips, without an order.
    TwoSets,
    /// Generated clips alone.
    OneSet,
    /// True and predicted frames, one to one.
    Pairs,
}

/// How many clips a metric takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clips {
    /// All that are given.
    All,
    /// The first so many on each side (and in each run); fewer are an error.
    First(usize),
}

/// Which frames of a clip a metric takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameRule {
    /// All of them.
    All,
    /// One at random.
    One,
    /// A window at a random place, every `stride`-th frame of it.
    Window {
        /// Frames taken.
        count: usize,
        /// Distance between them.
        stride: usize,
    },
}

/// The good direction of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Higher values are better.
    Higher,
    /// Lower values are better.
    Lower,
    /// Neither: good clips have the value of real ones.
    AsReal,
}

impl Protocol {
    /// The covariance's divisor, for Fréchet distances.
    pub fn divisor(&self) -> Option<Divisor> {
        match self.measure {
            Measure::Frechet(divisor) => Some(divisor),
            _ => None,
        }
    }

    /// Distance between the frames taken.
    pub fn stride(&self) -> usize {
        match self.frames {
            FrameRule::Window { stride, .. } => stride,
            FrameRule::All | FrameRule::One => 1,
        }
    }

    /// Fewest frames that a clip must have.
    pub fn min_frames(&self) -> usize {
        let of_network = self.network.map_or(1, Extractor::min_frames);
        let of_measure = match self.measure {
            Measure::AcdColour(_) | Measure::AcdEmbedding | Measure::Frozen | Measure::Motion => 2,
            _ => 1,
        };
        match self.frames {
            FrameRule::Window { count, stride } => (count - 1) * stride + 1,
            FrameRule::All => of_network.max(of_measure),
            FrameRule::One => 1,
        }
    }

    /// Whether the value depends on the number of clips (sets), or is a mean over clips.
    pub fn depends_on_count(&self) -> bool {
        !matches!(
            self.measure,
            Measure::Psnr(_)
                | Measure::Ssim(_)
                | Measure::Perceptual
                | Measure::AcdColour(_)
                | Measure::AcdEmbedding
                | Measure::Frozen
                | Measure::Motion
                | Measure::MsSsim
                | Measure::Diversity
        )
    }

    /// Most clips of a side that are looked at, all runs together; none: all that are given.
    pub fn clips_taken(&self) -> Option<usize> {
        match (self.clips, self.measure) {
            (Clips::All, _) => None,
            (Clips::First(n), Measure::InceptionScore { runs, .. }) => Some(n.saturating_mul(runs)),
            (Clips::First(n), _) => Some(n),
        }
    }

    /// Fewest clips that a side must have, all runs together.
    pub fn clips_needed(&self) -> usize {
        let least = match self.measure {
            Measure::Frechet(_) | Measure::Kernel(_) | Measure::MsSsim | Measure::Diversity => 2,
            Measure::KernelSubsets { size, .. } => size,
            Measure::InceptionScore { rule, runs } => rule.splits.max(rule.batch).saturating_mul(runs),
            Measure::Precision(k) | Measure::Recall(k) => k + 1,
            _ => 1,
        };
        self.clips_taken().unwrap_or(least)
    }

    /// Whether both sides must have equally many clips.
    pub fn needs_equal_counts(&self) -> bool {
        self.input == Input::Pairs || self.measure == Measure::SlicedWasserstein
    }

    /// Checks numbers of clips that are known before anything is looked at: `real` for metrics that compare, and `fake`.
    ///
    /// # Errors
    /// [`Error::TooFew`] with the name of the smaller side.
    pub fn check_counts(&self, real: Option<usize>, fake: usize) -> Result<()> {
        if let Some(real) = real {
            self.check_set("real", real, usize::MAX)?;
        }
        self.check_set("fake", fake, usize::MAX)?;
        match real {
            Some(real) if self.needs_equal_counts() && real != fake => {
                let [less, more] = if fake < real { ["fake", "real"] } else { ["real", "fake"] };
                let what = format!("{}: clips of the {less} set for those of the {more} set", self.name);
                Error::at_least(what, real.min(fake), real.max(fake))
            }
            _ => Ok(()),
        }
    }

    /// Checks that a set is large enough and its clips long enough. `what` names the set in errors.
    ///
    /// # Errors
    /// [`Error::TooFew`].
    pub fn check_set(&self, what: &str, clips: usize, frames: usize) -> Result<()> {
        Error::at_least(format!("{}: clips of the {what} set", self.name), clips, self.clips_needed())?;
        let what = format!("{}: frames in clips of the {what} set", self.name);
        Error::at_least(what, frames, self.min_frames())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::PROTOCOLS;

    #[test]
    fn every_network_but_our_own_can_be_downloaded() {
        for extractor in PROTOCOLS.iter().filter_map(|p| p.network) {
            let own = matches!(extractor, Extractor::VgFeatures | Extractor::VgSoftmax);
            assert_eq!(extractor.weights().is_none(), own, "{extractor:?}");
        }
        assert_eq!(Extractor::I3dEpsilon1e5.weights(), Some(&[Network::I3d][..]));
    }
}
