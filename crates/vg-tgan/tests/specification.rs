//! Numbers of the paper and the official code that need no golden file.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::Rng;
use vg_core::config::{ConfigSource, ModelConfig, resolve};
use vg_core::model::{Init, Model};
use vg_core::nn::{Mode, ParamStore};
use vg_core::ops::svc::{clip_singular_values, singular_values};
use vg_core::sample::SampleRequest;
use vg_core::train::Trainer;
use vg_tgan::{Config, Critic, Draws, Generator, Tgan, TganTrainer};

fn counts(preset: &str) -> BTreeMap<String, usize> {
    let config = Config::preset(preset).unwrap();
    Tgan::trainer(&config, &Init::cpu(0)).unwrap().parameters()
}

/// Section 7 of the specification.
#[test]
fn parameter_counts_are_the_papers() {
    let paper = counts("paper");
    let of = |name: &str| paper[name];
    assert_eq!(of("temporal_generator"), 825_444);
    assert_eq!(of("image_generator"), 3_622_691);
    assert_eq!(of("critic"), 11_032_385);
    let mnist = counts("moving-mnist");
    assert_eq!((mnist["image_generator"], mnist["critic"]), (3_622_113, 11_024_193));
    let sets = ["use_beta=true".to_owned(), "generator.z0_dim=256".into(), "generator.z1_dim=256".into()];
    let wide: Config = resolve(&ConfigSource { sets: &sets, ..Default::default() }).unwrap();
    let wide = Tgan::trainer(&wide, &Init::cpu(0)).unwrap().parameters();
    assert_eq!(wide["image_generator"], 4_900_643);
    assert_eq!(wide["critic"], 11_033_281);
    assert_eq!(wide["temporal_generator"], 985_344 + 1024);
}

/// Section 10.1, item 5: SVC is a no-op on uniform weights, and clips c0 to c3 of the default ones.
#[test]
fn initial_spectra_are_the_official_ones() {
    let largest = |preset: &str, layer: &str| {
        let trainer = Tgan::trainer(&Config::preset(preset).unwrap(), &Init::cpu(1)).unwrap();
        let name = format!("critic.{layer}.weight");
        singular_values(&trainer.store().tensors(&name)[&name]).unwrap()[0]
    };
    for (layer, expected) in [("c0", 0.122), ("c1", 0.432)] {
        let got = largest("ucf101-uniform", layer);
        assert!((got - expected).abs() < 0.05 * expected, "{layer} {got}");
    }
    for (layer, expected) in [("c0", 1.54), ("c1", 1.174)] {
        let got = largest("paper", layer);
        assert!((got - expected).abs() < 0.05 * expected, "{layer} {got}");
    }
}

/// The deterministic fill of section 10.2.
fn filled(shape: &[usize], seed: u32, scale: f64, shift: f64) -> Tensor {
    let value = |i: u32| {
        let mut h = i.wrapping_mul(0x9E37_79B1).wrapping_add(seed.wrapping_mul(0x85EB_CA77));
        h ^= h >> 16;
        h = h.wrapping_mul(0x85EB_CA6B);
        h ^= h >> 13;
        h = h.wrapping_mul(0xC2B2_AE35);
        h ^= h >> 16;
        f64::from((scale * (f64::from(h) / 2f64.powi(31) - 1.0)) as f32) + shift
    };
    let n: usize = shape.iter().product();
    Tensor::from_vec((0..n as u32).map(value).collect::<Vec<_>>(), shape, &Device::Cpu).unwrap()
}

