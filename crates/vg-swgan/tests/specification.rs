//! Numbers of the specification: golden values, parameter counts, invariants of the networks and of training.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter, Progress};
use vg_core::config::{ConfigSource, ModelConfig, resolve};
use vg_core::grad::{Tape, backward};
use vg_core::model::{Init, Model};
use vg_core::nn::{ParamStore, Weights};
use vg_core::sample::SampleRequest;
use vg_core::testing::random_batch;
use vg_core::train::{StepCx, StepLog, Trainer};
use vg_core::{Result, Rng};
use vg_swgan::config::FeaturePenalty;
use vg_swgan::convert::from_official;
use vg_swgan::loss::critic_losses;
use vg_swgan::orthogonal::retract;
use vg_swgan::{Config, DualBlocks, Features, Generator, Points, Swgan, SwganTrainer, Trunk, VideoTrainer};

fn configured(preset: &str, sets: &[&str]) -> Config {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some(preset), sets: &sets, ..Default::default() }).unwrap()
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_near(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    for (g, w) in got.iter().zip(want) {
        assert!((g - w).abs() <= tolerance, "{what}: got {got:?}, want {want:?}");
    }
}

/// The fill function of the golden values: `scale * (hash of element and seed)`, rounded to f32.
fn filled(shape: &[usize], seed: u32, scale: f64, shift: f64) -> Tensor {
    let n: usize = shape.iter().product();
    let value = |i: u32| {
        let mut h = i.wrapping_mul(0x9E37_79B1).wrapping_add(seed.wrapping_mul(0x85EB_CA77));
        h ^= h >> 16;
        h = h.wrapping_mul(0x85EB_CA6B);
        h ^= h >> 13;
        h = h.wrapping_mul(0xC2B2_AE35);
        h ^= h >> 16;
        (shift + scale * (f64::from(h) / 2f64.powi(31) - 1.0)) as f32
    };
    Tensor::from_vec((0..n as u32).map(value).collect(), shape, &Device::Cpu).unwrap()
}

/// Section 12.2: weights of R = 5 in the official layouts, in the order that its seeds count.
fn golden() -> BTreeMap<String, Tensor> {
    let channels = |r: usize| (1024usize >> (r - 1)).min(128);
    let mut generator = vec![("4x4/Dense", vec![128, 8192]), ("4x4/Dense", vec![128])]
        .into_iter()
        .map(|(n, s)| (n.to_owned(), s))
        .collect::<Vec<_>>();
    let add = |list: &mut Vec<(String, Vec<usize>)>, layer: String, shape: Vec<usize>, bias: usize| {
        list.push((layer.clone(), shape));
        list.push((layer, vec![bias]));
    };
    add(&mut generator, "4x4/Conv".into(), vec![3, 3, 3, 128, 128], 128);
    add(&mut generator, "ToRGB_lod3".into(), vec![1, 1, 1, 128, 3], 3);
    for r in 3..=5 {
        let (m, n, side) = (channels(r - 1), channels(r), 1 << r);
        add(&mut generator, format!("{side}x{side}/Conv0_up"), vec![3, 3, 3, n, m], n);
        add(&mut generator, format!("{side}x{side}/Conv1"), vec![3, 3, 3, n, n], n);
        add(&mut generator, format!("ToRGB_lod{}", 5 - r), vec![1, 1, 1, n, 3], 3);
    }
    let mut critic = Vec::new();
    add(&mut critic, "FromRGB_lod0".into(), vec![1, 1, 1, 3, channels(5)], channels(5));
    for r in [5, 4, 3] {
        let (n, m, side) = (channels(r), channels(r - 1), 1 << r);
        add(&mut critic, format!("{side}x{side}/Conv0"), vec![3, 3, 3, n, n], n);
        add(&mut critic, format!("{side}x{side}/Conv1_down"), vec![3, 3, 3, n, m], m);
        add(&mut critic, format!("FromRGB_lod{}", 6 - r), vec![1, 1, 1, 3, m], m);
    }
    add(&mut critic, "4x4/Conv".into(), vec![3, 3, 3, 129, 128], 128);
    add(&mut critic, "4x4/Dense0".into(), vec![8192, 128], 128);
    let mut tensors = BTreeMap::new();
    for (network, first, list) in [("G", 1000, generator), ("D", 2000, critic)] {
        for (i, (layer, shape)) in list.into_iter().enumerate() {
            let is_bias = shape.len() == 1;
            let t = filled(&shape, first + i as u32, if is_bias { 0.1 } else { 3f64.sqrt() }, 0.0);
            let name = format!("{network}/{layer}/{}", if is_bias { "bias" } else { "weight" });
            let (name, t) = from_official(&name, &t).unwrap().unwrap();
            tensors.insert(name, t);
        }
    }
    let row = |s, shift| filled(&[128], s, 0.1, shift);
    let p = filled(&[128, 128], 3002, 1.0, 0.0).to_dtype(DType::F64).unwrap();
    tensors.insert("dual.0.proj".into(), retract(&p).unwrap());
    tensors.insert("dual.0.offset".into(), row(3003, 0.0));
    tensors.insert("dual.0.scale".into(), row(3004, 1.0));
    tensors.insert("generator.lod".into(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap());
    tensors
}

struct Golden {
    /// For each lod: mean, mean of sizes, first values of G.
    generator: &'static [(f64, &'static [f64])],
    /// For each lod: mean and first values of D.
    trunk: &'static [(f64, &'static [f64])],
    dual: [f64; 4],
    values: [f64; 2],
    gradient: [f64; 4],
    penalties: [f64; 2],
    total: f64,
}

