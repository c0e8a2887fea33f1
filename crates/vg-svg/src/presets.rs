//! Named configurations, each with where its numbers come from.

use vg_core::config::Preset;
use vg_core::ops::conv::Precision;

use crate::config::{
    Backbone, BackboneKind, Clip, Config, Recurrent, Sample, SampleNorm, SkipSource, Train, Variant,
};

/// All presets, the paper's first.
pub(crate) const PRESETS: &[Preset<Config>] = &[
    Preset {
        name: "paper",
        source: "the paper's SVG-LP on stochastic moving MNIST: 64x64 grey, DCGAN, z 10, beta 1e-4, 5 given frames and 10 more; skips from the last given frame",
        build: paper,
    },
    Preset {
        name: "paper-fixed-prior",
        source: "the same as SVG-FP",
        build: || Config { variant: Variant::FixedPrior, ..paper() },
    },
    Preset {
        name: "paper-deterministic",
        source: "the paper's deterministic baseline of the same sizes",
        build: || Config { variant: Variant::Deterministic, ..paper() },
    },
    Preset {
        name: "paper-kth",
        source: "the paper's SVG-LP on KTH: 128x128 grey, VGG, z 32, beta 1e-6, 10 given frames and 10 more",
        build: kth,
    },
    Preset {
        name: "paper-bair",
        source: "the paper's SVG-LP on BAIR robot pushing: 64x64 RGB, VGG, z 64, beta 1e-4, 2 given frames and 10 more",
        build: bair,
    },
    Preset {
        name: "official",
        source: "official command for moving MNIST: as paper, but skips from the given frame before the last, batch statistics when sampling",
        build: || official(paper(), SampleNorm::Batch),
    },
    Preset {
        name: "official-kth",
        source: "official command for KTH: SVG-FP, 64x64, z 24, learning rate 8e-4, skips as official, running statistics when sampling",
        build: official_kth,
    },
    Preset {
        name: "official-bair",
        source: "official command for BAIR: as paper-bair, with skips and sampling as official",
        build: || official(bair(), SampleNorm::Batch),
    },
    Preset {
        name: "small",
        source: "ours: half the width, 5 more frames instead of 10, batch 16; for CPUs",
        build: small,
    },
    Preset {
        name: "demo",
        source: "ours: 32x32 RGB, narrow, 4 given frames and 8 more, batch 16; a first look on shapes",
        build: demo,
    },
    Preset { name: "tiny", source: "ours: narrow, milliseconds a step; for tests", build: tiny },
];

fn paper() -> Config {
    Config {
        variant: Variant::LearnedPrior,
        clip: Clip { side: 64, channels: 1, past: 5, future: 10 },
        backbone: Backbone {
            kind: BackboneKind::Dcgan,
            width: 64,
            features: 128,
            skip_source: SkipSource::LastContext,
            slope: 0.2,
            norm_eps: 1e-5,
            norm_momentum: 0.1,
            init_std: 0.02,
        },
        recurrent: Recurrent {
            hidden: 256,
            latent: 10,
            predictor_layers: 2,
            posterior_layers: 1,
            prior_layers: 1,
        },
        train: Train {
            batch: 100,
            frame_stride: 1,
            beta: 1e-4,
            lr: 2e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            flip: false,
            micro_batch: 0,
            recompute: false,
            precision: Precision::Full,
        },
        sample: Sample { frames: 30, norm: SampleNorm::Running },
    }
}

fn kth() -> Config {
    let mut config = paper();
    config.clip = Clip { side: 128, channels: 1, past: 10, future: 10 };
    config.backbone.kind = BackboneKind::Vgg;
    config.recurrent.latent = 32;
    config.train.beta = 1e-6;
    config
}

fn bair() -> Config {
    let mut config = paper();
    config.clip = Clip { side: 64, channels: 3, past: 2, future: 10 };
    config.backbone.kind = BackboneKind::Vgg;
    config.recurrent.latent = 64;
    config
}

/// As the official code runs a configuration.
fn official(mut config: Config, norm: SampleNorm) -> Config {
    config.backbone.skip_source = SkipSource::Official;
    config.sample.norm = norm;
    config
}

fn official_kth() -> Config {
    let mut config = official(kth(), SampleNorm::Running);
    config.variant = Variant::FixedPrior;
    config.clip.side = 64;
    config.recurrent.latent = 24;
    config.train.lr = 8e-4;
    config
}

fn small() -> Config {
    let mut config = paper();
    config.clip.future = 5;
    config.backbone.width = 32;
    config.train.batch = 16;
    config.sample.frames = 15;
    config
}

fn demo() -> Config {
    let mut config = small();
    config.clip = Clip { side: 32, channels: 3, past: 4, future: 8 };
    config.backbone.width = 16;
    config.backbone.features = 64;
    config.recurrent.hidden = 128;
    config.sample.frames = 16;
    config
}

fn tiny() -> Config {
    let mut config = paper();
    config.clip = Clip { side: 64, channels: 1, past: 2, future: 2 };
    config.backbone.width = 4;
    config.backbone.features = 6;
    config.recurrent.hidden = 8;
    config.recurrent.latent = 3;
    config.train.batch = 3;
    config.sample.frames = 5;
    config
}
