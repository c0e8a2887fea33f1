//! Named configurations, each with where its numbers come from.

use vg_core::config::Preset;

use crate::config::{
    Classes, Clip, Config, Discriminator, Generator, Latent, Norm, OutputNorm, Recurrence, Sample, Train,
    Upsampling,
};

/// All presets, the paper's first.
pub(crate) const PRESETS: &[Preset<Config>] = &[
    Preset {
        name: "paper",
        source: "paper (version 2), Kinetics-600, 12 frames at 64x64 with every second frame of the source, batch 512",
        build: paper,
    },
    Preset { name: "paper-128", source: "the same at 128x128, width 96", build: || sized(128, 12) },
    Preset {
        name: "paper-256",
        source: "the same at 256x256; multipliers from memory of the paper and from BigGAN",
        build: || sized(256, 12),
    },
    Preset { name: "paper-48", source: "paper, Kinetics-600, 48 frames at 64x64", build: || sized(64, 48) },
    Preset {
        name: "paper-48-128",
        source: "paper, Kinetics-600, 48 frames at 128x128",
        build: || sized(128, 48),
    },
    Preset { name: "ucf101", source: "paper, UCF-101: 16 frames at 128x128, 101 classes", build: ucf101 },
    Preset {
        name: "ucf101-unconditional",
        source: "the same without classes, as later papers list it",
        build: || Config { classes: none(), ..ucf101() },
    },
    Preset {
        name: "paper-prediction",
        source: "paper, DVD-GAN-FP on Kinetics-600: 11 of 16 frames from 5 given ones, 64x64, consecutive frames",
        build: || prediction(5),
    },
    Preset {
        name: "bair",
        source: "paper, DVD-GAN-FP on BAIR robot pushing: 15 of 16 frames from one, 64x64",
        build: || prediction(1),
    },
    Preset {
        name: "v1",
        source: "version 1 of the paper, 12 frames at 64x64: one recurrent unit, attention in the generator, learning rate 2e-4 of the discriminators",
        build: version_1,
    },
    Preset {
        name: "paper-half",
        source: "paper with half the width and batch 1; fits a small machine",
        build: || narrow(paper(), 64, 1),
    },
    Preset {
        name: "small",
        source: "paper with a sixteenth of the width and batch 2; for comparisons of speed on CPUs",
        build: || narrow(paper(), 8, 2),
    },
    Preset {
        name: "shapes",
        source: "ours: 64x64, narrow, 16 classes of motion and colour, one D update a step; meant for half an hour on one core",
        build: shapes,
    },
    Preset {
        name: "emoji",
        source: "ours: as shapes, for the seven classes of emoji",
        build: || grouped(&[("class", 7)]),
    },
    Preset {
        name: "strips",
        source: "ours: as shapes, for the four actions of weizmann-strips",
        build: || grouped(&[("class", 4)]),
    },
    Preset {
        name: "digits-fp",
        source: "ours: as shapes, 8 of 12 grey frames from 4 given ones",
        build: || continued(1),
    },
    Preset {
        name: "strips-fp",
        source: "ours: as shapes, 8 of 12 frames from 4 given ones",
        build: || continued(3),
    },
    Preset {
        name: "demo",
        source: "ours: 32x32, narrow, 16 classes of motion and colour; a first look at shapes",
        build: demo,
    },
    Preset { name: "tiny", source: "ours: 16x16, milliseconds a step; for tests", build: tiny },
];

fn none() -> Classes {
    Classes { groups: Vec::new(), counts: Vec::new() }
}

fn classes(groups: &[(&str, usize)]) -> Classes {
    let (groups, counts) = groups.iter().map(|(name, n)| ((*name).to_owned(), *n)).unzip();
    Classes { groups, counts }
}