const INTENDED: Golden = Golden {
    generator: &[
        (0.0, &[-0.467508, 0.853517, -0.870837, -0.562456, -1.375910, -1.506517]),
        (0.5, &[-0.121004, 0.485979, 0.223962, 0.378153]),
        (1.25, &[0.197979, 0.617225, 0.676061]),
        (3.0, &[-0.444171, 0.790706, -0.890113]),
    ],
    trunk: &[
        (0.0, &[0.103440, 0.339248, -0.091515, 0.542274]),
        (0.5, &[0.057153, 0.139064, -0.048213, 0.402226]),
        (1.25, &[0.027306, 0.033461, -0.026277, 0.198264]),
        (3.0, &[0.027076, 0.006627, 0.042118, 0.106338]),
    ],
    dual: [0.235653, -0.016147, 0.020842, 0.229899],
    values: [0.0719321, 0.2058318],
    gradient: [4.9625e-6, 5.6138e-6, 4.6224e-6, 5.1282e-6],
    penalties: [0.1157778, 0.5031737],
    total: 1.0241325,
};

const STRICT: Golden = Golden {
    generator: &[
        (0.0, &[-0.475031, 0.810720, -0.577718, 0.597403, -1.808936, -1.576976]),
        (1.25, &[0.124342, 0.599264, 0.513745]),
        (3.0, &[-0.444171, 0.790706, -0.890113]),
    ],
    trunk: &[
        (0.0, &[0.103586, 0.236805, -0.102733, 0.563867]),
        (1.25, &[0.027212, 0.051864, -0.028337, 0.213521]),
        (3.0, &[0.027076, 0.006627, 0.042118, 0.106338]),
    ],
    dual: [0.198198, -0.019378, 0.087597, 0.242123],
    values: [0.0738514, 0.1705560],
    gradient: [7.9728e-6, 7.0559e-6, 8.3895e-6, 7.1084e-6],
    penalties: [0.0862624, 0.5087455],
    total: 0.7663010,
};

