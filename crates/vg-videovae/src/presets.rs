//! Named configurations, each with where its numbers come from.

use vg_core::config::Preset;
use vg_core::ops::conv::Precision;

use crate::config::{
    Attributes, Clip, Config, Evaluation, NetworkSizes, Reconstruction, Sample, Train, Variant,
};

/// All presets, the paper's first.
pub(crate) const PRESETS: &[Preset<Config>] = &[
    Preset {
        name: "paper",
        source: "Weizmann, stage 2: the public port, 10 frames of 64x64, attributes class (10) and identity (9), batch 32; give stage 1 by --from",
        build: paper,
    },
    Preset {
        name: "paper-joint",
        source: "the same with encoder and attribute heads trained jointly, as in the paper's description; one run, no stage 1",
        build: || joint(paper()),
    },
    Preset {
        name: "weizmann-classifier",
        source: "Weizmann, stage 1: the public port, single frames, batch 64, learning rate 1e-3, 20 epochs; labels of 20 % of the clips",
        build: || classifier(paper()),
    },
    Preset { name: "weizmann", source: "the paper's preset under its data set's name", build: paper },
    Preset {
        name: "weizmann-joint",
        source: "paper-joint under its data set's name",
        build: || joint(paper()),
    },
    Preset {
        name: "weizmann-256-classifier",
        source: "a public fork's networks for 256x256, stage 1",
        build: || classifier(large()),
    },
    Preset {
        name: "weizmann-256",
        source: "a public fork's networks for 256x256 (there driving scenes), stage 2",
        build: large,
    },
    Preset {
        name: "chair-classifier",
        source: "ours for Chair CAD, stage 1: attributes elevation (2) and direction (2)",
        build: || classifier(chair()),
    },
    Preset {
        name: "chair",
        source: "ours for Chair CAD, stage 2: 16 consecutive azimuths; the networks of paper",
        build: chair,
    },
    Preset {
        name: "flickr-classifier",
        source: "ours for VGAN's Flickr clips, stage 1: the scene (4 classes)",
        build: || classifier(flickr()),
    },
    Preset {
        name: "flickr",
        source: "ours for VGAN's Flickr clips, stage 2: 32 frames, the networks of paper",
        build: flickr,
    },
    Preset {
        name: "evaluation-classifier",
        source: "TwoStreamVAN's classifier of 10 actions: learning rate 5e-4, 0.995 an epoch",
        build: || evaluation(&[("class", 10)], 5e-4, 0.995),
    },
    Preset {
        name: "evaluation-classifier-joint",
        source: "TwoStreamVAN's classifier of 90 pairs of action and person: learning rate 1e-4, 0.999 an epoch",
        build: || evaluation(&[("class", 10), ("identity", 9)], 1e-4, 0.999),
    },
    Preset {
        name: "shapes-evaluation-classifier",
        source: "ours: the same at a quarter of its width for shapes: colour, kind and motion",
        build: shapes_evaluation,
    },
    Preset {
        name: "shapes-classifier",
        source: "ours: paper's stage 1 for shapes, all clips labelled: colour (8), kind (2), motion (2)",
        build: || Config { attributes: groups(SHAPES, 1.0), ..classifier(shapes()) },
    },
    Preset {
        name: "shapes",
        source: "ours: paper's stage 2 for shapes, batch 16; give shapes-classifier by --from",
        build: shapes,
    },
    Preset {
        name: "small",
        source: "as paper with batch 16; for CPUs",
        build: || {
            let mut config = paper();
            config.train.batch = 16;
            config
        },
    },
    Preset {
        name: "demo",
        source: "ours: 10 frames of 32x32, narrow, joint training, squared errors, batch 16; a first look on shapes in one run",
        build: demo,
    },
    Preset { name: "tiny", source: "ours: narrow, milliseconds a step; for tests", build: tiny },
];

/// Label groups of `shapes`.
const SHAPES: &[(&str, usize)] = &[("colour", 8), ("kind", 2), ("motion", 2)];

fn groups(groups: &[(&str, usize)], labelled_fraction: f64) -> Attributes {
    Attributes {
        names: groups.iter().map(|(name, _)| (*name).to_owned()).collect(),
        classes: groups.iter().map(|(_, classes)| *classes).collect(),
        labelled_fraction,
        labelled_seed: 0,
    }
}