fn paper() -> Config {
    Config {
        clip: Clip { frames: 12, given: 0, side: 64, channels: 3 },
        classes: classes(&[("class", 600)]),
        latent: Latent { noise: 120, embedding: 120 },
        generator: Generator {
            width: 128,
            multipliers: vec![8, 8, 8, 4, 2],
            recurrence: Recurrence::EveryStage,
            upsampling: Upsampling::Bilinear,
            always_project_skip: false,
            output_norm: OutputNorm::Conditional,
            attention_full: false,
            attention_separable: false,
        },
        discriminator: Discriminator {
            width: 128,
            multipliers: vec![2, 4, 8, 16, 16],
            frames: 8,
            spatial_attention: vec![32],
            temporal_attention: Vec::new(),
        },
        norm: Norm { spectral_eps: 1e-6, eps: 1e-5, momentum: 0.1 },
        train: Train {
            batch: 512,
            frame_stride: 2,
            flip: false,
            d_steps: 2,
            lr_generator: 1e-4,
            lr_discriminator: 5e-4,
            beta1: 0.0,
            beta2: 0.999,
            average: 0.9999,
            average_start: 20_000,
            orthogonal: 0.0,
            micro_batch: 0,
            recompute: false,
        },
        sample: Sample { standing_batches: 16, standing_clips: 16 },
    }
}

fn sized(side: usize, frames: usize) -> Config {
    let mut config = paper();
    config.clip.frames = frames;
    config.clip.side = side;
    let (g, d): (&[usize], &[usize]) = match side {
        256 => (&[8, 8, 8, 4, 4, 2, 1], &[1, 2, 4, 8, 8, 16, 16]),
        128 => (&[8, 8, 8, 4, 2, 1], &[1, 2, 4, 8, 16, 16]),
        _ => return config,
    };
    (config.generator.width, config.discriminator.width) = (96, 96);
    (config.generator.multipliers, config.discriminator.multipliers) = (g.to_vec(), d.to_vec());
    config.discriminator.spatial_attention = vec![64];
    config
}

fn ucf101() -> Config {
    let mut config = sized(128, 16);
    config.classes = classes(&[("class", 101)]);
    config.train.frame_stride = 1;
    config
}

fn prediction(given: usize) -> Config {
    let mut config = sized(64, 16);
    config.clip.given = given;
    config.classes = none();
    config.train.frame_stride = 1;
    config.sample.standing_batches = 0;
    config
}

fn version_1() -> Config {
    let mut config = paper();
    config.generator.recurrence = Recurrence::FirstStage;
    config.generator.attention_full = true;
    config.generator.attention_separable = true;
    config.train.lr_discriminator = 2e-4;
    config
}

fn narrow(mut config: Config, width: usize, batch: usize) -> Config {
    (config.generator.width, config.discriminator.width) = (width, width);
    config.train.batch = batch;
    config
}

/// Narrow, with larger steps and a shorter average than the paper's: a run has hundreds of steps, not hundreds of thousands.
fn shapes() -> Config {
    grouped(&[("motion", 2), ("colour", 8)])
}

fn grouped(groups: &[(&str, usize)]) -> Config {
    let mut config = narrow(paper(), 8, 8);
    config.classes = classes(groups);
    config.latent = Latent { noise: 32, embedding: 32 };
    config.generator.multipliers = vec![8, 8, 4, 2, 1];
    config.discriminator.multipliers = vec![1, 2, 4, 8, 8];
    config.discriminator.frames = 4;
    config.discriminator.spatial_attention = Vec::new();
    config.train.d_steps = 1;
    config.train.lr_generator = 4e-4;
    config.train.lr_discriminator = 4e-4;
    config.train.average = 0.99;
    config.train.average_start = 50;
    config.sample = Sample { standing_batches: 8, standing_clips: 8 };
    config
}

fn continued(channels: usize) -> Config {
    let mut config = grouped(&[]);
    config.clip.given = 4;
    config.clip.channels = channels;
    config.train.frame_stride = 1;
    config.sample.standing_batches = 0;
    config
}

fn demo() -> Config {
    let mut config = shapes();
    config.clip.side = 32;
    config.generator.multipliers = vec![8, 4, 2, 1];
    config.discriminator.multipliers = vec![1, 2, 4, 8];
    config
}

fn tiny() -> Config {
    let mut config = narrow(paper(), 4, 3);
    config.clip = Clip { frames: 5, given: 0, side: 16, channels: 3 };
    config.classes = classes(&[("class", 2)]);
    config.latent = Latent { noise: 5, embedding: 4 };
    config.generator.multipliers = vec![4, 2, 1];
    config.discriminator.multipliers = vec![2, 2, 2];
    config.discriminator.frames = 2;
    config.discriminator.spatial_attention = vec![8];
    config.train.average = 0.9;
    config.train.average_start = 2;
    config.sample = Sample { standing_batches: 2, standing_clips: 3 };
    config
}
