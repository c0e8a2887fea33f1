//! Numbers that the specification gives without a file: the tiny model end to end, sizes of all networks, and single layers.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use vg_core::Rng;
use vg_core::config::{ConfigSource, ModelConfig, resolve};
use vg_core::grad::backward;
use vg_core::nn::{Mode, ParamStore};
use vg_core::ops::fold::unfold_frames;
use vg_core::ops::pool::{PoolParams, avg_pool};
use vg_core::ops::rows::take_rows;
use vg_dvdgan::macs::macs;
use vg_dvdgan::{Attention, Config, Discriminator, Generator, Run, loss};

fn config(preset: &str, sets: &[&str]) -> Config {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some(preset), sets: &sets, ..Default::default() }).unwrap()
}

/// Section 10.1: ch 4, 16x16, three classes, four frames.
fn small() -> Config {
    config(
        "tiny",
        &[
            "clip.frames=4",
            "classes.counts=[3]",
            "latent.noise=8",
            "latent.embedding=8",
            "generator.multipliers=[4,2,1]",
            "discriminator.multipliers=[1,2,2]",
            "discriminator.spatial_attention=[]",
            "norm.spectral_eps=1e-12",
        ],
    )
}

/// Tensor k of section 10.1.
fn formula(shape: &[usize], k: usize, scale: f64) -> Tensor {
    let n: usize = shape.iter().product();
    let value = |i: usize| {
        let number = (31 * i * i + 17 * i + 101 * (k + 1)) % 1009;
        scale * (number as f64 / 504.0 - 1.0)
    };
    Tensor::from_vec((0..n).map(value).collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
}

/// A store whose tensors of the given names in order are those of the formula; vectors of power iterations are even.
fn filled(names: &[String], build: impl Fn(&ParamStore)) -> ParamStore {
    let shapes = ParamStore::init(Rng::new(0), DType::F64, &Device::Cpu);
    build(&shapes);
    let found = shapes.shapes();
    assert_eq!(found.keys().cloned().collect::<Vec<_>>(), {
        let mut sorted = names.to_vec();
        sorted.sort();
        sorted
    });
    let mut tensors: BTreeMap<String, Tensor> = BTreeMap::new();
    for (k, name) in names.iter().enumerate() {
        let scale = match name.as_str() {
            "generator.embed.weight" => 0.5,
            name if name.ends_with(".weight") => 0.25,
            _ => 0.05,
        };
        tensors.insert(name.clone(), formula(&found[name], k, scale));
    }
    for (name, buffer) in shapes.buffers("") {
        let value = match buffer.dims() {
            [rows] => Tensor::full(1.0 / (*rows as f64).sqrt(), *rows, &Device::Cpu).unwrap(),
            _ => buffer.as_detached_tensor(),
        };
        tensors.insert(name, value);
    }
    let store = ParamStore::load(tensors, "a formula", DType::F64, &Device::Cpu).unwrap();
    build(&store);
    store.finish().unwrap();
    store
}

fn with_bias(prefix: &str, layers: &[&str]) -> Vec<String> {
    let both = |layer: &&str| [format!("{prefix}.{layer}.weight"), format!("{prefix}.{layer}.bias")];
    layers.iter().flat_map(both).collect()
}

fn norm(prefix: &str, name: &str) -> [String; 2] {
    ["gain", "bias"].map(|map| format!("{prefix}.{name}.{map}.weight"))
}

fn generator_names() -> Vec<String> {
    let mut names = vec!["generator.embed.weight".to_owned()];
    names.extend(with_bias("generator", &["linear"]));
    for stage in 0..2 {
        let stage = format!("generator.stages.{stage}");
        names.extend(with_bias(&stage, &["gru.read", "gru.update", "gru.out"]));
        for block in ["block_a", "block_b"] {
            let block = format!("{stage}.{block}");
            names.extend(norm(&block, "bn1"));
            names.extend(with_bias(&block, &["conv1"]));
            names.extend(norm(&block, "bn2"));
            names.extend(with_bias(&block, &["conv2"]));
        }
        names.extend(with_bias(&format!("{stage}.block_b"), &["conv_sc"]));
    }
    names.extend(norm("generator", "out_bn"));
    names.extend(with_bias("generator", &["out_conv"]));
    names
}

fn discriminator_names(network: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (block, layers) in [(0, 3), (1, 3), (2, 2)] {
        let block = format!("{network}.blocks.{block}");
        names.extend(with_bias(&block, &["conv1", "conv2", "conv_sc"][..layers]));
    }
    names.extend(with_bias(network, &["linear"]));
    names.push(format!("{network}.embed.weight"));
    names
}

fn generator(config: &Config) -> (ParamStore, Generator) {
    let build = |store: &ParamStore| drop(Generator::new(&store.source(), config).unwrap());
    let store = filled(&generator_names(), build);
    // The same tensors again for a network of our own.
    let again = ParamStore::load(store.tensors(""), "a formula", DType::F64, &Device::Cpu).unwrap();
    let network = Generator::new(&again.source(), config).unwrap();
    (again, network)
}

fn discriminator(network: &str, config: &Config) -> (ParamStore, Discriminator) {
    let new = |store: &ParamStore| match network {
        "spatial" => Discriminator::spatial(&store.source(), config).unwrap(),
        _ => Discriminator::temporal(&store.source(), config).unwrap(),
    };
    let store = filled(&discriminator_names(network), |store| drop(new(store)));
    let again = ParamStore::load(store.tensors(""), "a formula", DType::F64, &Device::Cpu).unwrap();
    let network = new(&again);
    (again, network)
}

fn noise() -> Tensor {
    let value = |k: usize| ((31 * (k / 8) + 17 * (k % 8)) % 13) as f64 / 6.0 - 1.0;
    Tensor::from_vec((0..16).map(value).collect::<Vec<_>>(), (2, 8), &Device::Cpu).unwrap()
}

/// `((5b + 3t + 7c + 2y + x) mod 17) / 8 - 1`, as rows of frames.
fn real() -> Tensor {
    let mut values = Vec::new();
    for (b, t, c) in (0..2).flat_map(|b| (0..4).flat_map(move |t| (0..3).map(move |c| (b, t, c)))) {
        for (y, x) in (0..16).flat_map(|y| (0..16).map(move |x| (y, x))) {
            values.push(((5 * b + 3 * t + 7 * c + 2 * y + x) % 17) as f64 / 8.0 - 1.0);
        }
    }
    Tensor::from_vec(values, (8, 3, 16, 16), &Device::Cpu).unwrap()
}

fn near(found: &[f64], want: &[f64]) {
    assert_eq!(found.len(), want.len());
    for (a, b) in found.iter().zip(want) {
        assert!((a - b).abs() < 1e-9 * b.abs().max(1.0), "{found:?} is not {want:?}");
    }
}

fn vec(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn clips(config: &Config) -> (ParamStore, Tensor) {
    let (store, network) = generator(config);
    let embedding = network.embed(&[0, 2], Mode::TRAIN).unwrap();
    (store, network.forward(&noise(), &embedding, None, Run::train(config)).unwrap())
}

/// Frames 0 and 2 of each clip.
fn seen(frames: &Tensor) -> Tensor {
    take_rows(frames, &[0, 2, 4, 6]).unwrap()
}

fn halved(frames: &Tensor) -> Tensor {
    unfold_frames(&avg_pool(frames, &PoolParams::uniform(2, 2)).unwrap(), 4).unwrap()
}

/// Section 10.1, the generator.
#[test]
fn clips_of_the_tiny_generator() {
    let config = small();
    let (store, video) = clips(&config);
    assert_eq!(store.parameters()["generator"], 32_819);
    assert_eq!(store.shapes().len(), 55);
    let mean = video.mean_all().unwrap();
    let std = video.broadcast_sub(&mean).unwrap().sqr().unwrap().mean_all().unwrap().sqrt().unwrap();
    let largest = video.abs().unwrap().max_all().unwrap();
    near(
        &[&mean, &std, &largest].map(|t| t.to_scalar().unwrap()),
        &[-0.133808174433, 0.318426441598, 0.967075281449],
    );
    let pixel = |row: usize, y: usize, x: usize| {
        (0..3)
            .map(|c| {
                video
                    .get(row)
                    .unwrap()
                    .get(c)
                    .unwrap()
                    .get(y)
                    .unwrap()
                    .get(x)
                    .unwrap()
                    .to_scalar::<f64>()
                    .unwrap()
            })
            .collect::<Vec<_>>()
    };
    near(&pixel(0, 0, 0), &[-0.299146499213, 0.291410975530, -0.139572069926]);
    near(&pixel(7, 8, 8), &[-0.055036400865, 0.010149012922, -0.109997775914]);
    let line = video.get(2).unwrap().get(1).unwrap().get(15).unwrap().narrow(0, 0, 4).unwrap();
    near(&vec(&line), &[0.048475601719, 0.292341612365, -0.186171683374, 0.392415830991]);
    let means = video.narrow(0, 0, 4).unwrap().mean((1, 2, 3)).unwrap();
    near(&vec(&means), &[-0.173553377461, -0.175289702878, -0.174972738046, -0.172037270795]);
}

/// Section 10.1, sigmas: the divided weights tell them.
#[test]
fn sigmas_of_the_tiny_generator() {
    use vg_core::ops::spectral_norm::spectral_norm;
    let (store, _) = generator(&small());
    for (name, want) in [
        ("linear", 2.353817045528504),
        ("stages.0.gru.out", 2.5509337482903742),
        ("stages.0.block_a.bn1.gain", 0.830626661601612),
        ("out_conv", 0.9147540091340414),
    ] {
        let of =
            |part: &str| store.tensors(&format!("generator.{name}.{part}")).into_values().next().unwrap();
        let found = spectral_norm(&of("weight"), &of("weight_u"), 1e-12).unwrap();
        near(&[found.sigma], &[want]);
    }
}

/// Section 10.1, scores, losses and gradients.
#[test]
fn scores_and_gradients_of_the_tiny_model() {
    let config = small();
    let (store, video) = clips(&config);
    let (spatial_store, spatial) = discriminator("spatial", &config);
    let (temporal_store, temporal) = discriminator("temporal", &config);
    assert_eq!(spatial_store.parameters()["spatial"], 2_397);
    assert_eq!(temporal_store.parameters()["temporal"], 4_629);
    let eval = Mode::EVAL;
    let frames = spatial.frame_scores(&seen(&video), &[0, 2], eval).unwrap();
    near(&vec(&frames), &[10.950076948917, 11.493224120492, 0.753709851684, 0.797236693292]);
    let on_frames = spatial.forward(&seen(&video), &[0, 2], eval).unwrap();
    near(&vec(&on_frames), &[22.443301069409, 1.550946544977]);
    let on_clips = temporal.forward(&halved(&video), &[0, 2], eval).unwrap();
    near(&vec(&on_clips), &[1.782348313672, 0.026534237363]);
    let total = (loss::generator(&on_frames).unwrap() + loss::generator(&on_clips).unwrap()).unwrap();
    near(&[total.to_scalar().unwrap()], &[-12.901565082711]);

    let grads = backward(&total).unwrap();
    let norm = |store: &ParamStore, grads: &vg_core::grad::Grads, name: &str| {
        let var: Var = store.vars(name).into_iter().next().unwrap().1;
        let grad = grads.get(var.as_tensor()).unwrap();
        grad.sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt()
    };
    for (name, want) in [
        ("embed.weight", 11.016679430951),
        ("linear.weight", 27.004191706484),
        ("stages.0.gru.read.weight", 0.057972942059),
        ("stages.0.gru.out.weight", 28.237870157133),
        ("stages.1.block_b.bn2.gain.weight", 12.373159425366),
        ("out_conv.weight", 51.330723056803),
        ("out_conv.bias", 19.735194043750),
    ] {
        near(&[norm(&store, &grads, &format!("generator.{name}"))], &[want]);
    }

    let real = real();
    let mode = Mode::TRAIN.keep_running();
    let fake = video.detach();
    let score = |d: &Discriminator, x: &Tensor, classes: &[usize]| d.forward(x, classes, mode).unwrap();
    let s = [score(&spatial, &seen(&real), &[1, 1]), score(&spatial, &seen(&fake), &[0, 2])];
    let t = [score(&temporal, &halved(&real), &[1, 1]), score(&temporal, &halved(&fake), &[0, 2])];
    near(&vec(&s[0]), &[1.382785083468, 1.537327548136]);
    near(&vec(&t[0]), &[0.731112997084, 0.738024013390]);
    let losses = [&s, &t].map(|pair| loss::hinge(&pair[0], &pair[1]).unwrap());
    near(&losses.each_ref().map(|l| l.to_scalar().unwrap()), &[12.997123807193, 2.169872770280]);
    let [of_s, of_t] = losses.map(|l| backward(&l).unwrap());
    near(&[norm(&spatial_store, &of_s, "spatial.blocks.0.conv1.weight")], &[18.731265901860]);
    near(&[norm(&temporal_store, &of_t, "temporal.blocks.0.conv1.weight")], &[2.610520955425]);
}

/// Section 10.4.
#[test]
fn attention_of_the_specification() {
    let mut config = small();
    config.norm.spectral_eps = 1e-12;
    let value = |i: usize, k: usize| (((7919 * i + 104_729 * (k + 1)) % 2003) as f64 / 1001.0) - 1.0;
    let filled = |shape: &[usize], k: usize, a: f64| {
        let n: usize = shape.iter().product();
        Tensor::from_vec((0..n).map(|i| a * value(i, k)).collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
    };
    // The published numbers have no spectral norm. At converged vectors it divides each weight by its sigma: those of g and o are undone by
    // gamma, and the scores are compared with a reference that divides them by the other two.
    let weights = [("theta", [1, 8], 1), ("phi", [1, 8], 2), ("g", [4, 8], 3), ("o", [8, 4], 4)];
    let mut tensors = BTreeMap::new();
    let mut sigmas = BTreeMap::new();
    for (name, [rows, columns], k) in weights {
        let weight = filled(&[rows, columns, 1, 1], k, 0.5);
        let mut u = Tensor::ones(rows, DType::F64, &Device::Cpu).unwrap();
        let mut sigma = 0.0;
        for _ in 0..300 {
            let found = vg_core::ops::spectral_norm::spectral_norm(&weight, &u, 1e-12).unwrap();
            (u, sigma) = (found.u, found.sigma);
        }
        tensors.insert(format!("{name}.weight"), weight);
        tensors.insert(format!("{name}.weight_u"), u);
        sigmas.insert(name, sigma);
    }
    let x = filled(&[1, 8, 4, 4], 0, 1.0);
    let gamma = 0.7 * sigmas["g"] * sigmas["o"];
    tensors.insert("gamma".into(), Tensor::new(gamma, &Device::Cpu).unwrap());
    let product = sigmas["theta"] * sigmas["phi"];
    let store = ParamStore::load(tensors, "a formula", DType::F64, &Device::Cpu).unwrap();
    let layer = Attention::new(8, &config, &store.source()).unwrap();
    store.finish().unwrap();
    let ours = layer.forward(&x, Mode::EVAL).unwrap();
    let theirs = reference(&x, &filled, product);
    let apart = (&ours - &theirs).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap();
    assert!(apart < 1e-9, "{apart}");
    // The reference without the division has the published numbers.
    let plain = reference(&x, &filled, 1.0);
    near(
        &vec(&plain.get(0).unwrap().get(0).unwrap().get(0).unwrap()),
        &[-0.5436217125, -0.6364794964, -0.7299276550, -0.8227572943],
    );
    let length = plain.sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt();
    near(&[plain.sum_all().unwrap().to_scalar().unwrap(), length], &[-3.6879615443, 6.9337352452]);
}

/// The block in candle's operations; scores are divided by `product`.
fn reference(x: &Tensor, filled: &dyn Fn(&[usize], usize, f64) -> Tensor, product: f64) -> Tensor {
    let flat = x.reshape((8, 16)).unwrap();
    let pooled = |y: Tensor| {
        let rows = y.dim(0).unwrap();
        let y = y.reshape((1, rows, 4, 4)).unwrap();
        vg_core::ops::pool::max_pool(&y, &PoolParams::uniform(2, 2)).unwrap().reshape((rows, 4)).unwrap()
    };
    let map = |shape: &[usize], k: usize, y: &Tensor| filled(shape, k, 0.5).matmul(y).unwrap();
    let (q, k) = (map(&[1, 8], 1, &flat), pooled(map(&[1, 8], 2, &flat)));
    let v = pooled(map(&[4, 8], 3, &flat));
    let scores = (q.t().unwrap().matmul(&k).unwrap() / product).unwrap();
    let beta = vg_core::ops::attention::softmax(&scores).unwrap();
    if product == 1.0 {
        near(&vec(&beta.get(0).unwrap()), &[0.2396999614, 0.2547320469, 0.2548237678, 0.2507442240]);
    }
    let mixed = v.matmul(&beta.t().unwrap()).unwrap();
    let out = (map(&[8, 4], 4, &mixed) * 0.7).unwrap();
    (out.reshape((1, 8, 4, 4)).unwrap() + x).unwrap()
}

/// Section 7, counted without memory for the weights.
#[test]
fn sizes_of_all_networks() {
    let count = |config: &Config| {
        let store = ParamStore::counted();
        Generator::new(&store.source(), config).unwrap();
        Discriminator::spatial(&store.source(), config).unwrap();
        Discriminator::temporal(&store.source(), config).unwrap();
        let counts = store.parameters();
        ["generator", "spatial", "temporal"].map(|network| counts[network])
    };
    let plain = "discriminator.spatial_attention=[]";
    let (ucf, narrow) = ("classes.counts=[101]", ["classes.counts=[101]", plain]);
    let width = |n: usize| [format!("generator.width={n}"), format!("discriminator.width={n}")];
    let of = |preset: &str, sets: &[&str]| count(&config(preset, sets));
    assert_eq!(of("paper", &[]), [305_404_739, 154_493_698, 162_683_137]);
    assert_eq!(of("paper", &[plain])[1], 154_411_777);
    assert_eq!(of("paper", &[ucf]), [305_344_859, 153_471_746, 161_661_185]);
    assert_eq!(of("paper", &narrow)[1], 153_389_825);
    assert_eq!(of("paper-128", &[]), [177_009_027, 87_367_970, 88_522_849]);
    assert_eq!(of("paper-128", &[plain])[1], 87_356_449);
    assert_eq!(of("ucf101", &[]), [176_949_147, 86_601_506, 87_756_385]);
    assert_eq!(of("paper-256", &[]), [191_167_875, 98_611_490, 99_731_809]);
    assert_eq!(of("paper-256", &[plain])[1], 98_565_409);
    for (n, want) in [
        (32, [21_086_171, 9_630_401, 10_149_953]),
        (16, [5_944_219, 2_422_113, 2_552_865]),
        (8, [1_826_939, 612_785, 645_905]),
    ] {
        let width = width(n);
        assert_eq!(of("paper", &[ucf, plain, &width[0], &width[1]]), want, "{n}");
    }
    let small = small();
    assert_eq!(count(&small), [32_819, 2_397, 4_629]);
    for (preset, skip, norm) in [
        ("paper", 308_816_195, 305_282_371),
        ("paper-128", 178_965_699, 176_963_139),
        ("paper-256", 193_272_387, 191_121_987),
    ] {
        assert_eq!(of(preset, &["generator.always_project_skip=true"])[0], skip, "{preset}");
        assert_eq!(of(preset, &["generator.output_norm=plain"])[0], norm, "{preset}");
    }
    // The stack for given frames.
    let one = ["classes.counts=[]", "classes.groups=[]", "sample.standing_batches=0"];
    for (preset, first, fifth) in [
        ("paper", 111_892_736, 248_731_904),
        ("paper-128", 63_374_688, 141_010_272),
        ("paper-256", 78_565_344, 172_126_176),
    ] {
        let without = of(preset, &one)[0];
        for (given, want) in [(1, first), (5, fifth)] {
            let frames = ["clip.frames=16", &format!("clip.given={given}")];
            assert_eq!(of(preset, &[&one[..], &frames].concat())[0] - without, want, "{preset}, {given}");
        }
    }
    assert_eq!(of("paper", &one)[0], 305_332_859);
    assert_eq!(of("paper-prediction", &[])[0], 305_332_859 + 248_731_904);
}

/// Section 7, in the units of its table.
#[test]
fn products_of_all_networks() {
    let plain = "discriminator.spatial_attention=[]";
    let of = |preset: &str, sets: &[&str]| macs(&config(preset, sets)).unwrap();
    let g = |count: u64, want: f64, digits: i32| {
        let unit = 10f64.powi(9 - digits);
        assert_eq!(
            (count as f64 / unit).round() as i64,
            (want * 10f64.powi(digits)).round() as i64,
            "{count} {want}"
        );
    };
    for (preset, generator, spatial, attended, temporal) in [
        ("paper", 66.667, 14.927, 15.053, [(12, 45.05), (16, 60.07), (48, 180.2)]),
        ("paper-128", 52.777, 10.538, 10.837, [(12, 27.17), (16, 36.22), (48, 108.7)]),
        ("paper-256", 166.755, 36.640, 37.332, [(12, 104.5), (16, 139.4), (48, 418.1)]),
    ] {
        g(of(preset, &[]).generator_frame, generator, 3);
        g(of(preset, &[plain]).spatial_frame, spatial, 3);
        g(of(preset, &[]).spatial_frame, attended, 3);
        for (frames, want) in temporal {
            let digits = if want > 100.0 { 1 } else { 2 };
            g(of(preset, &[&format!("clip.frames={frames}")]).temporal_clip, want, digits);
        }
    }
    for (n, generator, spatial, temporal) in
        [(32, 4.172, 0.938, 2.864), (16, 1.045, 0.236, 0.732), (8, 0.262, 0.060, 0.191)]
    {
        let widths = [format!("generator.width={n}"), format!("discriminator.width={n}")];
        let found = of("paper", &[plain, &widths[0], &widths[1]]);
        g(found.generator_frame, generator, 3);
        g(found.spatial_frame, spatial, 3);
        g(found.temporal_clip, temporal, 3);
    }
    let found = macs(&small()).unwrap();
    assert_eq!(
        (found.generator_frame, found.spatial_frame, found.temporal_clip),
        (855_040, 141_056, 282_496)
    );
    assert_eq!(of("paper", &[]).generator_clip, 3_932_160);
    assert_eq!(of("paper", &[]).condition_clip, 0);
    g(of("paper-prediction", &[]).condition_clip, 85.2, 1);
}

/// Section 1: of the pixels of clips, the discriminators see these.
#[test]
fn presets_have_the_sizes_of_the_paper() {
    for preset in Config::PRESETS {
        (preset.build)().validate().unwrap_or_else(|e| panic!("{}: {e}", preset.name));
    }
    for (preset, all, seen) in [
        ("paper-48-128", 786_432, 327_680),
        ("paper-48", 196_608, 81_920),
        ("paper", 49_152, 45_056),
        ("paper-128", 196_608, 180_224),
        ("paper-256", 786_432, 720_896),
        ("ucf101", 262_144, 196_608),
    ] {
        let config = config(preset, &[]);
        let (frames, side) = (config.clip.frames, config.clip.side);
        let found = config.discriminator.frames * side * side + frames * (side / 2) * (side / 2);
        assert_eq!((frames * side * side, found), (all, seen), "{preset}");
    }
}