/// Weights of section 10.2 under our names.
fn golden() -> BTreeMap<String, Tensor> {
    let mut t = BTreeMap::new();
    let mut put = |name: String, tensor: Tensor| {
        t.insert(name, tensor);
    };
    let widths = [100, 512, 256, 128, 128, 100];
    let fans = [100.0, 1024.0, 512.0, 256.0, 256.0];
    for k in 0..5 {
        let (seed, kernel) = (k as u32, if k == 0 { 1 } else { 4 });
        let w = filled(&[widths[k], widths[k + 1], kernel], 10 + seed, (3.0f64 / fans[k]).sqrt(), 0.0);
        put(format!("temporal_generator.dc{k}.weight"), w);
        put(format!("temporal_generator.dc{k}.bias"), filled(&[widths[k + 1]], 20 + seed, 0.1, 0.0));
        if k < 4 {
            put(format!("temporal_generator.bn{k}.weight"), filled(&[widths[k + 1]], 30 + seed, 0.1, 1.0));
        }
    }
    for (name, seed) in [("l0s", 40), ("l0f", 41)] {
        put(format!("image_generator.{name}.weight"), filled(&[4096, 100], seed, 0.03f64.sqrt(), 0.0));
    }
    for k in 1..=4usize {
        let (inputs, outputs) = (1024 >> k, 512 >> k);
        let w = filled(&[inputs, outputs, 4, 4], 41 + k as u32, (3.0 / (4.0 * inputs as f64)).sqrt(), 0.0);
        put(format!("image_generator.dc{k}.weight"), w);
    }
    put("image_generator.dc5.weight".into(), filled(&[32, 3, 3, 3], 46, (3.0f64 / 288.0).sqrt(), 0.0));
    put("image_generator.dc5.bias".into(), filled(&[3], 47, 0.1, 0.0));
    let norms = [("bn0s", 4096), ("bn0f", 4096), ("bn1", 256), ("bn2", 128), ("bn3", 64), ("bn4", 32)];
    for (k, (name, units)) in norms.into_iter().enumerate() {
        put(format!("image_generator.{name}.weight"), filled(&[units], 50 + k as u32, 0.1, 1.0));
        put(format!("image_generator.{name}.bias"), filled(&[units], 60 + k as u32, 0.1, 0.0));
    }
    let channels = [3, 64, 128, 256, 512];
    for k in 0..4usize {
        let seed = k as u32;
        let scale = (3.0 / (channels[k] as f64 * 64.0)).sqrt();
        put(
            format!("critic.c{k}.weight"),
            filled(&[channels[k + 1], channels[k], 4, 4, 4], 70 + seed, scale, 0.0),
        );
        put(format!("critic.c{k}.bias"), filled(&[channels[k + 1]], 80 + seed, 0.1, 0.0));
        if k > 0 {
            put(format!("critic.bn{k}.weight"), filled(&[channels[k + 1]], 90 + seed, 0.1, 1.0));
        }
    }
    put("critic.c4.weight".into(), filled(&[1, 512, 4, 4], 74, (3.0f64 / 8192.0).sqrt(), 0.0));
    put("critic.c4.bias".into(), filled(&[1], 84, 0.1, 0.0));
    let scales: Vec<(String, usize)> = t
        .iter()
        .filter(|(k, _)| k.contains(".bn") && k.ends_with("weight"))
        .map(|(k, w)| (k.clone(), w.dims()[0]))
        .collect();
    for (name, units) in scales {
        let layer = name.strip_suffix(".weight").unwrap().to_owned();
        t.insert(format!("{layer}.running_mean"), Tensor::zeros(units, DType::F64, &Device::Cpu).unwrap());
        t.insert(format!("{layer}.running_var"), Tensor::ones(units, DType::F64, &Device::Cpu).unwrap());
    }
    t
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_near(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance, "{what}: got {got:?}, want {want:?}");
    }
}

/// Section 10.2: the published widths on a formula's weights, in f32 through the fast kernels.
#[test]
fn golden_forward_pass_of_the_papers_networks() {
    let config = Config::preset("paper").unwrap();
    let store = ParamStore::load(golden(), "the golden weights", DType::F32, &Device::Cpu).unwrap();
    let (generator, critic) =
        (Generator::new(&store.source(), &config).unwrap(), Critic::new(&store.source(), &config).unwrap());
    store.finish().unwrap();
    let f32s = |t: Tensor| t.to_dtype(DType::F32).unwrap();
    let z0 = f32s(filled(&[4, 100], 100, 1.0, 0.0));
    let real = f32s(filled(&[4, 3, 16, 64, 64], 101, 1.0, 0.0));

    let video = generator.forward(&z0, 16, Mode::EVAL).unwrap();
    let v = values(&video);
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let mean_abs = |v: &[f64]| v.iter().map(|x| x.abs()).sum::<f64>() / v.len() as f64;
    assert_near("video", &v[..4], &[-0.031402, -0.055494, -0.029600, -0.033199], 2e-5);
    assert_near("video, last", &v[v.len() - 1..], &[0.042659], 2e-5);
    assert_near("video, mean", &[mean(&v), mean_abs(&v)], &[0.021214, 0.054616], 2e-5);
    let fake = values(&critic.forward(&video, None, &[], Mode::EVAL).unwrap());
    assert_near("D(fake)", &fake, &[-0.084622, -0.090033, -0.090856, -0.084778], 2e-5);
    let scores = values(&critic.forward(&real, None, &[], Mode::EVAL).unwrap());
    assert_near("D(real)", &scores, &[-0.104199, -0.195050, -0.129574, -0.174899], 2e-5);

    let video = generator.forward(&z0, 16, Mode::TRAIN).unwrap();
    let v = values(&video);
    assert_near("video, training", &v[..4], &[-0.121059, -0.355777, -0.115943, -0.240877], 1e-4);
    let fake = values(&critic.forward(&video, None, &[], Mode::TRAIN).unwrap());
    assert_near("D(fake), training", &fake, &[0.943469, -0.065639, 0.026041, -0.572867], 1e-4);
    let scores = values(&critic.forward(&real, None, &[], Mode::TRAIN).unwrap());
    assert_near("D(real), training", &scores, &[0.113274, -0.798786, 0.072140, -0.489176], 1e-4);
    let running = values(&store.tensors("critic.bn1.running_var")["critic.bn1.running_var"]);
    assert_near("bn1 running variance", &running[..3], &[0.826243, 0.826371, 0.825554], 1e-5);

    let c0 = clip_singular_values(&store.tensors("critic.c0.weight")["critic.c0.weight"], 1.0).unwrap();
    assert_near("c0 after SVC", &values(&c0)[..4], &[0.0658576, -0.0360571, -0.0245259, 0.0312176], 1e-6);
    let norm = values(&c0).iter().map(|x| x * x).sum::<f64>().sqrt();
    assert_near("norm of c0 after SVC", &[norm], &[6.971352], 1e-5);
}

