//! Numbers of the paper and the official code that need no golden file.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::Rng;
use vg_core::config::{ConfigSource, ModelConfig, resolve};
use vg_core::loss::one_hot;
use vg_core::model::{Init, Model};
use vg_core::nn::{GruCell, Mode, ParamStore, RecurrentConfig};
use vg_core::testing::filled;
use vg_core::train::Trainer;
use vg_mocogan::{
    Config, Draws, Generator, ImageDiscriminator, Mocogan, MocoganTrainer, Noise, Start, VideoDiscriminator,
};

fn config(preset: &str, sets: &[&str]) -> Config {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some(preset), sets: &sets, ..Default::default() }).unwrap()
}

/// All networks with zeros in place of weights, which is quick: their names and shapes.
fn blank(config: &Config) -> ParamStore {
    let store = ParamStore::load(BTreeMap::new(), "nothing", DType::F32, &Device::Cpu).unwrap();
    Generator::new(&store.source(), config).unwrap();
    ImageDiscriminator::new(&store.source(), config).unwrap();
    VideoDiscriminator::new(&store.source(), config).unwrap();
    store
}

const NETWORKS: [&str; 3] = ["generator.", "image_discriminator.", "video_discriminator."];

fn counts(config: &Config) -> [usize; 3] {
    let store = blank(config);
    NETWORKS.map(|network| store.vars(network).iter().map(|(_, var)| var.elem_count()).sum())
}

/// Section 8 of the specification.
#[test]
fn parameter_counts_are_the_published_ones() {
    assert_eq!(counts(&config("paper", &[])), [3_249_864, 663_296, 11_253_504]);
    assert_eq!(counts(&config("paper-unconditional", &[])), [3_249_684, 663_296, 11_056_896]);
    assert_eq!(counts(&config("shapes", &["discriminator.image=full"])), [3_249_684, 2_765_568, 2_650_880]);
    let into_images = "categories.input=generator";
    for (classes, generator, video) in
        [(2, 3_266_068, 11_122_432), (4, 3_282_452, 11_187_968), (101, 4_077_076, 14_366_464)]
    {
        let count = format!("categories.count={classes}");
        let [g, _, v] = counts(&config("paper", &[into_images, &count]));
        assert_eq!((g, v), (generator, video), "{classes} classes");
    }
    assert_eq!(counts(&config("official", &[])), [3_298_836, 663_296, 11_253_504]);
    // 96x96: G_I has a first kernel of 6 and takes 60 numbers.
    let [faces, _, _] = counts(&config("paper-unconditional", &["clip.side=96"]));
    assert_eq!(faces, 3_863_424 + 660);
    assert_eq!(counts(&config("mug", &[])), [3_864_264, 663_296, 11_540_224]);
    assert_eq!(counts(&config("weizmann-paper", &[])), [3_864_354, 663_296, 11_761_408]);
    assert_eq!(counts(&config("weizmann", &[])), [3_282_452, 663_296, 11_187_968]);
    assert_eq!(counts(&config("ucf101", &[])), [4_077_076, 663_296, 14_366_464]);
    assert_eq!(counts(&config("weizmann-supervised", &[])), [3_249_804, 663_296, 11_187_968]);
    assert_eq!(counts(&config("shapes-supervised", &[])), [3_249_744, 663_296, 11_122_432]);
    let from_images = MocoganTrainer::new(&config("image-to-video", &[]), &Init::cpu(0)).unwrap();
    assert_eq!(from_images.parameters()["encoder"], 3_248_896);
    let store = blank(&config("paper-unconditional", &[]));
    let statistics = |network: &str| -> usize {
        store.buffers(network).iter().map(|(_, buffer)| buffer.elem_count()).sum()
    };
    assert_eq!(NETWORKS.map(statistics), [1920, 768, 1792]);
    let tiny = config("tiny", &[]);
    let trainer = Mocogan::trainer(&tiny, &Init::cpu(0)).unwrap();
    assert_eq!(trainer.parameters().values().sum::<usize>(), counts(&tiny).iter().sum::<usize>());
}

/// Where a tensor stands in the official module.
fn place(name: &str) -> (usize, usize) {
    let parts: Vec<&str> = name.split('.').collect();
    let tensors =
        ["weight", "weight_ih", "weight_hh", "bias", "bias_ih", "bias_hh", "running_mean", "running_var"];
    let layer = if parts[1] == "main" { parts[2].parse::<usize>().unwrap() + 1 } else { 0 };
    (layer, tensors.iter().position(|t| *t == parts[parts.len() - 1]).unwrap())
}