fn paper() -> Config {
    Config {
        variant: Variant::Video,
        clip: Clip { frames: 10, side: 64, channels: 3 },
        attributes: groups(&[("class", 10), ("identity", 9)], 0.2),
        networks: NetworkSizes {
            channels: [10, 20, 40, 80],
            kernels: [9, 7, 5, 3],
            strides: [1, 3, 1, 3],
            linear: 1024,
            latent: 512,
            hidden: 512,
            mlp: 128,
            decoder_sees_h: false,
            linear_output: false,
            small_linear_init: false,
        },
        evaluation: Evaluation { width: 64, crop: 5 },
        train: Train {
            batch: 32,
            frame_stride: 1,
            train_encoder: false,
            reconstruction: Reconstruction::L1Sum,
            beta: 1.0,
            attribute_weight: 1.0,
            lr: 1e-4,
            lr_decay: 1.0,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            flip: false,
            precision: Precision::Full,
        },
        sample: Sample { frames: 10, random_initial_state: false },
    }
}

/// A configuration with the encoder trained alongside.
fn joint(mut config: Config) -> Config {
    config.train.train_encoder = true;
    config
}

/// Stage 1 of a configuration.
fn classifier(mut config: Config) -> Config {
    config.variant = Variant::Classifier;
    config.train.batch = 64;
    config.train.lr = 1e-3;
    config
}

fn large() -> Config {
    let mut config = paper();
    config.clip.side = 256;
    config.networks.channels = [20, 40, 80, 160];
    config.networks.kernels = [11, 9, 7, 5];
    config.networks.strides = [2, 2, 3, 4];
    config
}

fn chair() -> Config {
    let mut config = paper();
    config.clip.frames = 16;
    config.sample.frames = 16;
    config.attributes = groups(&[("elevation", 2), ("direction", 2)], 0.2);
    config
}

fn flickr() -> Config {
    let mut config = paper();
    config.clip.frames = 32;
    config.sample.frames = 32;
    config.attributes = groups(&[("class", 4)], 0.2);
    config
}

fn evaluation(attributes: &[(&str, usize)], lr: f64, lr_decay: f64) -> Config {
    let mut config = paper();
    config.variant = Variant::EvaluationClassifier;
    config.attributes = groups(attributes, 1.0);
    let t = &mut config.train;
    (t.lr, t.lr_decay, t.beta1, t.weight_decay) = (lr, lr_decay, 0.5, 1e-5);
    config
}

fn shapes_evaluation() -> Config {
    let mut config = evaluation(SHAPES, 5e-4, 1.0);
    config.evaluation = Evaluation { width: 16, crop: 0 };
    config.train.frame_stride = 2;
    // At a constant rate the running statistics lag behind the weights: on black frames a channel's mean is many times its deviation.
    config.train.lr_decay = 0.8;
    config
}

fn shapes() -> Config {
    let mut config = paper();
    config.attributes = groups(SHAPES, 1.0);
    config.train.batch = 16;
    config.train.frame_stride = 2;
    config
}

fn demo() -> Config {
    let mut config = joint(shapes());
    config.clip.side = 32;
    config.networks = NetworkSizes {
        channels: [12, 24, 32, 48],
        kernels: [5, 4, 3, 3],
        strides: [1, 2, 1, 2],
        linear: 256,
        latent: 64,
        hidden: 128,
        mlp: 64,
        ..config.networks
    };
    // Absolute differences are least for frames without any shape, in which a short run would stay.
    config.train.reconstruction = Reconstruction::L2Sum;
    config.train.lr = 2e-3;
    config
}

fn tiny() -> Config {
    let mut config = paper();
    config.clip.frames = 3;
    config.sample.frames = 3;
    config.attributes = groups(&[("class", 2), ("kind", 2)], 1.0);
    config.networks =
        NetworkSizes { channels: [2, 3, 4, 6], linear: 16, latent: 5, hidden: 7, mlp: 8, ..config.networks };
    config.evaluation.width = 2;
    config.train.batch = 3;
    config
}
