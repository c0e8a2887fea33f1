//! Numbers of the paper and the official code that need no golden file.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::Rng;
use vg_core::config::{ConfigSource, ModelConfig, resolve};
use vg_core::model::{Init, Model};
use vg_core::nn::{Mode, ParamStore};
use vg_core::sample::SampleRequest;
use vg_core::testing::filled;
use vg_core::train::Trainer;
use vg_vgan::{Config, Discriminator, Generator, Parts, Vgan, VganTrainer};

fn preset(name: &str) -> Config {
    Config::preset(name).unwrap()
}

fn counts(config: &Config) -> BTreeMap<String, usize> {
    Vgan::trainer(config, &Init::cpu(0)).unwrap().parameters()
}

/// The networks' parameters with all values 0, for their shapes.
fn shapes(build: impl Fn(&ParamStore)) -> ParamStore {
    let store = ParamStore::load(BTreeMap::new(), "nothing", DType::F32, &Device::Cpu).unwrap();
    build(&store);
    store
}

/// Trainable scalars and those of running statistics by the start of their names.
fn sizes(config: &Config) -> impl Fn(&str) -> (usize, usize) + use<> {
    let store = shapes(|s| {
        Generator::new(&s.source().pp("generator"), config).unwrap();
        Discriminator::new(&s.source().pp("discriminator"), config).unwrap();
    });
    let count = |vars: Vec<(String, candle_core::Var)>| vars.iter().map(|(_, v)| v.elem_count()).sum();
    move |prefix| (count(store.vars(prefix)), count(store.buffers(prefix)))
}

/// Section 8 of the specification.
#[test]
fn parameter_counts_are_the_papers() {
    let paper = sizes(&preset("paper"));
    assert_eq!(paper("generator."), (16_245_383, 3_840));
    assert_eq!(paper("generator.fg.head_video"), (12_291, 0));
    assert_eq!(paper("generator.fg.head_mask"), (4_097, 0));
    let (foreground, running) = paper("generator.fg.");
    assert_eq!((foreground - 12_291 - 4_097, running), (12_651_328, 1_920));
    assert_eq!(paper("generator.bg."), (3_577_667, 1_920));
    assert_eq!(paper("discriminator."), (11_057_858, 1_792));
    for (layer, n) in [
        ("generator.fg.conv1", 1_638_912),
        ("generator.fg.conv2", 8_388_864),
        ("generator.fg.conv3", 2_097_280),
        ("generator.fg.conv4", 524_352),
        ("generator.bg.conv1", 819_712),
        ("generator.bg.conv2", 2_097_408),
        ("generator.bg.conv3", 524_416),
        ("generator.bg.conv4", 131_136),
        ("generator.bg.conv5", 3_075),
        ("discriminator.conv1", 12_352),
        ("discriminator.conv2", 524_416),
        ("discriminator.conv3", 2_097_408),
        ("discriminator.conv4", 8_389_120),
        ("discriminator.conv5", 32_770),
        ("generator.fg.bn1", 1_024),
    ] {
        assert_eq!(paper(layer).0, n, "{layer}");
    }
    assert_eq!(sizes(&preset("one-stream"))("generator."), (12_663_619, 1_920));
    let conditional = sizes(&preset("conditional"));
    assert_eq!(conditional("generator."), (68_216_455, 9_216));
    assert_eq!(conditional("generator.encoder.").0, 11_021_696);
    assert_eq!(conditional("generator.bg.").0, 11_018_883);
    assert_eq!(conditional("discriminator."), (44_135_810, 3_584));
    assert_eq!(counts(&preset("ucf101-classifier"))["classifier"], 12_679_973);
    assert_eq!(counts(&preset("ucf101-classifier-frozen"))["classifier"], 101 * (512 * 2 * 4 * 4 + 1));
    let code = sizes(&preset("conditional-code"));
    assert_eq!((code("generator.").0, code("discriminator.").0), (19_823_019, 11_057_858));
    for (name, generator, discriminator) in [("small", 4_682_055, 2_776_418), ("demo", 2_098_423, 1_555_466)]
    {
        let sizes = sizes(&preset(name));
        assert_eq!((sizes("generator.").0, sizes("discriminator.").0), (generator, discriminator), "{name}");
    }
    let autoencoder = counts(&preset("autoencoder"));
    assert_eq!((autoencoder["encoder"], autoencoder["generator"]), (12_663_588, 16_245_383));
}