/// The store of one network with its tensors filled, numbered from 1 in module order.
fn golden(config: &Config, network: &str) -> ParamStore {
    let prefix = format!("{network}.");
    let mut names: Vec<(String, Vec<usize>)> =
        blank(config).tensors(&prefix).into_iter().map(|(k, t)| (k, t.dims().to_vec())).collect();
    names.sort_by_key(|(name, _)| place(name));
    let fill = |((name, shape), s): ((String, Vec<usize>), u32)| {
        let last = name.rsplit('.').next().unwrap();
        let (scale, shift) = match last {
            _ if name.contains("recurrent") => (0.3, 0.0),
            "weight" if shape.len() == 1 => (0.1, 1.0),
            "weight" => (0.05, 0.0),
            "running_var" => (0.5, 1.0),
            _ => (0.1, 0.0),
        };
        let tensor = filled(&shape, s, scale, shift);
        (name, tensor)
    };
    let tensors: BTreeMap<String, Tensor> = names.into_iter().zip(1..).map(fill).collect();
    ParamStore::load(tensors, "the golden weights", DType::F32, &Device::Cpu).unwrap()
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_near(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance * w.abs().max(1.0), "{what}: got {got:?}, want {want:?}");
    }
}

fn mean(v: &[f64]) -> f64 {
    v.iter().sum::<f64>() / v.len() as f64
}

fn mean_abs(v: &[f64]) -> f64 {
    v.iter().map(|x| x.abs()).sum::<f64>() / v.len() as f64
}

/// Section 12: the official generator's widths on a formula's weights, in f32 through the fast kernels.
#[test]
fn golden_forward_pass_of_the_generator() {
    let config = config("official", &[]);
    let store = golden(&config, "generator");
    let generator = Generator::new(&store.source(), &config).unwrap();
    store.finish().unwrap();
    let start = Start { content: filled(&[2, 50], 200, 1.5, 0.0), state: filled(&[2, 10], 0, 1.5, 0.0) };
    let noise: Vec<Tensor> = (0..16).map(|t| filled(&[2, 10], 100 + t, 1.5, 0.0)).collect();
    let noise = Tensor::stack(&noise, 1).unwrap();
    let motion = generator.motion.forward(&start.state, &noise, None, Mode::EVAL).unwrap();
    let code = |video: usize, k: usize| values(&motion.get(video).unwrap().get(k).unwrap())[..4].to_vec();
    assert_near("z_M(1)", &code(0, 0), &[-1.084992, -0.173545, -0.364191, -0.076872], 2e-6);
    assert_near("z_M(16)", &code(0, 15), &[-0.615659, -0.433506, 0.281668, -0.467521], 2e-6);
    assert_near("z_M(16), second", &code(1, 15), &[-0.582370, -0.264659, -0.002473, -0.186258], 2e-6);

    let classes = one_hot(&Tensor::new(&[3u32, 5], &Device::Cpu).unwrap(), 6, DType::F32).unwrap();
    let classes = classes.unsqueeze(1).unwrap().broadcast_as((2, 16, 6)).unwrap();
    let codes = generator.codes(&start, &noise, Some(&classes), Mode::EVAL).unwrap();
    let check = |mode, summary: [f64; 2], first: [f64; 4], last: f64, change: f64, tolerance| {
        let video = generator.decode(&codes, mode).unwrap();
        assert_eq!(video.dims(), [2, 3, 16, 64, 64]);
        let v = values(&video);
        assert_near("mean", &[mean(&v), mean_abs(&v)], &summary, tolerance);
        assert_near("first", &v[..4], &first, tolerance);
        assert_near("last", &v[v.len() - 1..], &[last], tolerance);
        let frame = |k: usize| video.narrow(2, k, 1).unwrap();
        let moved = mean_abs(&values(&(frame(0) - frame(15)).unwrap()));
        assert_near("change", &[moved], &[change], tolerance);
    };
    let first = [-0.013152, -0.009402, -0.025889, -0.011375];
    check(Mode::EVAL, [-0.019427, 0.028671], first, 0.020279, 0.003634, 1e-5);
    let first = [-0.098204, -0.051899, -0.110198, 0.055891];
    check(Mode::TRAIN, [-0.107621, 0.241718], first, 0.062656, 0.076200, 1e-4);
}