/// Section 12.2, in f64.
fn check_golden(strict: bool, want: &Golden) {
    let mut config = configured("paper", &["clip.side=32", "growth.start_lod=3"]);
    config.networks.strict_reference = strict;
    let store = ParamStore::load(golden(), "the golden weights", DType::F64, &Device::Cpu).unwrap();
    let source = store.source();
    let generator = Generator::new(&source, &config).unwrap();
    let trunk = Trunk::new(&source, &config).unwrap();
    let dual = DualBlocks::new(&source, 128, 1).unwrap();
    store.finish().unwrap();
    let f64s = |t: Tensor| t.to_dtype(DType::F64).unwrap();
    let z = f64s(filled(&[4, 128], 3000, 3f64.sqrt(), 0.0));
    let real = f64s(filled(&[4, 3, 16, 32, 32], 3001, 1.0, 0.0));
    let none = Weights::Constant;
    let mut fake = None;
    for (lod, want) in want.generator.iter().copied().rev() {
        let clips = generator.forward(&z, lod, none).unwrap();
        let v = values(&clips);
        let n = v.len() as f64;
        let (mean, size) = (v.iter().sum::<f64>() / n, v.iter().map(|x| x.abs()).sum::<f64>() / n);
        let found: Vec<f64> = [mean, size].into_iter().chain(v).take(want.len()).collect();
        assert_near(&format!("G at {lod}"), &found, want, 1.5e-6);
        fake = Some(clips);
    }
    let pool = |t: &Tensor, factors| {
        vg_core::ops::pool::avg_pool(t, &vg_core::ops::pool::PoolParams::per_axis(factors)).unwrap()
    };
    let mut features = None;
    for (lod, want) in want.trunk.iter().copied().rev() {
        // Frames by size: 16 at 32x32, 8 at 16x16 and 8x8, 4 at 4x4.
        let real = match lod as usize {
            0 => real.clone(),
            1 => pool(&real, [2, 2, 2]),
            _ => pool(&real, [4, 8, 8]),
        };
        let found = trunk.at(lod, none).unwrap().forward(&real).unwrap().0;
        let v = values(&found);
        features = Some(found);
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        let found: Vec<f64> = [mean].into_iter().chain(v).take(want.len()).collect();
        assert_near(&format!("D at {lod}"), &found, want, 1.5e-6);
    }
    let (trunk, dual) = (trunk.at(0.0, none).unwrap(), dual.at(none).unwrap());
    // Those of the full size, which comes last.
    let (fake, features) = (fake.unwrap(), features.unwrap());
    let outputs = dual.forward(&features).unwrap();
    assert_near("R", &values(&outputs.blocks()[0])[..4], &want.dual, 1.5e-6);
    let at = |t: f64| Tensor::full(t, (4, 1), &Device::Cpu).unwrap();
    let points = Points { pixels: at(0.3), features: at(0.6) };
    let penalties = config.penalties;
    let found = critic_losses(&trunk, &dual, &penalties, (&real, &fake), &points, 1.0).unwrap();
    let mean = |t: &Tensor| values(t).iter().sum::<f64>() / 4.0;
    assert_near("h", &[mean(&found.value_real), mean(&found.value_fake)], &want.values, 1e-7);
    assert_near("GP", &values(&found.gradient_samples), &want.gradient, 1e-10);
    let between = ((&features * 0.4).unwrap() + (trunk.forward(&fake).unwrap().0 * 0.6).unwrap()).unwrap();
    let derivative = dual.penalty(&between, 0.01, FeaturePenalty::Derivative).unwrap();
    assert_near("FP", &[values(&found.feature_penalty)[0], values(&derivative)[0]], &want.penalties, 1e-7);
    assert_near("L_D", &values(&found.total), &[want.total], 1e-6);
}

#[test]
fn golden_values_of_the_intended_form() {
    check_golden(false, &INTENDED);
}

#[test]
fn golden_values_of_the_official_form() {
    check_golden(true, &STRICT);
}