/// Weights by the formula of section 12; layers in the order of modules, numbered from 1.
fn golden(store: &ParamStore, layers: &[&str]) -> BTreeMap<String, Tensor> {
    let shapes: BTreeMap<String, Vec<usize>> =
        store.tensors("").into_iter().map(|(name, t)| (name, t.dims().to_vec())).collect();
    let mut tensors = BTreeMap::new();
    for layer in layers {
        let is_norm = layer.contains(".bn");
        let fields: &[(&str, f64, f64)] = if is_norm {
            &[("weight", 0.1, 1.0), ("bias", 0.1, 0.0), ("running_mean", 0.1, 0.0), ("running_var", 0.5, 1.0)]
        } else {
            &[("weight", 0.05, 0.0), ("bias", 0.1, 0.0)]
        };
        for (field, scale, shift) in fields {
            let name = format!("{layer}.{field}");
            let shape = &shapes[&name];
            let s = tensors.len() as u32 + 1;
            tensors.insert(name, filled(shape, s, *scale, *shift));
        }
    }
    assert_eq!(tensors.len(), shapes.len());
    tensors
}

/// A network with the formula's weights. `build` makes it; it is called for the shapes first.
fn with_golden<N>(layers: &[&str], build: impl Fn(&ParamStore) -> N) -> (ParamStore, N) {
    let shapes = shapes(|s| drop(build(s)));
    let store = ParamStore::load(golden(&shapes, layers), "the formula", DType::F32, &Device::Cpu).unwrap();
    let network = build(&store);
    store.finish().unwrap();
    (store, network)
}

const FOREGROUND: [&str; 10] = [
    "n.fg.conv1",
    "n.fg.bn1",
    "n.fg.conv2",
    "n.fg.bn2",
    "n.fg.conv3",
    "n.fg.bn3",
    "n.fg.conv4",
    "n.fg.bn4",
    "n.fg.head_video",
    "n.fg.head_mask",
];

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn mean(v: &[f64]) -> f64 {
    v.iter().sum::<f64>() / v.len() as f64
}

fn mean_abs(v: &[f64]) -> f64 {
    v.iter().map(|x| x.abs()).sum::<f64>() / v.len() as f64
}

#[track_caller]
fn assert_near(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance, "{what}: got {got:?}, want {want:?}");
    }
}

/// A row of section 12's tables: mean, mean of sizes, first four, last.
#[track_caller]
fn assert_row(what: &str, t: &Tensor, want: [f64; 7]) {
    let v = values(t);
    let got = [mean(&v), mean_abs(&v), v[0], v[1], v[2], v[3], v[v.len() - 1]];
    assert_near(what, &got, &want, 2e-5);
}

