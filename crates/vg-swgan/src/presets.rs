//! Named configurations, each with where its numbers come from.

use vg_core::config::Preset;

use crate::config::{
    Autoencoder, Clip, Config, FeaturePenalty, Growth, Image, Networks, Penalties, Train, Variant,
};
use crate::sizes::LEVELS;

/// All presets, the paper's first.
pub(crate) const PRESETS: &[Preset<Config>] = &[
    Preset {
        name: "paper",
        source: "PG-SWGAN-3D, official config for TrailerFaces: 32 frames of 256x256, 600,000 clips a phase, 12 million in all",
        build: paper,
    },
    Preset { name: "trailerfaces", source: "the same under its data set's name", build: paper },
    Preset {
        name: "ucf101",
        source: "official config lines for UCF-101: 32 frames of 128x128; pooling by the table that can be built",
        build: || side(paper(), 128),
    },
    Preset { name: "golf", source: "the same for Golf", build: || side(paper(), 128) },
    Preset {
        name: "emoji",
        source: "ours: 16 frames of 64x64, the paper's networks at half their width; phases for an hour on one CPU core",
        build: emoji,
    },
    Preset {
        name: "image-64",
        source: "SWGAN, official swgan_64x64.py (CelebA, LSUN): 64x64 images, four dual blocks, 100,000 steps",
        build: || image(64),
    },
    Preset {
        name: "image-32",
        source: "SWGAN, the same with its one size set to 32 (CIFAR-10, SVHN)",
        build: || image(32),
    },
    Preset {
        name: "swae",
        source: "SWAE, official swae_64x64.py: 64x64 images, three primal blocks, 200,000 steps",
        build: swae,
    },
    Preset { name: "swae-paper", source: "the same under the benchmark's name", build: swae },
    Preset {
        name: "swae-digits",
        source: "ours: the same networks for grey frames of digits",
        build: swae_digits,
    },
    Preset {
        name: "paper-64",
        source: "the paper's networks at their 64x64 stage, for benchmarks",
        build: || stage(2),
    },
    Preset {
        name: "stage-4",
        source: "the paper's networks at their 4x4 stage, for benchmarks",
        build: || stage(6),
    },
    Preset { name: "stage-8", source: "the same at 8x8", build: || stage(5) },
    Preset { name: "stage-16", source: "the same at 16x16", build: || stage(4) },
    Preset { name: "stage-32", source: "the same at 32x32", build: || stage(3) },
    Preset {
        name: "small",
        source: "ours: 16 frames of 32x32 without growth, batch 4; for benchmarks",
        build: small,
    },
    Preset {
        name: "demo",
        source: "ours: 8 frames of 16x16, grown in minutes on a CPU core; to try things out",
        build: demo,
    },
    Preset {
        name: "tiny",
        source: "ours: 8 frames of 8x8 in the middle of a fade, milliseconds a step; for tests",
        build: tiny,
    },
    Preset { name: "image-tiny", source: "ours: SWGAN for 16x16 images; for tests", build: image_tiny },
    Preset { name: "swae-tiny", source: "ours: SWAE for 16x16 images; for tests", build: swae_tiny },
];

/// The official configuration of the video model.
fn paper() -> Config {
    Config {
        variant: Variant::Video,
        clip: Clip { side: 256, channels: 3 },
        networks: Networks {
            base_channels: 1024,
            max_channels: 128,
            latent: 128,
            features: 128,
            dual_blocks: 1,
            stddev_group: 4,
            up_taps: 9,
            strict_reference: false,
        },
        image: Image { width: 64 },
        autoencoder: Autoencoder { code: 128, width: 32, blocks: 3, bins: 32, shifted: false },
        growth: Growth {
            start_lod: 6.0,
            stable_clips: [600_000; LEVELS],
            fade_clips: [600_000; LEVELS],
            batch: [32, 32, 16, 16, 8, 8, 4],
            lr: [1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1.5e-3, 1e-3],
            refresh_steps: 4,
        },
        penalties: Penalties { gradient: 50.0, feature: 10.0, target: 0.01, form: FeaturePenalty::Reference },
        train: Train {
            batch: 64,
            lr: 3e-4,
            beta1: 0.0,
            beta2: 0.99,
            eps: 1e-8,
            critic_steps: 1,
            average: 0.999,
            flip: true,
        },
    }
}

/// The same for clips of another size, grown from 4x4.
fn side(mut config: Config, side: usize) -> Config {
    config.clip.side = side;
    config.growth.start_lod = (config.levels() - 2) as f64;
    config
}

/// The paper's networks from a level of detail on.
fn stage(lod: u32) -> Config {
    let mut config = paper();
    config.growth.start_lod = f64::from(lod);
    // Benchmarks sample as many clips.
    config.train.batch = config.growth.batch[6 - lod as usize];
    config
}

fn emoji() -> Config {
    let mut config = side(paper(), 64);
    config.networks.base_channels = 512;
    config.networks.max_channels = 64;
    config.growth.batch = [16, 16, 16, 8, 8, 8, 4];
    config.growth.stable_clips = [8_000, 8_000, 8_000, 3_200, 3_200, 3_200, 3_200];
    config.growth.fade_clips = [4_000, 4_000, 2_400, 1_600, 1_600, 1_600, 1_600];
    // Over some hundreds of steps instead of a thousand, since a run has some thousands.
    config.train.average = 0.995;
    config
}

/// The official image model; images are of the width's size.
fn image(size: usize) -> Config {
    let mut config = paper();
    config.variant = Variant::Image;
    config.clip.side = size;
    config.image.width = size;
    config.networks.dual_blocks = 4;
    config.penalties = Penalties { gradient: 20.0, target: 0.001, ..config.penalties };
    config.train.beta2 = 0.9;
    config.train.critic_steps = 4;
    config.train.flip = false;
    config
}

fn swae() -> Config {
    let mut config = image(64);
    config.variant = Variant::Autoencoder;
    config
}

fn swae_digits() -> Config {
    let mut config = swae();
    config.clip.channels = 1;
    config
}

fn small() -> Config {
    let mut config = side(paper(), 32);
    config.networks.base_channels = 256;
    config.networks.max_channels = 64;
    config.growth.start_lod = 0.0;
    config.growth.batch = [4; LEVELS];
    config.train.batch = 4;
    config
}

fn demo() -> Config {
    let mut config = side(paper(), 16);
    config.networks =
        Networks { base_channels: 256, max_channels: 32, latent: 32, features: 32, ..config.networks };
    config.growth.batch = [16; LEVELS];
    config.growth.stable_clips = [3_200; LEVELS];
    config.growth.fade_clips = [1_600; LEVELS];
    config.train.average = 0.99;
    config
}

fn tiny() -> Config {
    let mut config = side(paper(), 8);
    config.networks =
        Networks { base_channels: 32, max_channels: 8, latent: 6, features: 6, ..config.networks };
    config.growth.start_lod = 0.4;
    config.growth.stable_clips = [32; LEVELS];
    config.growth.fade_clips = [320; LEVELS];
    config.growth.batch = [4; LEVELS];
    config.growth.refresh_steps = 1;
    config
}

fn image_tiny() -> Config {
    let mut config = image(16);
    config.image.width = 4;
    config.networks.latent = 6;
    config.networks.features = 6;
    config.networks.dual_blocks = 2;
    config.train.batch = 4;
    config.train.critic_steps = 2;
    config
}

fn swae_tiny() -> Config {
    let mut config = swae();
    config.clip.side = 16;
    config.autoencoder = Autoencoder { code: 8, width: 4, bins: 8, ..config.autoencoder };
    config.train.batch = 6;
    config
}
