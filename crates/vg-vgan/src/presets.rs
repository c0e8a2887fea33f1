//! Presets, and where their numbers come from.

use vg_core::config::Preset;
use vg_core::ops::conv::Precision;
use vg_core::optim::AdamEpsilon;

use crate::config::{
    Classifier, Clip, Conditioning, Config, Discriminator, Generator, Mixture, Reconstruction, Reduction,
    Start, Train, Trained, Variant,
};

/// All presets; the first is the paper's.
pub(crate) const PRESETS: &[Preset<Config>] = &[
    Preset { name: "paper", source: "the paper: two streams, 32 frames of 64x64, batch 64", build: paper },
    Preset {
        name: "official",
        source: "official `main.lua`: the same with Torch7's Adam (epsilon before bias correction)",
        build: official,
    },
    Preset {
        name: "golf",
        source: "official code under its data set's name; weights were published at step 65,000",
        build: official,
    },
    Preset { name: "beach", source: "official code under its data set's name", build: official },
    Preset { name: "train", source: "official code under its data set's name", build: official },
    Preset { name: "baby", source: "official code under its data set's name", build: official },
    Preset {
        name: "all",
        source: "official code on the unfiltered videos (`all100`, 95,000 steps): what classifiers start from",
        build: official,
    },
    Preset {
        name: "ucf101",
        source: "the paper's settings on UCF-101, as in later papers' comparisons",
        build: paper,
    },
    Preset { name: "one-stream", source: "the paper's one-stream model", build: one_stream },
    Preset {
        name: "conditional",
        source: "official `main_conditional.lua`: twice the width, batch 32, L1 of the first frame times 10",
        build: || torch(conditional()),
    },
    Preset {
        name: "paper-conditional",
        source: "the same with PyTorch's Adam, under the benchmark's name",
        build: conditional,
    },
    Preset {
        name: "conditional-code",
        source: "the paper's section 3.4: five convolutions give a code for the unchanged networks; widths are ours",
        build: conditional_code,
    },
    Preset {
        name: "ucf101-classifier",
        source: "official `main_ucf.lua`: from a discriminator, 101 classes, batch 256, 1,000 steps",
        build: classifier,
    },
    Preset {
        name: "ucf101-classifier-random",
        source: "the paper's baseline with random initial weights",
        build: classifier_random,
    },
    Preset {
        name: "ucf101-classifier-frozen",
        source: "the paper's logistic regression on the discriminator's features; all else as ucf101-classifier",
        build: classifier_frozen,
    },
    Preset {
        name: "autoencoder",
        source: "the paper's baseline: squared error, then 256 Gaussians; loss and covariances are ours",
        build: autoencoder,
    },
    Preset { name: "small", source: "ours: half the width, batch 8; for CPUs", build: small },
    Preset {
        name: "demo",
        source: "ours: 16 frames of 32x32, narrow, batch 16; to try things out",
        build: demo,
    },
    Preset { name: "tiny", source: "ours: 32 frames of 16x16, milliseconds a step; for tests", build: tiny },
];

/// Sections 2 to 4 of the paper; what it leaves open is the official code's but for Adam's epsilon.
fn paper() -> Config {
    Config {
        variant: Variant::TwoStream,
        clip: Clip { frames: 32, size: 64 },
        generator: Generator { z_dim: 100, channels: 64, conditioning: Conditioning::Map },
        discriminator: Discriminator { channels: 64 },
        classifier: Classifier {
            classes: 101,
            dropout: 0.5,
            start: Start::Discriminator,
            trained: Trained::All,
        },
        mixture: Mixture { components: 256, codes: 4096, kmeans_iterations: 10, em_iterations: 20, seed: 0 },
        train: Train {
            batch: 64,
            lr: 2e-4,
            beta1: 0.5,
            beta2: 0.999,
            eps: 1e-8,
            epsilon: AdamEpsilon::Corrected,
            mask_weight: 0.1,
            mask_reduction: Reduction::Mean,
            reconstruction_weight: 10.0,
            reconstruction: Reconstruction::L1,
            flip: false,
            precision: Precision::Full,
        },
    }
}

fn torch(mut config: Config) -> Config {
    config.train.epsilon = AdamEpsilon::Uncorrected;
    config
}

fn official() -> Config {
    torch(paper())
}

fn one_stream() -> Config {
    Config { variant: Variant::OneStream, ..paper() }
}

fn conditional() -> Config {
    let mut config = Config { variant: Variant::Conditional, ..paper() };
    config.generator.channels = 128;
    config.discriminator.channels = 128;
    config.train.batch = 32;
    config.train.mask_weight = 0.0;
    config
}

fn conditional_code() -> Config {
    let mut config = paper();
    config.variant = Variant::Conditional;
    config.generator.conditioning = Conditioning::Code;
    config.train.batch = 32;
    config.train.mask_weight = 0.0;
    config
}

fn classifier() -> Config {
    let mut config = official();
    config.variant = Variant::Classifier;
    config.train.batch = 256;
    config
}

fn classifier_random() -> Config {
    let mut config = classifier();
    config.classifier.start = Start::Random;
    config
}

fn classifier_frozen() -> Config {
    let mut config = classifier();
    config.classifier.trained = Trained::Last;
    config
}

fn autoencoder() -> Config {
    Config { variant: Variant::Autoencoder, ..paper() }
}

fn small() -> Config {
    let mut config = paper();
    config.generator.channels = 32;
    config.discriminator.channels = 32;
    config.train.batch = 8;
    config
}

fn demo() -> Config {
    let mut config = paper();
    config.clip = Clip { frames: 16, size: 32 };
    config.generator.channels = 24;
    config.discriminator.channels = 24;
    config.train.batch = 16;
    config
}

fn tiny() -> Config {
    let mut config = paper();
    config.clip = Clip { frames: 32, size: 16 };
    config.generator = Generator { z_dim: 5, channels: 3, ..config.generator };
    config.discriminator.channels = 2;
    config.classifier.classes = 2;
    config.mixture = Mixture { components: 3, codes: 64, kmeans_iterations: 4, em_iterations: 4, seed: 0 };
    config.train.batch = 3;
    config
}