/// Section 12, latents: rows of one video share content and class, and classes are one-hot.
#[test]
fn latents_of_a_video_share_content_and_class() {
    let config = config("official", &[]);
    let trainer = MocoganTrainer::new(&config, &Init::cpu(1)).unwrap();
    let draws = Draws::new(&config, &Rng::new(3), DType::F32, &Device::Cpu).unwrap();
    let latents = &draws.d_video;
    let classes = one_hot(latents.classes.as_ref().unwrap(), 6, DType::F32).unwrap();
    let classes = classes.unsqueeze(1).unwrap().broadcast_as((3, 16, 6)).unwrap();
    let codes =
        trainer.generator().codes(&latents.start, &latents.noise, Some(&classes), Mode::EVAL).unwrap();
    assert_eq!(codes.dims(), [3, 16, 66]);
    let still = codes.narrow(2, 0, 56).unwrap();
    for k in 1..16 {
        let same = |k: usize| values(&still.narrow(1, k, 1).unwrap());
        assert_eq!(same(0), same(k));
    }
    let sums = values(&codes.narrow(2, 50, 6).unwrap().sum(2).unwrap());
    assert!(sums.iter().all(|s| *s == 1.0));
    assert_eq!(crate::config("paper", &[]).frame_latent(), 60);
    assert_eq!(crate::config("shapes", &[]).frame_latent(), 60);
}

/// Section 12: both kinds of image discriminators.
#[test]
fn golden_logits_of_images() {
    let images = filled(&[2, 3, 64, 64], 0, 1.0, 0.0);
    let of = |kind: &str, mode| {
        let config = config("paper", &[&format!("discriminator.image={kind}")]);
        let store = golden(&config, "image_discriminator");
        let d = ImageDiscriminator::new(&store.source(), &config).unwrap();
        store.finish().unwrap();
        d.forward(&images, &Noise::Off, mode).unwrap().real
    };
    assert_near("full", &values(&of("full", Mode::EVAL)), &[-0.394081, -0.239389], 2e-5);
    assert_near("full, training", &values(&of("full", Mode::TRAIN)), &[-0.790513, 1.148046], 1e-4);
    for (mode, all, first, last) in [
        (Mode::EVAL, 0.279796, [0.193299, 0.192524, 0.214000, 0.127652], 0.197236),
        (Mode::TRAIN, 0.773390, [0.388996, 1.862639, 0.975756, 1.545978], 1.364674),
    ] {
        let patches = of("patch", mode);
        assert_eq!(patches.dims(), [2, 4, 4]);
        let v = values(&patches);
        assert_near("patches, mean", &[mean(&v)], &[all], 1e-4);
        assert_near("patches", &v[..4], &first, 1e-4);
        assert_near("patches, last", &v[31..], &[last], 1e-4);
    }
}

/// Section 12: all three kinds of video discriminators.
#[test]
fn golden_logits_of_clips() {
    let clips = filled(&[2, 3, 16, 64, 64], 0, 1.0, 0.0);
    let of = |preset: &str, mode| {
        let config = config(preset, &[]);
        let store = golden(&config, "video_discriminator");
        let d = VideoDiscriminator::new(&store.source(), &config).unwrap();
        store.finish().unwrap();
        d.forward(&clips, &Noise::Off, mode).unwrap()
    };
    let (eval, train) = (of("paper-unconditional", Mode::EVAL), of("paper-unconditional", Mode::TRAIN));
    assert_near("full", &values(&eval.real), &[-15.688566, -10.219271], 2e-5);
    assert_near("full, training", &values(&train.real), &[-10.216963, -3.916497], 1e-4);

    let (eval, train) = (of("paper", Mode::EVAL), of("paper", Mode::TRAIN));
    assert_near("categorical", &values(&eval.real), &[-15.688568, -10.219265], 2e-5);
    assert_near("categorical, training", &values(&train.real), &[-10.216959, -3.916491], 1e-4);
    let classes = [-3.298859, -4.982900, -2.261240, -6.498763, -2.211837, 4.696923];
    assert_near("classes", &values(&eval.classes.unwrap())[..6], &classes, 1e-4);
    let classes = [-4.472489, -0.679563, 6.441305, 0.980194, 0.954299, -9.529387];
    assert_near("classes, training", &values(&train.classes.unwrap())[..6], &classes, 3e-4);

    for (mode, all, first, last) in [
        (Mode::EVAL, 1.291246, [1.102344, -0.356976, 0.893633, -0.094576], 0.260058),
        (Mode::TRAIN, 1.084904, [2.277250, -0.139984, 1.363166, -1.632670], -1.011985),
    ] {
        let patches = of("shapes", mode).real;
        assert_eq!(patches.dims(), [2, 4, 4, 4]);
        let v = values(&patches);
        assert_near("patches, mean", &[mean(&v)], &[all], 1e-4);
        assert_near("patches", &v[..4], &first, 1e-4);
        assert_near("patches, last", &v[127..], &[last], 1e-4);
    }
}