/// Section 10.1, item 9: equal batches push the last bias up and down alike.
#[test]
fn the_critics_last_bias_has_no_gradient() {
    let config = Config::preset("tiny").unwrap();
    let init = Init { dtype: DType::F64, ..Init::cpu(2) };
    let trainer = TganTrainer::new(&config, &init).unwrap();
    let rng = Rng::new(4);
    let draws = Draws::new(&config, 4, None, &rng, DType::F64, &Device::Cpu).unwrap();
    let real = rng.stream("real").uniform_tensor(
        &config.clip_spec().dims(4)[..],
        -1.0,
        1.0,
        DType::F64,
        &Device::Cpu,
    );
    let grads = trainer.gradients(&real.unwrap(), &draws).unwrap();
    let (_, bias) = trainer.store().vars("critic.c4.bias").remove(0);
    assert_eq!(values(grads.critic.get(bias.as_tensor()).unwrap()), [0.0]);
}

/// After a clipping step no kernel has a singular value above 1, and every scale is within its bound.
#[test]
fn a_step_with_svc_leaves_the_critic_within_its_bounds() {
    let mut config = Config::preset("tiny").unwrap();
    config.train.svc_every = 1;
    let mut trainer = TganTrainer::new(&config, &Init::cpu(2)).unwrap();
    let rng = Rng::new(4);
    let draws = Draws::new(&config, 4, None, &rng, DType::F32, &Device::Cpu).unwrap();
    let real = rng.stream("real").uniform_tensor(
        &config.clip_spec().dims(4)[..],
        -1.0,
        1.0,
        DType::F32,
        &Device::Cpu,
    );
    let found = trainer.gradients(&real.unwrap(), &draws).unwrap();
    trainer.apply(&found, 1).unwrap();
    let tensors = trainer.store().tensors("critic.");
    for (name, t) in tensors.iter().filter(|(_, t)| t.rank() >= 4) {
        let largest = singular_values(t).unwrap()[0];
        assert!(largest <= 1.0 + 1e-5, "{name} {largest}");
    }
    for (name, t) in tensors.iter().filter(|(n, _)| n.contains(".bn") && n.ends_with(".weight")) {
        let var = values(&tensors[&name.replace("weight", "running_var")]);
        for (gamma, var) in values(t).iter().zip(var) {
            let std = (var + 2e-5).sqrt();
            assert!(*gamma <= std * (1.0 + 1e-6) && *gamma >= 0.0099 * std, "{name} {gamma} {std}");
        }
    }
}

/// The conditional model and the ablations make a step, and other lengths can be sampled where the paper allows it.
#[test]
fn every_variant_trains_and_samples() {
    for sets in [
        &["classes=3"][..],
        &["generator.z0_to_frames=false"],
        &["generator.kind=volume"],
        &["train.constraint=clip", "init=uniform"],
        &["train.loss=lsgan", "train.constraint=none"],
        &["train.loss=vanilla", "critic.noise_std=0.3", "train.shuffle_time=1.0"],
        &["clip.channels=1", "use_beta=true", "running_var_start=0", "clip.bottom_width=2"],
    ] {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let config: Config =
            resolve(&ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() }).unwrap();
        let mut trainer = Tgan::trainer(&config, &Init::cpu(1)).unwrap();
        let rng = Rng::new(9);
        let classes = (config.classes > 0).then(|| Tensor::new(&[0u32, 1, 2, 0], &Device::Cpu).unwrap());
        let draws = Draws::new(&config, 4, classes, &rng, DType::F32, &Device::Cpu).unwrap();
        let real = rng.stream("real").uniform_tensor(
            &config.clip_spec().dims(4)[..],
            -1.0,
            1.0,
            DType::F32,
            &Device::Cpu,
        );
        let found = trainer.gradients(&real.unwrap(), &draws).unwrap();
        trainer.apply(&found, 1).unwrap();
        let losses = [&found.generator_loss, &found.critic_loss].map(|l| values(l)[0]);
        assert!(losses.iter().all(|l| l.is_finite()), "{sets:?}: {losses:?}");
        let sampler = trainer.sampler().unwrap();
        let long = sampler.sample(&SampleRequest { frames: Some(40), ..SampleRequest::seeds([1]) });
        match config.generator.kind {
            vg_tgan::config::GeneratorKind::Temporal => assert_eq!(long.unwrap().tensor.dim(2).unwrap(), 40),
            vg_tgan::config::GeneratorKind::Volume => {
                assert!(long.unwrap_err().to_string().contains("1 to 16"))
            }
        }
    }
}
