//! Configuration and presets.

use serde::{Deserialize, Serialize};
use vg_core::config::{ModelConfig, Preset, require};
use vg_core::ops::conv::Precision;
use vg_core::optim::EpsilonPlacement;
use vg_core::{ClipSpec, Result};

/// Frames of a clip: fixed by the four stride-2 layers of the temporal generator.
pub const FRAMES: usize = 16;

/// Everything about a TGAN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Size of the clips.
    pub clip: Clip,
    /// The generators.
    pub generator: Generator,
    /// The critic.
    pub critic: Critic,
    /// Classes of the conditional model; 0 for the unconditional one.
    pub classes: usize,
    /// Initial weights of the temporal generator and the critic; the image generator always starts uniform.
    pub init: WeightInit,
    /// Whether the batch norms of the temporal generator and the critic have a shift (beta); those of the image generator always do.
    pub use_beta: bool,
    /// Value at which running variances start: 1, or 0 as in Chainer 2 to 4.
    pub running_var_start: f64,
    /// Losses and updates.
    pub train: Train,
}

/// Size of the clips; always 16 frames.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// 1 (grey) or 3 (RGB).
    pub channels: usize,
    /// Side of the first feature map; frames are 16 times as high and wide (4: 64x64).
    pub bottom_width: usize,
}

/// Which generator makes the clips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GeneratorKind {
    /// The paper's: a temporal generator that makes one latent per frame, and an image generator.
    Temporal,
    /// The paper's baseline "3D model": one linear layer and four 3-D transposed convolutions (widths are ours: unpublished).
    Volume,
}

/// The generators.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generator {
    /// Which one.
    pub kind: GeneratorKind,
    /// Size of z0, the latent of a clip.
    pub z0_dim: usize,
    /// Size of z1, the latent of a frame.
    pub z1_dim: usize,
    /// Widths of the temporal generator's hidden layers.
    pub temporal_channels: [usize; 4],
    /// Channels of the first feature map; halved by each of four layers.
    pub image_channels: usize,
    /// Whether the image generator sees z0 besides z1; `false` is the paper's ablation "G1(z1)".
    pub z0_to_frames: bool,
}

/// The critic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Critic {
    /// Channels of the first layer; doubled by each of three more.
    pub channels: usize,
    /// Standard deviation of the Gaussian noise added to each pre-activation in training (0.3 in the vanilla GAN).
    pub noise_std: f64,
}

/// Initial weights; biases start at 0, batch norms at scale 1 and shift 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightInit {
    /// Chainer's default: normal with variance 1 / fan-in, where the fan-in is `shape[1] * kernel`
    /// (for transposed convolutions that is the *output* channel count).
    Default,
    /// Uniform in [-0.01, 0.01].
    Uniform,
}

/// The objective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Wasserstein GAN (the paper).
    Wgan,
    /// The original GAN, with inverted labels as in the official code.
    Vanilla,
    /// Least squares.
    Lsgan,
}

/// How the critic is kept Lipschitz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constraint {
    /// Singular value clipping and the rule for batch norm scales, every `svc_every` steps (the paper).
    Svc,
    /// Every parameter clamped to `[-clip, clip]` after every step.
    Clip,
    /// None.
    None,
}

/// Losses and updates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Clips per step.
    pub batch: usize,
    /// Learning rate of RMSProp.
    pub lr: f64,
    /// Decay of RMSProp's squared average.
    pub alpha: f64,
    /// RMSProp's epsilon.
    pub eps: f64,
    /// Where it is added: outside the root as in Chainer and PyTorch, or inside.
    pub eps_placement: EpsilonPlacement,
    /// The objective.
    pub loss: Loss,
    /// How the critic is kept Lipschitz.
    pub constraint: Constraint,
    /// Steps between two clippings of singular values.
    pub svc_every: u64,
    /// Added to the running variance in the bound of the batch norm scales: 2e-5 as in the paper, 0 as the code's text on later Chainers.
    pub gamma_eps: f64,
    /// Bound of weight clipping.
    pub clip: f64,
    /// Probability with which the frames of a batch are shuffled before the critic sees them (off in all published runs).
    pub shuffle_time: f64,
    /// Mirror clips left-right with probability one half (the official "Augmented" data classes).
    pub flip: bool,
    /// Of the products of all convolutions, in training and in sampling from its weights: `full`, or `bf16` where that is faster on this CPU.
    /// Weights, gradients and the optimizer stay f32.
    #[serde(default)]
    pub precision: Precision,
}

impl Config {
    /// Size of the clips: 16 frames, `16 * bottom_width` high and wide.
    pub fn clip_spec(&self) -> ClipSpec {
        let side = 16 * self.clip.bottom_width;
        ClipSpec { frames: FRAMES, height: side, width: side, channels: self.clip.channels }
    }
}

/// The README command for UCF-101 (`ucf101_wgan_svd_zdim-100_no-beta`).
fn paper() -> Config {
    Config {
        clip: Clip { channels: 3, bottom_width: 4 },
        generator: Generator {
            kind: GeneratorKind::Temporal,
            z0_dim: 100,
            z1_dim: 100,
            temporal_channels: [512, 256, 128, 128],
            image_channels: 512,
            z0_to_frames: true,
        },
        critic: Critic { channels: 64, noise_std: 0.0 },
        classes: 0,
        init: WeightInit::Default,
        use_beta: false,
        running_var_start: 1.0,
        train: Train {
            batch: 32,
            lr: 5e-5,
            alpha: 0.99,
            eps: 1e-8,
            eps_placement: EpsilonPlacement::Outside,
            loss: Loss::Wgan,
            constraint: Constraint::Svc,
            svc_every: 5,
            gamma_eps: 2e-5,
            clip: 0.01,
            shuffle_time: 0.0,
            flip: false,
            precision: Precision::Full,
        },
    }
}

