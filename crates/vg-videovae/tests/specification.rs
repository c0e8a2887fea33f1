//! Numbers of the specification that need no golden file.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::config::{ConfigSource, ModelConfig, resolve};
use vg_core::model::{Init, Model};
use vg_core::nn::{LstmState, Mode, ParamStore};
use vg_core::testing::gradcheck::gradcheck;
use vg_core::testing::{uniform, uniform_tensor};
use vg_core::train::Trainer;
use vg_videovae::loss::{divergence, reconstruction};
use vg_videovae::{
    AttributeNet, Config, Encoder, EvaluationClassifier, Networks, Videovae, encode, one_hot, unroll,
};

fn config(preset: &str, sets: &[&str]) -> Config {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some(preset), sets: &sets, ..Default::default() }).unwrap()
}

/// Parameters of zeros, which is quick: names and shapes.
fn blank(build: impl Fn(&ParamStore)) -> ParamStore {
    let store = ParamStore::load(BTreeMap::new(), "nothing", DType::F32, &Device::Cpu).unwrap();
    build(&store);
    store
}

fn networks(config: &Config) -> ParamStore {
    blank(|store| drop(Networks::new(&store.source(), config).unwrap()))
}

fn total(store: &ParamStore) -> usize {
    store.parameters().values().sum()
}

/// Section 7.
#[test]
fn parameter_counts_are_the_published_ones() {
    let store = networks(&config("paper", &[]));
    let counts = store.parameters();
    for (network, count) in [
        ("enc", 1_897_874),
        ("attr_net", 68_115),
        ("post_q", 197_760),
        ("post_a", 265_728),
        ("post_dy", 328_832),
        ("mlp_lstm", 131_712),
        ("prior", 200_192),
        ("dec", 1_898_552),
        ("lstm", 4_198_400),
    ] {
        assert_eq!(counts[network], count, "{network}");
    }
    assert_eq!(total(&store), 9_187_165);
    assert_eq!(total(&networks(&config("paper", &["networks.decoder_sees_h=true"]))), 9_711_453);
    let stage_1 = blank(|store| {
        let (source, config) = (store.source(), config("weizmann-classifier", &[]));
        Encoder::new(&source, &config).unwrap();
        AttributeNet::new(&source, &config).unwrap();
    });
    assert_eq!(total(&stage_1), 1_965_989);
    for (preset, count) in
        [("evaluation-classifier", 11_351_808), ("evaluation-classifier-joint", 13_973_248)]
    {
        let config = config(preset, &[]);
        let store = blank(|store| drop(EvaluationClassifier::new(&store.source(), &config).unwrap()));
        assert_eq!(total(&store), count, "{preset}");
    }
}

/// What is frozen is not counted among what a run trains.
#[test]
fn trained_parameters_are_those_of_the_stage() {
    let of = |preset: &str| Videovae::trainer(&config(preset, &[]), &Init::cpu(0)).unwrap().parameters();
    assert_eq!(of("paper").values().sum::<usize>(), 9_187_165 - 1_965_989);
    assert_eq!(of("weizmann-classifier").into_keys().collect::<Vec<_>>(), ["attr_net", "enc"]);
    assert!(!of("tiny").contains_key("enc"));
}

/// Section 2.6.
#[test]
fn initial_weights_are_those_of_the_port_or_of_pytorch() {
    let values = |config: &Config, name: &str| {
        let store = ParamStore::init(vg_core::Rng::new(1), DType::F64, &Device::Cpu);
        Networks::new(&store.source(), config).unwrap();
        store.tensors(name)[name].flatten_all().unwrap().to_vec1::<f64>().unwrap()
    };
    let std = |v: &[f64]| (v.iter().map(|x| x * x).sum::<f64>() / v.len() as f64).sqrt();
    let paper = config("paper", &[]);
    let near = |got: f64, want: f64| assert!((got / want - 1.0).abs() < 0.05, "{got} {want}");
    near(std(&values(&paper, "enc.conv2.conv1.weight")), (2.0f64 / (20.0 * 49.0)).sqrt());
    near(std(&values(&paper, "enc.fc5.weight")), (1.0 / 1280.0 / 3.0f64).sqrt());
    near(std(&values(&paper, "dec.convt4.convt1.weight")), (1.0 / (20.0 * 25.0) / 3.0f64).sqrt());
    near(std(&values(&paper, "lstm.weight_hh")), (1.0 / 512.0 / 3.0f64).sqrt());
    let small = config("paper", &["networks.small_linear_init=true"]);
    near(std(&values(&small, "prior.fc21.weight")), 0.001);
    assert!(values(&small, "prior.fc21.bias").iter().all(|b| *b == 0.0));
}

