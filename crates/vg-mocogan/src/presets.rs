//! Named configurations, each with where its numbers come from.

use vg_core::config::Preset;
use vg_core::ops::conv::Precision;

use crate::config::{
    Categories, CategoryInput, ClassLoss, Clip, Config, Discriminator, Generator, ImageKind, Latent, Task,
    Train, VideoKind, WeightInit,
};

/// All presets, the paper's first.
pub(crate) const PRESETS: &[Preset<Config>] = &[
    Preset {
        name: "paper",
        source: "the paper's categorical model, 6 classes, class into the motion network, 64x64; noise 0.1 and batch 32 as in every published command",
        build: paper,
    },
    Preset {
        name: "paper-unconditional",
        source: "the same without classes, with the full video discriminator",
        build: unconditional,
    },
    Preset {
        name: "mug",
        source: "paper, facial expressions: 6 classes at 96x96; last kernel 6x6 in the video discriminator is ours",
        build: || faces(6),
    },
    Preset {
        name: "weizmann-paper",
        source: "paper, Weizmann: 9 actions at 96x96; last kernel as in mug",
        build: || faces(9),
    },
    Preset {
        name: "official",
        source: "defaults of the official script: class into the image generator, 10 images and 3 clips, no noise, no class loss, PyTorch 0.2's initial weights",
        build: official,
    },
    Preset {
        name: "weizmann",
        source: "command of the project's wiki: 4 classes, `--use_infogan` alone (the class head learns nothing)",
        build: || published(4, ClassLoss::ReferenceInfoganOnly),
    },
    Preset {
        name: "shapes",
        source: "command of the authors for shape motion: no classes, patch discriminators",
        build: shapes,
    },
    Preset {
        name: "ucf101",
        source: "command for UCF-101 from the project's issues: as weizmann with 101 classes",
        build: || published(101, ClassLoss::ReferenceInfoganOnly),
    },
    Preset {
        name: "weizmann-supervised",
        source: "the paper's scheme on the four labelled actions of the weizmann command's data",
        build: || labelled(4),
    },
    Preset {
        name: "shapes-supervised",
        source: "the paper's scheme on the two labelled motions of shapes",
        build: || labelled(2),
    },
    Preset {
        name: "image-to-video",
        source: "paper's image-to-video variant on unlabelled clips; encoder and L1 weight 10 are ours",
        build: image_to_video,
    },
    Preset {
        name: "small",
        source: "ours: shapes-supervised with half the width, batch 4; for CPUs",
        build: small,
    },
    Preset {
        name: "demo",
        source: "ours: 32x32, narrow, no classes, batch 8, learning rate 4e-4; to try things out on shapes",
        build: demo,
    },
    Preset { name: "tiny", source: "ours: 32x32, milliseconds a step; for tests", build: tiny },
];

fn paper() -> Config {
    Config {
        task: Task::Generate,
        clip: Clip { frames: 16, side: 64, channels: 3 },
        latent: Latent { content: 50, motion: 10 },
        categories: Categories { count: 6, input: CategoryInput::Rnn },
        generator: Generator { width: 64, slope: 0.0 },
        discriminator: Discriminator {
            width: 64,
            image: ImageKind::Patch,
            video: VideoKind::Categorical,
            noise: 0.1,
        },
        init: WeightInit::Modern,
        train: Train {
            batch: 32,
            image_batch: 0,
            frame_stride: 2,
            lr: 2e-4,
            beta1: 0.5,
            beta2: 0.999,
            average: 0.0,
            weight_decay: 1e-5,
            class_loss: ClassLoss::Supervised,
            class_weight: 1.0,
            l1_weight: 10.0,
            lengths: Vec::new(),
            length_weights: Vec::new(),
            precision: Precision::Full,
        },
    }
}

fn unconditional() -> Config {
    let mut config = paper();
    config.categories.count = 0;
    config.discriminator.video = VideoKind::Full;
    config.train.class_loss = ClassLoss::None;
    config
}

fn labelled(classes: usize) -> Config {
    let mut config = paper();
    config.categories.count = classes;
    config
}

/// Of the size that the paper has for faces and Weizmann.
fn faces(classes: usize) -> Config {
    let mut config = labelled(classes);
    config.clip.side = 96;
    config
}

fn image_to_video() -> Config {
    Config { task: Task::ImageToVideo, ..unconditional() }
}

fn official() -> Config {
    let mut config = paper();
    config.categories.input = CategoryInput::Generator;
    config.discriminator.noise = 0.0;
    config.init = WeightInit::PyTorch02;
    config.train.batch = 3;
    config.train.image_batch = 10;
    config.train.class_loss = ClassLoss::None;
    config
}

/// What the published commands share: 32 images, 32 clips, noise 0.1.
fn published(classes: usize, class_loss: ClassLoss) -> Config {
    let mut config = official();
    config.categories.count = classes;
    config.discriminator.noise = 0.1;
    config.train.batch = 32;
    config.train.image_batch = 32;
    config.train.class_loss = class_loss;
    config
}

fn shapes() -> Config {
    let mut config = published(0, ClassLoss::None);
    config.discriminator.video = VideoKind::Patch;
    config
}

fn small() -> Config {
    let mut config = labelled(2);
    config.generator.width = 32;
    config.discriminator.width = 32;
    config.train.batch = 4;
    config
}

/// Unconditional, 32x32 and narrow, with more and larger steps than published ones: on shapes, the content code decides the colour after
/// half an hour on one core.
fn demo() -> Config {
    let mut config = small();
    config.clip.side = 32;
    config.generator.width = 16;
    config.discriminator.width = 16;
    config.discriminator.video = VideoKind::Patch;
    config.categories.count = 0;
    config.train.class_loss = ClassLoss::None;
    config.train.batch = 8;
    config.train.lr = 4e-4;
    config.train.average = 0.999;
    config
}

fn tiny() -> Config {
    let mut config = labelled(2);
    config.clip.side = 32;
    config.latent = Latent { content: 5, motion: 4 };
    config.generator.width = 3;
    config.discriminator.width = 2;
    config.train.batch = 2;
    config.train.image_batch = 3;
    config.train.average = 0.9;
    config
}