/// Sections 6 to 8.
#[test]
fn networks_have_the_published_numbers_of_parameters() {
    let count = |preset: &str, sets: &[&str]| {
        Swgan::trainer(&configured(preset, sets), &Init::cpu(0)).unwrap().parameters()
    };
    for (side, generator, trunk) in [
        (256, 3_703_597, 3_707_656),
        (128, 3_698_370, 3_702_416),
        (64, 3_677_551, 3_681_568),
        (32, 3_594_444, 3_598_400),
    ] {
        let found = count("paper", &[&format!("clip.side={side}"), "growth.start_lod=0"]);
        assert_eq!((found["generator"], found["trunk"], found["dual"]), (generator, trunk, 16_640), "{side}");
    }
    for (preset, generator, trunk) in [("image-64", 8_540_483, 8_532_352), ("image-32", 2_005_155, 2_004_224)]
    {
        let found = count(preset, &[]);
        assert_eq!(
            (found["generator"], found["trunk"], found["dual"]),
            (generator, trunk, 66_560),
            "{preset}"
        );
    }
    let found = count("swae", &[]);
    assert_eq!((found["encoder"], found["decoder"]), (73_856, 339_043));
}

/// Section 12.1, item 4.
#[test]
fn a_dual_block_by_hand() {
    let t = |v: &[f64], shape: &[usize]| Tensor::from_slice(v, shape, &Device::Cpu).unwrap();
    let tensors = BTreeMap::from([
        ("dual.0.proj".to_owned(), Tensor::eye(2, DType::F64, &Device::Cpu).unwrap()),
        ("dual.0.scale".to_owned(), t(&[1.0, 2.0], &[2])),
        ("dual.0.offset".to_owned(), t(&[0.0, -1.0], &[2])),
    ]);
    let store = ParamStore::load(tensors, "by hand", DType::F64, &Device::Cpu).unwrap();
    let block = DualBlocks::new(&store.source(), 2, 1).unwrap().at(Weights::Constant).unwrap();
    let features = t(&[1.0, -1.0], &[1, 2]);
    let outputs = block.forward(&features).unwrap();
    assert_near("R", &values(&outputs.blocks()[0]), &[1.0, -0.6], 1e-12);
    assert_near("h", &values(&outputs.values().unwrap()), &[0.2], 1e-12);
    let penalty = |form| values(&block.penalty(&features, 0.01, form).unwrap())[0];
    // d is (1, 0.24) and (1, 0.4).
    assert_near(
        "FP",
        &[penalty(FeaturePenalty::Reference)],
        &[(0.99f64.powi(2) + 0.23f64.powi(2)) / 2.0],
        1e-12,
    );
    assert_near(
        "FP",
        &[penalty(FeaturePenalty::Derivative)],
        &[(0.99f64.powi(2) + 0.39f64.powi(2)) / 2.0],
        1e-12,
    );
}

fn video(config: &Config, dtype: DType) -> VideoTrainer {
    match SwganTrainer::new(config, &Init { dtype, ..Init::cpu(3) }).unwrap() {
        SwganTrainer::Video(trainer) => *trainer,
        _ => panic!("a video model"),
    }
}

/// Section 12.1, item 9.
#[test]
fn pixels_of_a_stage_are_tiles_of_the_full_size_and_fades_are_continuous() {
    let config = configured("demo", &[]);
    let nets = video(&config, DType::F64);
    let z = Rng::new(1).stream("z").normal_tensor((2, 32), DType::F64, &Device::Cpu).unwrap();
    let full = |lod| nets.generator().full_size(&z, lod, Weights::Constant).unwrap();
    for lod in [1.0, 2.0] {
        let clip = full(lod);
        assert_eq!(clip.dims(), [2, 3, 8, 16, 16]);
        let small = nets.generator().forward(&z, lod, Weights::Constant).unwrap();
        let side = 16 >> lod as usize;
        assert_eq!(small.dims(), [2, 3, if side == 8 { 8 } else { 4 }, side, side]);
        let pool =
            vg_core::ops::pool::PoolParams::per_axis([8 / small.dim(2).unwrap(), 16 / side, 16 / side]);
        let again = vg_core::ops::pool::avg_pool(&clip, &pool).unwrap();
        assert_near("tiles", &values(&again), &values(&small), 1e-12);
        for near in [lod - 1e-9, (lod + 1e-9).min(2.0)] {
            assert_near("fade", &values(&full(near)), &values(&clip), 1e-6);
        }
    }
}

