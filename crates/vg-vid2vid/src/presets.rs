//! Named configurations, each with where its numbers come from.

use vg_core::config::Preset;
use vg_core::ops::conv::Precision;

use crate::config::{
    Clip, Composition, Config, Discriminator, Features, Generator, Loss, Maps, Norm, Sample, Start, Train,
};

/// All presets, the paper's first.
pub(crate) const PRESETS: &[Preset<Config>] = &[
    Preset {
        name: "paper-512",
        source: "official script street/train_512: Cityscapes at 512x256, one generator, 6 frames of a sequence, 12 of an update",
        build: paper_512,
    },
    Preset {
        name: "paper-1024",
        source: "official script street/train_1024: 1024x512, two generators; starts from paper-512",
        build: paper_1024,
    },
    Preset {
        name: "paper-2048",
        source: "official script street/train_2048: 2048x1024, three generators; starts from paper-1024",
        build: paper_2048,
    },
    Preset {
        name: "official-g1",
        source: "official script street/train_g1_256: one GPU, 256x128, two halvings",
        build: official_g1,
    },
    Preset {
        name: "face-512",
        source: "official script face/train_512: edges to faces, 15 channels",
        build: face_512,
    },
    Preset {
        name: "pose-256",
        source: "official script pose/train_256p: DensePose and OpenPose to dancers, no first frame",
        build: pose_256,
    },
    Preset {
        name: "pose-512",
        source: "official script pose/train_512p: two generators and the face discriminator; starts from pose-256",
        build: pose_512,
    },
    Preset {
        name: "paper-small",
        source: "the street model at a quarter of the width, 256x128, without perceptual term, 3 frames of an update; for comparisons of speed",
        build: paper_small,
    },
    Preset {
        name: "small",
        source: "128x64, eight classes, 24 wide, without perceptual term; for comparisons of speed",
        build: small,
    },
    Preset {
        name: "street",
        source: "ours: 128x64, the ten classes of the set street; meant for half an hour on a core",
        build: street,
    },
    Preset {
        name: "street-fine",
        source: "ours: 256x128, a second generator on top of street, which it starts from",
        build: street_fine,
    },
    Preset {
        name: "sprites",
        source: "ours: 64x64, the layers of the set sprites, no first frame",
        build: sprites,
    },
    Preset { name: "tiny", source: "ours: 32x16; for tests", build: tiny },
];

fn paper_512() -> Config {
    Config {
        clip: Clip { height: 256, width: 512, frames: 30 },
        maps: Maps { classes: 35, channels: 3, instances: true },
        features: Features { channels: 0, width: 32, downsamplings: 3, norm: Norm::Instance },
        generator: Generator {
            width: 128,
            downsamplings: 3,
            blocks: 9,
            local_blocks: 3,
            scales: 1,
            frames: 3,
            flow: true,
            foreground: vec![26],
            composition: Composition::Replace,
        },
        discriminator: Discriminator {
            width: 64,
            layers: 3,
            scales: 2,
            frames: 3,
            temporal_scales: 2,
            face: false,
        },
        loss: Loss {
            feature_matching: 10.0,
            perceptual: 10.0,
            flow: 10.0,
            warp: 10.0,
            output_warp: 10.0,
            mask: 1.0,
            face: 2.0,
            raw: true,
        },
        train: Train {
            batch: 1,
            frames: 6,
            chunk: 12,
            grow_every: 5,
            longest: 28,
            backprop_frames: 1,
            fix_coarse_epochs: 0,
            frame_stride: 1,
            flip: true,
            lr: 2e-4,
            constant_epochs: 10,
            decay_epochs: 10,
            beta1: 0.5,
            beta2: 0.999,
            two_rates: false,
            official_rates: false,
            recompute: false,
            precision: Precision::Full,
        },
        sample: Sample { start: Start::Given },
    }
}

fn paper_1024() -> Config {
    let base = paper_512();
    Config {
        clip: Clip { height: 512, width: 1024, ..base.clip },
        generator: Generator { scales: 2, ..base.generator },
        discriminator: Discriminator { scales: 3, ..base.discriminator },
        train: Train { frames: 4, chunk: 4, grow_every: 2, fix_coarse_epochs: 10, lr: 1e-4, ..base.train },
        ..base
    }
}

fn paper_2048() -> Config {
    let base = paper_1024();
    Config {
        clip: Clip { height: 1024, width: 2048, ..base.clip },
        generator: Generator { scales: 3, ..base.generator },
        discriminator: Discriminator { scales: 4, ..base.discriminator },
        train: Train {
            grow_every: 1,
            constant_epochs: 5,
            decay_epochs: 5,
            fix_coarse_epochs: 5,
            lr: 5e-5,
            ..base.train
        },
        ..base
    }
}