/// Section 10.2: how many tensors of each network come before in the port's order.
fn golden() -> (Config, Networks) {
    let config = config("paper", &[]);
    let mut order: Vec<String> = Vec::new();
    let mut layer =
        |name: &str, parts: &[&str]| order.extend(parts.iter().map(|part| format!("{name}.{part}")));
    let both = &["weight", "bias"][..];
    for k in 1..=4 {
        layer(&format!("enc.conv{k}.conv1"), &["weight"]);
        layer(&format!("enc.conv{k}.bn1"), both);
    }
    for name in ["enc.fc5", "enc.fc6", "attr_net.fc1", "attr_net.fc_class", "attr_net.fc_identity"] {
        layer(name, both);
    }
    for name in ["post_q", "post_a", "post_dy", "mlp_lstm", "prior"] {
        let parts: &[&str] = if name == "mlp_lstm" { &["fc1", "fc2"] } else { &["fc1", "fc21", "fc22"] };
        parts.iter().for_each(|part| layer(&format!("{name}.{part}"), both));
    }
    layer("dec.fc1", both);
    layer("dec.fc2", both);
    for k in 3..=5 {
        layer(&format!("dec.convt{k}.convt1"), both);
        layer(&format!("dec.convt{k}.bn1"), both);
    }
    layer("dec.convt6", &["weight"]);
    layer("lstm", &["weight_ih", "weight_hh", "bias_ih", "bias_hh"]);
    assert_eq!(order.len(), 71);

    let mut tensors = networks(&config).tensors("");
    for (name, n) in order.iter().zip(800..) {
        let dims = tensors[name].dims().to_vec();
        let count: usize = dims.iter().product();
        let (scale, shift) = match dims.len() {
            1 if name.contains(".bn1.weight") => (0.1, 1.0),
            1 => (0.1, 0.0),
            _ => ((3.0 * dims[0] as f64 / count as f64).sqrt(), 0.0),
        };
        let values: Vec<f64> =
            (0..count as u64).map(|k| shift + scale * (2.0 * uniform(n, k) - 1.0)).collect();
        tensors.insert(name.clone(), Tensor::from_vec(values, dims, &Device::Cpu).unwrap());
    }
    for (name, tensor) in &mut tensors {
        if name.contains("running_") {
            let neutral = if name.ends_with("var") { 1f64 } else { 0.0 };
            *tensor = Tensor::full(neutral, tensor.dims(), &Device::Cpu).unwrap();
        }
    }
    let store = ParamStore::load(tensors, "the golden weights", DType::F64, &Device::Cpu).unwrap();
    let networks = Networks::new(&store.source(), &config).unwrap();
    store.finish().unwrap();
    (config, networks)
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn sum(t: &Tensor) -> f64 {
    values(t).iter().sum()
}

fn squares(t: &Tensor) -> f64 {
    values(t).iter().map(|x| x * x).sum()
}

fn assert_near(what: &str, got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= 1e-5 * w.abs() + 1e-6, "{what}: got {got:?}, want {want:?}");
    }
}

/// Section 10.2, in f64, with z at its mean.
#[test]
fn golden_passes_of_the_published_widths() {
    let (config, nets) = golden();
    let mode = Mode::EVAL;
    let frames: Vec<Tensor> = (0..3)
        .map(|t| {
            let u = uniform_tensor(1500 + t, &[2, 3, 64, 64]).to_dtype(DType::F64).unwrap();
            ((u * 2.0).unwrap() - 1.0).unwrap()
        })
        .collect();
    let labels = [vec![3, 7], vec![0, 8]];
    let attributes = one_hot(&config, &labels, DType::F64, &Device::Cpu).unwrap();
    let vectors = encode(&nets, &frames, None, mode).unwrap();

    let first = vectors.narrow(0, 0, 2).unwrap();
    let mut want = vec![2.351001, 13.823435, -0.134465, 0.080052, 0.130040, 0.075478];
    let mut got = vec![sum(&first), squares(&first)];
    got.extend(&values(&first)[..4]);
    assert_near("encoder", &got, &want);
    let logits = nets.attributes.forward(&first, mode).unwrap();
    want = vec![0.041750, 0.282090, -0.252982, 0.023164, 0.016807, -0.061497];
    got = vec![sum(&logits[0]), squares(&logits[0])];
    got.extend(&values(&logits[0])[..4]);
    assert_near("action", &got, &want);
    got = vec![sum(&logits[1])];
    got.extend(&values(&logits[1])[..4]);
    assert_near("identity", &got, &[0.939773, 0.171300, 0.100994, 0.133675, -0.004164]);

    let eps = Tensor::zeros((3, 2, 512), DType::F64, &Device::Cpu).unwrap();
    let out = unroll(&nets, &config, &frames, &vectors, &attributes, &eps, mode).unwrap();
    // z: sum, sum of squares, first two; h: sum, sum of squares; sums of the prior's means and log-variances, of the posterior's
    // log-variances; frame: sum, sum of squares, first two; L1, L2, KL.
    let golden: [[f64; 16]; 3] = [
        [
            6.993504, 9.093583, 0.068835, 0.027457, -0.658039, 1.122532, -0.308780, -7.343400, 4.935960,
            520.226177, 119.758180, -0.008960, 0.003069, 12359.006, 8313.877, 14.513324,
        ],
        [
            6.348564, 8.796367, 0.007162, 0.049139, -1.333731, 2.395499, -1.204443, -6.976904, 4.515869,
            520.740454, 119.780252, -0.008922, 0.003100, 12394.644, 8389.059, 13.985962,
        ],
        [
            7.109213, 8.697086, 0.056139, 0.038400, -1.584048, 3.349864, -1.616432, -6.794296, 4.223385,
            521.160062, 119.753091, -0.008935, 0.003082, 12393.606, 8348.072, 13.556375,
        ],
    ];
    let kinds = [vg_videovae::config::Reconstruction::L1Sum, vg_videovae::config::Reconstruction::L2Sum];
    for (t, want) in golden.iter().enumerate() {
        let rows = |all: &Tensor| all.narrow(0, 2 * t, 2).unwrap();
        let (z, frame, LstmState { h, .. }) = (rows(&out.latents), &out.frames[t], &out.states[t]);
        let mut got = vec![sum(&z), squares(&z)];
        got.extend(&values(&z)[..2]);
        got.extend([sum(h), squares(h)]);
        got.extend([&out.prior.mu, &out.prior.log_var, &out.posterior.log_var].map(|all| sum(&rows(all))));
        got.extend([sum(frame), squares(frame)]);
        got.extend(&values(frame)[..2]);
        got.extend(kinds.map(|kind| sum(&reconstruction(frame, &frames[t], kind).unwrap())));
        got.push(values(&out.kl)[t]);
        assert_near(&format!("frame {t}"), &got, want);
    }
    assert_near("totals", &[sum(&out.rec), sum(&out.kl)], &[37147.254, 42.055660]);
}