/// Section 12.1, item 11: no difference between equal samples; the losses of critic and generator cancel.
#[test]
fn equal_samples_have_no_distance() -> Result<()> {
    let config = configured("tiny", &[]);
    let nets = video(&config, DType::F64);
    let lod = config.growth.start_lod;
    let (trunk, dual) = (nets.trunk().at(lod, Weights::Constant)?, nets.dual().at(Weights::Constant)?);
    let real = Rng::new(1).stream("x").normal_tensor((4, 3, 8, 8, 8), DType::F64, &Device::Cpu)?;
    let points = Points {
        pixels: Tensor::full(0.5, (4, 1), &Device::Cpu)?,
        features: Tensor::full(0.5, (4, 1), &Device::Cpu)?,
    };
    let found = critic_losses(&trunk, &dual, &config.penalties, (&real, &real), &points, 1.0)?;
    assert!(values(&found.wasserstein)[0].abs() < 1e-15);
    Ok(())
}

/// The penalty's gradient, a second derivative, against differences of its value: in a fade, with every kind of layer, recorded on a tape.
#[test]
fn second_derivatives_agree_with_differences() {
    for sets in [
        &["growth.start_lod=0.4"][..],
        &["clip.side=16", "networks.strict_reference=true", "growth.start_lod=0.25"],
    ] {
        let config = configured("tiny", sets);
        let nets = video(&config, DType::F64);
        let clip = nets.needs().clip;
        let real = Rng::new(7)
            .stream("real")
            .uniform_tensor(&clip.dims(4)[..], -1.0, 1.0, DType::F64, &Device::Cpu)
            .unwrap();
        let real = nets.shown(&real).unwrap();
        let rng = Rng::new(8);
        let draws =
            vg_swgan::Draws::new(&rng, 1, 4, config.networks.latent, DType::F64, &Device::Cpu).unwrap();
        // Weights far from their start, so that every term counts.
        for (_, var) in nets.store().vars("trunk.") {
            var.set(&(var.as_detached_tensor() * 2.0).unwrap()).unwrap();
        }
        let penalty = || nets.critic_losses(&real, &draws.critic[0]).unwrap().gradient_penalty;
        let grads = {
            let _tape = Tape::start();
            backward(&penalty()).unwrap()
        };
        let mut checked = 0;
        for (name, var) in nets.store().vars("trunk.").into_iter().chain(nets.store().vars("dual.")) {
            let start = var.as_detached_tensor().copy().unwrap();
            let direction =
                Rng::new(9).stream(&name).normal_tensor(start.dims(), DType::F64, &Device::Cpu).unwrap();
            let along = |step: f64| {
                var.set(&(&start + (&direction * step).unwrap()).unwrap()).unwrap();
                values(&penalty())[0]
            };
            // Small, because the trunk is piecewise linear and kinks lie close by.
            let step = 1e-8;
            let numeric = (along(step) - along(-step)) / (2.0 * step);
            var.set(&start).unwrap();
            let zeros = start.zeros_like().unwrap();
            let grad = grads.get(var.as_tensor()).unwrap_or(&zeros);
            let exact = values(&(grad * &direction).unwrap()).iter().sum::<f64>();
            let scale = values(&penalty())[0].max(exact.abs());
            assert!((numeric - exact).abs() < 1e-5 * scale, "{name}: {numeric}, not {exact} ({scale})");
            checked += usize::from(exact != 0.0);
        }
        assert!(checked > 10, "{checked} tensors have a second derivative");
    }
}

