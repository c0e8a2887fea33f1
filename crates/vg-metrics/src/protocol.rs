//! What a metric's name stands for.

use std::fmt;

use serde::Serialize;

use crate::acd::Colour;
use crate::error::{Error, Result};
use crate::gaussian::Divisor;
use crate::inception_score::InceptionScore;
use crate::kernel::Estimator;
use crate::similarity::{Psnr, Ssim};

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
    pub network: Option<Network>,
    /// How frames are brought to the network's size.
    pub resize: Resize,
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
pub enum Network {
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

impl Network {
    /// Name of the weights, as `download` takes it.
    pub const fn weights(self) -> &'static str {
        match self {
            Self::I3d | Self::I3dEpsilon1e5 => "i3d",
            Self::C3dUcf101 => "c3d-ucf101",
            Self::InceptionPool | Self::InceptionSoftmax => "inception-fid",
            Self::LpipsAlex => "lpips-alex",
            Self::LpipsVgg => "lpips-vgg",
            Self::StLpipsVgg => "st-lpips",
            Self::FaceEmbedding => "face-api",
            Self::VgFeatures | Self::VgSoftmax => "vg",
        }
    }

    /// Fewest frames that a clip must have.
    pub const fn min_frames(self) -> usize {
        match self {
            // Three steps of stride 2 must leave two time slices.
            Self::I3d | Self::I3dEpsilon1e5 => 9,
            Self::C3dUcf101 => 16,
            _ => 1,
        }
    }
}

/// How frames are brought to a network's size; none of the rules removes frequencies first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resize {
    /// Frames as they are.
    None,
    /// Bilinear with TF-1's source coordinates, i n / o, to a square of this side.
    Tf1(usize),
    /// Bilinear between half-pixel centres to a square of this side.
    HalfPixel(usize),
    /// Half-pixel bilinear until the shorter side has this length, then the centre square.
    ShortSideHalfPixel(usize),
    /// TGAN's input of C3D: bicubic to 128 x 128, BGR, minus columns 21 to 148 of the mean, rows and columns 8 to 119.
    C3dTgan,
    /// TGANv2's input of C3D: BGR, bilinear with aligned corners to 112 x 112, minus rows and columns 8 to 119 of the mean.
    C3dTganV2,
}

impl fmt::Display for Resize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => write!(f, "none"),
            Self::Tf1(side) => write!(f, "tf1-{side}"),
            Self::HalfPixel(side) => write!(f, "half-pixel-{side}"),
            Self::ShortSideHalfPixel(side) => write!(f, "short-side-half-pixel-{side}"),
            Self::C3dTgan => write!(f, "c3d-tgan"),
            Self::C3dTganV2 => write!(f, "c3d-tganv2"),
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
        let of_network = self.network.map_or(1, Network::min_frames);
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

    /// Checks that a set is large enough and its clips long enough. `what` names the set in errors.
    ///
    /// # Errors
    /// [`Error::TooFew`].
    pub fn check_set(&self, what: &str, clips: usize, frames: usize) -> Result<()> {
        let least = match self.measure {
            Measure::Frechet(_) | Measure::Kernel(_) | Measure::MsSsim | Measure::Diversity => 2,
            Measure::KernelSubsets { size, .. } => size,
            Measure::InceptionScore { rule, .. } => rule.splits.max(rule.batch),
            Measure::Precision(k) | Measure::Recall(k) => k + 1,
            _ => 1,
        };
        let needed = match self.clips {
            Clips::All => least,
            Clips::First(n) => n,
        };
        Error::at_least(format!("{}: clips of the {what} set", self.name), clips, needed)?;
        let what = format!("{}: frames in clips of the {what} set", self.name);
        Error::at_least(what, frames, self.min_frames())
    }
}