#[test]
fn golden_forward_pass_of_the_papers_generator() {
    let config = preset("paper");
    let background = [
        "n.bg.conv1",
        "n.bg.bn1",
        "n.bg.conv2",
        "n.bg.bn2",
        "n.bg.conv3",
        "n.bg.bn3",
        "n.bg.conv4",
        "n.bg.bn4",
        "n.bg.conv5",
    ];
    let layers = [&FOREGROUND[..], &background].concat();
    let (store, generator) = with_golden(&layers, |s| Generator::new(&s.source().pp("n"), &config).unwrap());
    let z = filled(&[2, 100], 0, 1.5, 0.0);

    let streams = generator.forward(&z, Mode::EVAL).unwrap();
    let Parts { foreground, mask, background } = streams.parts.unwrap();
    let video = [0.007962, 0.055573, 0.007792, 0.010327, 0.035718, 0.013585, 0.048274];
    assert_row("video", &streams.video, video);
    assert_row("f", &foreground, [0.043038, 0.091397, 0.035118, 0.033411, 0.073527, 0.025826, 0.040987]);
    assert_row("m", &mask, [0.480548, 0.480548, 0.480733, 0.478587, 0.479768, 0.475254, 0.475478]);
    let want = [-0.024676, 0.067326, -0.017506, -0.010862, 0.000850, 0.002498, 0.054880];
    assert_row("b", &background, want);

    let streams = generator.forward(&z, Mode::TRAIN).unwrap();
    let video = [0.022525, 0.191844, -0.009904, -0.017002, 0.072430, -0.006328, 0.113234];
    assert_row("video, training", &streams.video, video);
    let mask = [0.485463, 0.485463, 0.486031, 0.486448, 0.489194, 0.485129, 0.470692];
    assert_row("m, training", &streams.parts.unwrap().mask, mask);
    let running = |name: &str| values(&store.tensors(name)[name]);
    let mean = running("n.fg.bn1.running_mean");
    assert_near("running mean", &mean[..3], &[-0.045245, -0.038071, 0.005034], 1e-5);
    let var = running("n.fg.bn1.running_var");
    assert_near("running variance", &var[..3], &[1.227464, 1.182365, 1.099592], 1e-5);
}

const DISCRIMINATOR: [&str; 8] =
    ["n.conv1", "n.conv2", "n.bn2", "n.conv3", "n.bn3", "n.conv4", "n.bn4", "n.conv5"];

#[test]
fn golden_forward_pass_of_the_papers_discriminator() {
    let config = preset("paper");
    let (_, d) = with_golden(&DISCRIMINATOR, |s| Discriminator::new(&s.source().pp("n"), &config).unwrap());
    let x = filled(&[2, 3, 32, 64, 64], 0, 1.0, 0.0);
    let logits = values(&d.forward(&x, Mode::EVAL).unwrap());
    assert_near("logits", &logits, &[2.075700, -1.174990, 5.191869, 2.720051], 1e-3);
    let logits = values(&d.forward(&x, Mode::TRAIN).unwrap());
    assert_near("logits, training", &logits, &[0.396044, 0.647625, 4.135159, 0.235222], 1e-3);
}

#[test]
fn golden_forward_pass_of_the_conditional_networks() {
    let config = preset("conditional");
    let encoder = [
        "n.encoder.conv1",
        "n.encoder.conv2",
        "n.encoder.bn2",
        "n.encoder.conv3",
        "n.encoder.bn3",
        "n.encoder.conv4",
        "n.encoder.bn4",
    ];
    let background =
        ["n.bg.conv1", "n.bg.bn1", "n.bg.conv2", "n.bg.bn2", "n.bg.conv3", "n.bg.bn3", "n.bg.conv4"];
    let layers = [&encoder[..], &FOREGROUND, &background].concat();
    let (_, generator) = with_golden(&layers, |s| Generator::new(&s.source().pp("n"), &config).unwrap());
    let streams = generator.forward(&filled(&[1, 3, 64, 64], 0, 1.0, 0.0), Mode::EVAL).unwrap();
    assert_row(
        "video",
        &streams.video,
        [0.068436, 0.135544, 0.003278, 0.072154, 0.045312, 0.038692, 0.045028],
    );
    let parts = streams.parts.unwrap();
    assert_near("m", &[mean(&values(&parts.mask))], &[0.501420], 2e-5);
    assert_near("b", &[mean(&values(&parts.background))], &[0.061582], 2e-5);

    let (_, d) = with_golden(&DISCRIMINATOR, |s| Discriminator::new(&s.source().pp("n"), &config).unwrap());
    let logits = values(&d.forward(&filled(&[1, 3, 32, 64, 64], 0, 1.0, 0.0), Mode::EVAL).unwrap());
    assert_near("logits", &logits, &[-5.930963, 5.234683], 2e-3);
}