/// Gradients through the whole pass, of what is compared and of the divergence.
#[test]
fn gradients_of_the_unrolled_pass_agree_with_differences() {
    let sets = [
        "networks.linear_output=true",
        "networks.decoder_sees_h=true",
        "train.reconstruction=l2-sum",
        "clip.side=16",
        "networks.kernels=[3,3,3,2]",
        "networks.strides=[1,2,1,1]",
    ];
    let config = config("tiny", &sets);
    let store = ParamStore::init(vg_core::Rng::new(4), DType::F64, &Device::Cpu);
    let nets = Networks::new(&store.source(), &config).unwrap();
    let draw = |name: &str, dims: &[usize]| {
        vg_core::Rng::new(9).stream(name).normal_tensor(dims, DType::F64, &Device::Cpu).unwrap()
    };
    let frames: Vec<Tensor> = ["a", "b"].map(|name| draw(name, &[2, 3, 16, 16])).to_vec();
    let (vectors, attributes, eps) = (draw("v", &[4, 5]), draw("y", &[2, 4]), draw("eps", &[2, 2, 5]));
    let inputs = [vectors, attributes, eps];
    let mode = Mode::TRAIN.keep_running();
    gradcheck(
        |t| {
            let out = unroll(&nets, &config, &frames, &t[0], &t[1], &t[2], mode)?;
            Ok(Tensor::cat(&[(out.rec / 100.0)?, out.kl], 0)?)
        },
        &inputs,
    )
    .unwrap();
    // A posterior that is the prior costs nothing.
    let out = unroll(&nets, &config, &frames, &inputs[0], &inputs[1], &inputs[2], mode).unwrap();
    assert!(values(&divergence(&out.prior, &out.prior, 2).unwrap()).iter().all(|kl| kl.abs() < 1e-14));
}

#[test]
fn configurations_that_make_no_sense_are_named() {
    let error = |preset: &str, sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let source = ConfigSource { preset: Some(preset), sets: &sets, ..Default::default() };
        resolve::<Config>(&source).unwrap_err().to_string()
    };
    for (preset, set, part) in [
        ("paper", "attributes.classes=[10]", "one number for each of the 2 names"),
        ("paper", "attributes.names=[\"class\",\"class\"]", "twice"),
        ("paper", "attributes.names=[\"class\",\"a.b\"]", "without dots"),
        ("paper", "attributes.classes=[10,1]", "attributes.classes"),
        ("paper", "attributes.classes=[60000,60000]", "in their product"),
        ("paper", "attributes.labelled_fraction=1.5", "labelled_fraction"),
        ("weizmann-classifier", "attributes.labelled_fraction=0.0", "above 0 for a classifier"),
        ("paper", "clip.side=32", "every kernel fits"),
        ("paper", "clip.channels=2", "1 or 3"),
        ("paper", "train.beta=-1.0", "train.beta"),
        ("paper", "train.lr_decay=1.5", "train.lr_decay"),
        ("paper", "networks.strides=[0,1,1,1]", "networks.strides"),
        ("evaluation-classifier", "clip.frames=12", "10 for the evaluation classifier"),
        ("evaluation-classifier", "evaluation.crop=40", "evaluation.crop"),
    ] {
        let text = error(preset, &[set]);
        assert!(text.contains(part), "{set}: {text}");
    }
    assert!(Config::preset("paper").unwrap().validate().is_ok());
}