fn uniform(mut config: Config) -> Config {
    config.init = WeightInit::Uniform;
    config
}

fn clipped(mut config: Config) -> Config {
    config.train.constraint = Constraint::Clip;
    config
}

fn moving_mnist() -> Config {
    let mut config = uniform(paper());
    config.clip.channels = 1;
    config
}

fn vanilla() -> Config {
    let mut config = paper();
    config.train.loss = Loss::Vanilla;
    config.train.constraint = Constraint::None;
    config.critic.noise_std = 0.3;
    config
}

fn conditional() -> Config {
    Config { classes: 101, ..paper() }
}

fn frames_only() -> Config {
    let mut config = paper();
    config.generator.z0_to_frames = false;
    config
}

fn volume() -> Config {
    let mut config = paper();
    config.generator.kind = GeneratorKind::Volume;
    config
}

fn small() -> Config {
    let mut config = paper();
    config.generator.image_channels = 256;
    config.critic.channels = 32;
    config.train.batch = 8;
    config
}

/// 32x32, narrow, and the ablation that shows something soonest: the vanilla GAN has black backgrounds and moving spots after a few
/// hundred steps, where the WGAN, which trains better in the end, is still grey.
fn demo() -> Config {
    let mut config = vanilla();
    config.clip.bottom_width = 2;
    config.generator.image_channels = 128;
    config.generator.temporal_channels = [256, 128, 64, 64];
    config.critic.channels = 24;
    config.train.batch = 16;
    config.train.lr = 3e-4;
    config
}

fn tiny() -> Config {
    let mut config = paper();
    config.clip.bottom_width = 1;
    config.generator = Generator {
        z0_dim: 6,
        z1_dim: 5,
        temporal_channels: [8, 6, 5, 4],
        image_channels: 32,
        ..config.generator
    };
    config.critic.channels = 3;
    config.train.batch = 4;
    config
}

impl ModelConfig for Config {
    const PRESETS: &'static [Preset<Self>] = &[
        Preset {
            name: "paper",
            source: "the official README's UCF-101 command: WGAN + SVC, 64x64 RGB",
            build: paper,
        },
        Preset { name: "ucf101", source: "the same under its data set's name", build: paper },
        Preset {
            name: "ucf101-uniform",
            source: "official config `...no-beta-all_init-uniform-all`",
            build: || uniform(paper()),
        },
        Preset {
            name: "ucf101-clip",
            source: "official ablation: weight clipping at 0.01",
            build: || clipped(paper()),
        },
        Preset {
            name: "ucf101-vanilla",
            source: "official ablation: vanilla GAN with critic noise 0.3",
            build: vanilla,
        },
        Preset {
            name: "ucf101-conditional",
            source: "paper's conditional TGAN, 101 classes; wiring is ours",
            build: conditional,
        },
        Preset {
            name: "ucf101-frames-only",
            source: "paper's ablation G1(z1); wiring is ours",
            build: frames_only,
        },
        Preset {
            name: "ucf101-volume",
            source: "paper's baseline \"3D model\"; widths are ours",
            build: volume,
        },
        Preset {
            name: "moving-mnist",
            source: "the official README's Moving MNIST command, grey, uniform init",
            build: moving_mnist,
        },
        Preset {
            name: "moving-mnist-clip",
            source: "the same with weight clipping",
            build: || clipped(moving_mnist()),
        },
        Preset { name: "golf", source: "official Golf config: uniform init", build: || uniform(paper()) },
        Preset {
            name: "paper-mnist",
            source: "the same as moving-mnist, under the benchmark's name",
            build: moving_mnist,
        },
        Preset { name: "small", source: "ours: half the width, batch 8; for CPUs", build: small },
        Preset {
            name: "demo",
            source: "ours: 32x32, vanilla GAN, a fifth of a second a step on two cores; to try things out",
            build: demo,
        },
        Preset { name: "tiny", source: "ours: 16x16, milliseconds a step; for tests", build: tiny },
    ];

    fn validate(&self) -> Result<()> {
        let at_least_1 = [
            ("clip.bottom_width", self.clip.bottom_width),
            ("generator.z0_dim", self.generator.z0_dim),
            ("generator.z1_dim", self.generator.z1_dim),
            (
                "generator.temporal_channels",
                self.generator.temporal_channels.iter().copied().min().unwrap_or(0),
            ),
            ("critic.channels", self.critic.channels),
            ("train.batch", self.train.batch),
            ("train.svc_every", self.train.svc_every as usize),
        ];
        for (key, value) in at_least_1 {
            require(value >= 1, key, "at least 1", value)?;
        }
        let g = &self.generator;
        require(matches!(self.clip.channels, 1 | 3), "clip.channels", "1 or 3", self.clip.channels)?;
        let halves = g.image_channels >= 16 && g.image_channels.is_multiple_of(16);
        require(halves, "generator.image_channels", "a multiple of 16", g.image_channels)?;
        let t = &self.train;
        for (key, value) in [("train.lr", t.lr), ("train.eps", t.eps), ("train.clip", t.clip)] {
            require(value.is_finite() && value > 0.0, key, "greater than 0", value)?;
        }
        let not_negative = [
            ("train.gamma_eps", t.gamma_eps),
            ("critic.noise_std", self.critic.noise_std),
            ("running_var_start", self.running_var_start),
        ];
        for (key, value) in not_negative {
            require(value.is_finite() && value >= 0.0, key, "0 or greater", value)?;
        }
        require((0.0..1.0).contains(&t.alpha), "train.alpha", "from 0 to below 1", t.alpha)?;
        require((0.0..=1.0).contains(&t.shuffle_time), "train.shuffle_time", "from 0 to 1", t.shuffle_time)
    }
}