#[test]
fn an_empty_mask_shows_the_background_and_a_full_one_the_foreground() {
    let draw = |name: &str, shape: &[usize]| {
        Rng::new(3).stream(name).uniform_tensor(shape, -1.0, 1.0, DType::F32, &Device::Cpu).unwrap()
    };
    let (foreground, background) = (draw("f", &[2, 3, 32, 4, 4]), draw("b", &[2, 3, 4, 4]));
    let composed = |m: f32| {
        let mask = Tensor::full(m, (2, 1, 32, 4, 4), &Device::Cpu).unwrap();
        Parts { foreground: foreground.clone(), mask, background: background.clone() }.compose().unwrap()
    };
    let empty = composed(0.0);
    for t in 0..32 {
        assert_eq!(values(&empty.narrow(2, t, 1).unwrap()), values(&background));
    }
    assert_eq!(values(&composed(1.0)), values(&foreground));
    let between = values(&composed(0.3));
    let repeated = background.unsqueeze(2).unwrap().broadcast_as((2, 3, 32, 4, 4)).unwrap();
    let (f, b) = (values(&foreground), values(&repeated.contiguous().unwrap()));
    assert!(between.iter().zip(f.iter().zip(&b)).all(|(x, (f, b))| (f.min(*b)..=f.max(*b)).contains(x)));
}

/// Section 12: spreads at the specified initialisation; they depend on the seed, hence the wide bounds.
#[test]
fn initial_spreads_are_the_papers() {
    let trainer = Vgan::trainer(&preset("paper"), &Init::cpu(0)).unwrap();
    let VganTrainer::Adversarial(nets) = &trainer else { panic!("the paper's model is adversarial") };
    let z = Rng::new(1).stream("z").normal_tensor((8, 100), DType::F32, &Device::Cpu).unwrap();
    let streams = nets.generator().forward(&z, Mode::TRAIN).unwrap();
    let parts = streams.parts.unwrap();
    let std = |t: &Tensor| {
        let v = values(t);
        let m = mean(&v);
        (v.iter().map(|x| (x - m) * (x - m)).sum::<f64>() / v.len() as f64).sqrt()
    };
    let (f, b, m) = (std(&parts.foreground), std(&parts.background), std(&parts.mask));
    assert!(
        (0.12..0.19).contains(&f) && (0.08..0.13).contains(&b) && (0.025..0.055).contains(&m),
        "{f} {b} {m}"
    );
    assert!((mean(&values(&parts.mask)) - 0.5).abs() < 0.01);
    assert!(values(&streams.video).iter().all(|x| x.abs() < 0.9));
}

/// Other clip sizes than the paper's: multiples of 16.
#[test]
fn other_sizes_train_and_sample() {
    for sets in [["clip.frames=16", "clip.size=32"], ["clip.frames=48", "clip.size=16"]] {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let config: Config =
            resolve(&ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() }).unwrap();
        let mut trainer = Vgan::trainer(&config, &Init::cpu(1)).unwrap();
        let dims = config.clip_spec().dims(config.train.batch);
        let real = Rng::new(9).stream("real").uniform_tensor(&dims[..], -1.0, 1.0, DType::F32, &Device::Cpu);
        let mut log = vg_core::train::StepLog::default();
        let mut cx = vg_core::train::StepCx {
            rng: Rng::new(2),
            log: &mut log,
            step: 1,
            clips_seen: 0,
            epoch_clips: 1,
        };
        trainer.step(&vg_core::Batch::of_clips(real.unwrap()), &mut cx).unwrap();
        assert!(log.read().unwrap().iter().all(|s| s.value.is_finite()));
        let clips = trainer.sampler().unwrap().sample(&SampleRequest::seeds([1])).unwrap().tensor;
        assert_eq!(clips.dims(), config.clip_spec().dims(1));
    }
}