fn step(trainer: &mut dyn Trainer, number: u64) -> StepLog {
    let rng = Rng::new(5).child("step", number);
    let mut log = StepLog::default();
    let batch = random_batch(&trainer.needs(), &rng);
    let mut cx = StepCx { rng, log: &mut log, step: number, clips_seen: 0, epoch_clips: 100 };
    let _tape = Tape::start();
    trainer.step(&batch, &mut cx).unwrap();
    log
}

/// Section 12.1, item 1: the matrix stays orthogonal over a thousand steps.
#[test]
fn the_matrix_is_orthogonal_after_1000_steps() {
    let config = configured(
        "tiny",
        &[
            "clip.side=8",
            "growth.start_lod=1",
            "growth.stable_clips=[100000,1,1,1,1,1,1]",
            "networks.features=16",
        ],
    );
    let mut nets = video(&config, DType::F32);
    let start = nets.store().tensors("dual.0.proj")["dual.0.proj"].copy().unwrap();
    (1..=1000).for_each(|k| {
        step(&mut nets, k);
    });
    let p = nets.store().tensors("dual.0.proj")["dual.0.proj"].clone();
    let gram = p.t().unwrap().contiguous().unwrap().matmul(&p).unwrap();
    let error = (gram - Tensor::eye(16, DType::F32, &Device::Cpu).unwrap()).unwrap().abs().unwrap();
    let worst = values(&error).into_iter().fold(0.0, f64::max);
    assert!(worst < 1e-5, "{worst}");
    assert!(values(&(p - start).unwrap()).iter().any(|d| d.abs() > 0.01), "the matrix has not moved");
}

fn saved(trainer: &dyn Trainer, step: u64) -> (tempfile::TempDir, CheckpointReader) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("step");
    let mut writer = CheckpointWriter::default();
    trainer.save(&mut writer).unwrap();
    writer.write(&path, "swgan", "{}", Progress { step, clips_seen: 0 }).unwrap();
    (dir, CheckpointReader::open(&path).unwrap())
}

fn everything(trainer: &dyn Trainer) -> Vec<Vec<u8>> {
    let (dir, _) = saved(trainer, 0);
    ["model.safetensors", "train/state.safetensors", "train/state.json"]
        .map(|f| std::fs::read(dir.path().join("step").join(f)).unwrap())
        .into()
}

/// N steps = k steps, saved and loaded, and N - k steps: in the stable phases, within both fades and at their ends.
#[test]
fn a_run_resumes_anywhere_in_its_growth() {
    let sets = [
        "clip.side=16",
        "growth.start_lod=2",
        "growth.stable_clips=[12,8,8,8,8,8,8]",
        "growth.fade_clips=[20,16,16,16,16,16,16]",
        "growth.batch=[4,8,4,4,4,4,4]",
        "growth.refresh_steps=2",
        "networks.base_channels=32",
    ];
    let config = configured("tiny", &sets);
    let mut whole = video(&config, DType::F32);
    let mut stages = Vec::new();
    let steps = 14;
    for k in 1..=steps {
        stages.push((whole.stage().size, whole.position().lod, whole.needs().clips));
        step(&mut whole, k);
    }
    // The schedule is looked at every second step: it grows to 8x8, to 16x16, and is then stable.
    let sizes: Vec<usize> = stages.iter().map(|s| s.0).collect();
    assert!(sizes.contains(&2) && sizes.contains(&3) && sizes[13] == 4, "{stages:?}");
    assert!(stages.iter().any(|s| s.1.fract() > 0.0) && stages.iter().any(|s| s.2 == 8), "{stages:?}");
    let end = everything(&whole);
    for cut in [3, 6, 10] {
        let mut first = video(&config, DType::F32);
        (1..=cut).for_each(|k| {
            step(&mut first, k);
        });
        let (_dir, reader) = saved(&first, cut);
        let mut second = match SwganTrainer::new(&config, &Init::cpu(999)).unwrap() {
            SwganTrainer::Video(trainer) => *trainer,
            _ => panic!("a video model"),
        };
        second.load(&reader).unwrap();
        (cut + 1..=steps).for_each(|k| {
            step(&mut second, k);
        });
        assert!(everything(&second) == end, "cut after step {cut}, {:?}", stages[cut as usize]);
    }
}