/// Section 12: shapes of logits, and clips of the wrong length.
#[test]
fn logits_have_the_published_shapes() {
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let narrow = ["discriminator.width=1", "clip.side=96"];
    let faces = MocoganTrainer::new(&config("paper", &narrow), &Init::cpu(0)).unwrap();
    let patches = faces.image_discriminator().unwrap();
    let patches = patches.forward(&zeros(&[2, 3, 96, 96]), &Noise::Off, Mode::EVAL);
    assert_eq!(patches.unwrap().real.dims(), [2, 6, 6]);
    let on = |frames| {
        faces.video_discriminator().forward(&zeros(&[2, 3, frames, 96, 96]), &Noise::Off, Mode::EVAL)
    };
    let logits = on(16).unwrap();
    assert_eq!((logits.real.dims(), logits.classes.unwrap().dims()), (&[2][..], &[2, 6][..]));
    let error = on(15).err().unwrap().to_string();
    assert!(error.contains("clips") && error.contains("15"), "{error}");
    // A batch of one keeps its axes.
    let alone =
        faces.video_discriminator().forward(&zeros(&[1, 3, 16, 96, 96]), &Noise::Off, Mode::EVAL).unwrap();
    assert_eq!((alone.real.dims(), alone.classes.unwrap().dims()), (&[1][..], &[1, 6][..]));
}

/// Section 12: a GRU cell by hand.
#[test]
fn tiny_gru() {
    let f64s = |values: Vec<f64>, shape: &[usize]| Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
    let ih: Vec<f64> = (0..12).map(|i| f64::from(i) / 10.0 - 0.5).collect();
    let hh: Vec<f64> = ih.chunks(2).rev().flatten().copied().collect();
    let bias = |step: f64| f64s((0..6).map(|i| f64::from(i) * step).collect(), &[6]);
    let tensors = BTreeMap::from([
        ("weight_ih".to_owned(), f64s(ih, &[6, 2])),
        ("weight_hh".into(), f64s(hh, &[6, 2])),
        ("bias_ih".into(), bias(0.1)),
        ("bias_hh".into(), bias(-0.05)),
    ]);
    let store = ParamStore::load(tensors, "the tiny cell", DType::F64, &Device::Cpu).unwrap();
    let cell = GruCell::new(2, 2, RecurrentConfig::default(), &store.source()).unwrap();
    let (x, h) = (f64s(vec![1.0, -2.0], &[1, 2]), f64s(vec![0.5, 0.25], &[1, 2]));
    let next = values(&cell.step(&x, &h, Mode::EVAL).unwrap());
    assert_near("h'", &next, &[0.0954694, -0.1664405], 1.5e-7);
}

/// Section 2.6: how far the initial weights spread the first clips.
#[test]
fn initial_clips_spread_as_measured_with_both_defaults() {
    let spread = |init: &str| {
        let config = config("paper-unconditional", &["train.batch=2", &format!("init={init}")]);
        let trainer = MocoganTrainer::new(&config, &Init::cpu(1)).unwrap();
        let latents = Draws::new(&config, &Rng::new(3), DType::F32, &Device::Cpu).unwrap().d_video;
        let given =
            Tensor::zeros(config.clip_spec().image_dims(2).to_vec(), DType::F32, &Device::Cpu).unwrap();
        let v = values(&trainer.clips(&latents, &given, Mode::TRAIN.frozen()).unwrap());
        let mean = mean(&v);
        (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt()
    };
    let (modern, old) = (spread("modern"), spread("pytorch-0.2"));
    assert!((modern - 0.56).abs() < 0.06, "{modern}");
    assert!((old - 0.12).abs() < 0.05, "{old}");
}

#[test]
fn presets_hold_their_published_values() {
    let preset = |name: &str| Config::preset(name).unwrap();
    assert_eq!((preset("official").images(), preset("official").train.batch), (10, 3));
    assert_eq!((preset("paper").images(), preset("small").images()), (32, 4));
    assert_eq!((preset("weizmann").categories.count, preset("ucf101").categories.count), (4, 101));
    for (name, side, classes) in
        [("mug", 96, 6), ("weizmann-paper", 96, 9), ("shapes-supervised", 64, 2), ("small", 64, 2)]
    {
        assert_eq!((preset(name).clip.side, preset(name).categories.count), (side, classes), "{name}");
    }
}