fn official_g1() -> Config {
    let base = paper_512();
    Config {
        clip: Clip { height: 128, width: 256, ..base.clip },
        generator: Generator { downsamplings: 2, ..base.generator },
        discriminator: Discriminator { scales: 1, ..base.discriminator },
        train: Train { chunk: 6, official_rates: true, ..base.train },
        ..base
    }
}

fn face_512() -> Config {
    let base = paper_512();
    Config {
        clip: Clip { height: 512, width: 512, ..base.clip },
        maps: Maps { classes: 0, channels: 15, instances: false },
        generator: Generator { foreground: Vec::new(), ..base.generator },
        discriminator: Discriminator { scales: 3, ..base.discriminator },
        train: Train { frames: 12, chunk: 6, constant_epochs: 20, decay_epochs: 20, ..base.train },
        ..base
    }
}

fn pose_256() -> Config {
    let base = paper_512();
    Config {
        clip: Clip { height: 256, width: 192, ..base.clip },
        maps: Maps { classes: 0, channels: 6, instances: false },
        generator: Generator { foreground: Vec::new(), ..base.generator },
        train: Train {
            frames: 12,
            chunk: 24,
            constant_epochs: 5,
            decay_epochs: 5,
            flip: false,
            ..base.train
        },
        sample: Sample { start: Start::Nothing },
        ..base
    }
}

fn pose_512() -> Config {
    let base = pose_256();
    Config {
        clip: Clip { height: 512, width: 256, ..base.clip },
        generator: Generator { scales: 2, ..base.generator },
        discriminator: Discriminator { scales: 3, face: true, ..base.discriminator },
        train: Train { lr: 1e-4, chunk: 8, fix_coarse_epochs: 3, ..base.train },
        ..base
    }
}

fn paper_small() -> Config {
    let base = paper_512();
    Config {
        clip: Clip { height: 128, width: 256, frames: 3 + 2 },
        generator: Generator { width: 32, ..base.generator },
        loss: Loss { perceptual: 0.0, ..base.loss },
        train: Train { frames: 12, chunk: 3, ..base.train },
        ..base
    }
}

fn small() -> Config {
    let base = paper_512();
    Config {
        clip: Clip { height: 64, width: 128, frames: 3 + 2 },
        maps: Maps { classes: 8, ..base.maps },
        generator: Generator { width: 24, foreground: vec![1], ..base.generator },
        discriminator: Discriminator { width: 32, ..base.discriminator },
        loss: Loss { perceptual: 0.0, ..base.loss },
        train: Train { frames: 12, chunk: 3, ..base.train },
        ..base
    }
}

fn street() -> Config {
    let base = paper_512();
    Config {
        clip: Clip { height: 64, width: 128, frames: 16 },
        maps: Maps { classes: 10, ..base.maps },
        generator: Generator {
            width: 16,
            downsamplings: 2,
            blocks: 4,
            foreground: vec![6, 7],
            ..base.generator
        },
        discriminator: Discriminator { width: 24, ..base.discriminator },
        loss: Loss { perceptual: 0.0, ..base.loss },
        train: Train {
            frames: 8,
            chunk: 4,
            grow_every: 4,
            longest: 16,
            constant_epochs: 100,
            decay_epochs: 100,
            ..base.train
        },
        ..base
    }
}

fn street_fine() -> Config {
    let base = street();
    Config {
        clip: Clip { height: 128, width: 256, ..base.clip },
        generator: Generator { scales: 2, ..base.generator },
        train: Train { frames: 4, chunk: 2, fix_coarse_epochs: 2, lr: 1e-4, ..base.train },
        ..base
    }
}

fn sprites() -> Config {
    let base = street();
    Config {
        clip: Clip { height: 64, width: 64, frames: 8 },
        maps: Maps { classes: 8, channels: 3, instances: false },
        generator: Generator { foreground: Vec::new(), ..base.generator },
        train: Train { frames: 6, chunk: 6, longest: 6, ..base.train },
        sample: Sample { start: Start::Nothing },
        ..base
    }
}

fn tiny() -> Config {
    let base = paper_512();
    Config {
        clip: Clip { height: 16, width: 32, frames: 4 },
        maps: Maps { classes: 4, ..base.maps },
        generator: Generator {
            width: 4,
            downsamplings: 2,
            blocks: 2,
            local_blocks: 1,
            foreground: vec![1],
            ..base.generator
        },
        discriminator: Discriminator { width: 2, ..base.discriminator },
        loss: Loss { perceptual: 0.0, ..base.loss },
        train: Train { frames: 7, chunk: 7, longest: 14, ..base.train },
        ..base
    }
}