/// The image model and the auto-encoder train, resume bit for bit and sample; all their parameters move.
#[test]
fn the_other_variants_train_and_resume() {
    for preset in ["image-tiny", "swae-tiny"] {
        let config = configured(preset, &[]);
        let trainer = |seed| Swgan::trainer(&config, &Init::cpu(seed)).unwrap();
        let mut whole = trainer(3);
        let start = everything(&whole);
        for k in 1..=4 {
            let log = step(&mut whole, k).read().unwrap();
            assert!(log.iter().any(|s| s.is_loss) && log.iter().all(|s| s.value.is_finite()), "{log:?}");
        }
        assert!(everything(&whole)[0] != start[0]);
        let mut first = trainer(3);
        (1..=2).for_each(|k| {
            step(&mut first, k);
        });
        let (_dir, reader) = saved(&first, 2);
        let mut second = trainer(999);
        second.load(&reader).unwrap();
        (3..=4).for_each(|k| {
            step(&mut second, k);
        });
        assert!(everything(&second) == everything(&whole), "{preset}");
        let sampler = second.sampler().unwrap();
        let three = sampler.sample(&SampleRequest::seeds([4, 5, 6])).unwrap().tensor;
        assert_eq!(three.dims(), sampler.spec().clip.dims(3));
        assert!(values(&three).iter().all(|x| x.abs() <= 1.0));
        let alone = sampler.sample(&SampleRequest::seeds([5])).unwrap().tensor;
        assert_eq!(values(&three.get(1).unwrap()), values(&alone), "{preset}");
        let parts = sampler.sample_parts(&SampleRequest::seeds([4])).unwrap().1;
        assert_eq!(parts.contains_key("reconstructions"), preset == "swae-tiny");
    }
}

/// A step whose gradients are not finite changes no weight and does not stop the run.
#[test]
fn steps_that_are_not_finite_are_skipped() {
    let config = configured("tiny", &[]);
    let mut nets = video(&config, DType::F32);
    let rng = Rng::new(5).child("step", 1);
    let mut batch = random_batch(&nets.needs(), &rng);
    batch.clips = (batch.clips * f64::NAN).unwrap();
    let before =
        nets.store().tensors("trunk.").into_iter().map(|(k, t)| (k, values(&t))).collect::<BTreeMap<_, _>>();
    let mut log = StepLog::default();
    let mut cx = StepCx { rng, log: &mut log, step: 1, clips_seen: 0, epoch_clips: 100 };
    nets.step(&batch, &mut cx).unwrap();
    let log = log.read().unwrap();
    assert!(log.iter().any(|s| s.name == "skipped") && log.iter().all(|s| !s.is_loss), "{log:?}");
    for (name, t) in nets.store().tensors("trunk.") {
        assert_eq!(values(&t), before[&name], "{name}");
    }
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    for (sets, part) in [
        (&["clip.side=48"][..], "a power of two from 8 to 256"),
        (&["growth.start_lod=7"], "from 0 to 6"),
        (&["growth.batch=[6,8,8,8,8,8,8]"], "multiples of networks.stddev_group"),
        (&["networks.base_channels=64"], "at least 128"),
        (&["growth.lr=[0,1,1,1,1,1,1]"], "greater than 0"),
        (&["variant=\"image\"", "clip.side=40"], "a multiple of 16"),
        (&["variant=\"autoencoder\"", "train.batch=1"], "2 to"),
    ] {
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let found =
            resolve::<Config>(&ConfigSource { preset: Some("paper"), sets: &sets, ..Default::default() });
        let text = found.unwrap_err().to_string();
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
    assert!(Config::preset("paper").is_ok());
}
