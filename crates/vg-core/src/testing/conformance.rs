//! What every model must hold, on its `tiny` preset: one line in the model's tests, `vg_core::testing::conformance!(vg_tgan::Tgan)`.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor};

use crate::checkpoint::{CheckpointReader, CheckpointWriter, Progress, Weights};
use crate::config::{ConfigSource, ModelConfig, resolve};
use crate::model::{Entry, Init, Model};
use crate::sample::{SampleRequest, Sampler};
use crate::testing::random_maps;
use crate::train::{StepCx, StepLog, Trainer};
use crate::{Batch, BatchSpec, Rng};

/// Tests of a model, each named for what it holds. `$model` implements [`Model`].
#[macro_export]
macro_rules! conformance {
    ($model:ty) => {
        $crate::conformance!(@tests $model,
            presets_are_valid_and_survive_their_file,
            one_step_moves_every_parameter_and_losses_are_finite,
            the_same_seed_gives_the_same_run_at_1_and_4_threads,
            a_saved_and_loaded_run_continues_bit_for_bit,
            samples_have_the_promised_shape_and_range,
            a_clip_does_not_depend_on_its_neighbours,
            saved_weights_sample_like_the_trainer,
            wrong_weights_are_named,
            a_wrong_batch_is_named,
        );
    };
    (@tests $model:ty, $($name:ident),* $(,)?) => {
        $(#[test] fn $name() { $crate::testing::conformance::$name::<$model>(); })*
    };
}

fn tiny<M: Model>() -> M::Config {
    M::Config::preset("tiny").expect("every model has a preset `tiny`")
}

/// A batch of random values in [-1, 1] as `spec` wants it, with labels 0.
///
/// # Panics
/// When tensors of that size cannot be made.
pub fn random_batch(spec: &BatchSpec, rng: &Rng) -> Batch {
    let mut stream = rng.stream("batch");
    let mut draw = |dims: &[usize]| {
        stream.uniform_tensor(dims, -1.0, 1.0, DType::F32, &Device::Cpu).expect("a CPU tensor")
    };
    let clips = draw(&spec.clip.dims(spec.clips));
    let images = (spec.images > 0).then(|| draw(&spec.clip.image_dims(spec.images)));
    let label = || Tensor::zeros(spec.clips, DType::U32, &Device::Cpu).expect("a CPU tensor");
    let maps = random_maps(spec, &mut rng.stream("maps")).expect("CPU tensors");
    Batch { clips, images, labels: spec.labels.iter().map(|l| (l.clone(), label())).collect(), maps }
}

/// Makes steps `from + 1 ..= to` of the run with seed 5; returns the losses.
fn run(trainer: &mut dyn Trainer, from: u64, to: u64) -> Vec<f64> {
    let mut losses = Vec::new();
    for step in from + 1..=to {
        let rng = Rng::new(5).child("step", step);
        let mut log = StepLog::default();
        let batch = random_batch(&trainer.needs(), &rng);
        let mut cx = StepCx { rng, log: &mut log, step, clips_seen: 0, epoch_clips: 100 };
        trainer.step(&batch, &mut cx).expect("a step on a fitting batch");
        losses.extend(log.read().expect("scalar losses").iter().filter(|s| s.is_loss).map(|s| s.value));
    }
    losses
}

fn saved(trainer: &dyn Trainer) -> CheckpointWriter {
    let mut writer = CheckpointWriter::default();
    trainer.save(&mut writer).expect("a trainer that can be saved");
    writer
}

/// Everything a trainer saves, as bytes of its checkpoint files.
fn snapshot(trainer: &dyn Trainer) -> BTreeMap<String, Vec<u8>> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("step-000001");
    saved(trainer).write(&path, "model", "{}", Progress::default()).expect("a writable folder");
    ["model.safetensors", "train/state.safetensors", "train/state.json"]
        .map(|f| (f.to_owned(), std::fs::read(path.join(f)).expect("a file of the checkpoint")))
        .into()
}

fn fresh<M: Model>() -> M::Trainer {
    M::trainer(&tiny::<M>(), &Init::cpu(3)).expect("a trainer of the tiny preset")
}

fn weights<M: Model>(trainer: &dyn Trainer) -> Weights {
    let experiment = (Entry::of::<M>().open)(&ConfigSource { preset: Some("tiny"), ..Default::default() });
    let config = experiment.expect("the tiny preset").config_file();
    Weights::new("the trainer", config, saved(trainer).model_tensors().clone())
}

/// A request for one clip per seed, with given frames and maps for models that take them: the same for each clip.
pub(super) fn request(sampler: &dyn Sampler, seeds: &[u64]) -> SampleRequest {
    let spec = sampler.spec();
    let mut request = SampleRequest::seeds(seeds.iter().copied());
    if spec.context_frames > 0 {
        let dims = crate::ClipSpec { frames: spec.context_frames, ..spec.clip }.dims(1);
        let mut stream = Rng::new(2).stream("context");
        let context = stream.uniform_tensor(&dims[..], -1.0, 1.0, DType::F32, &Device::Cpu);
        request.context = Some(context.expect("a CPU tensor"));
    }
    let maps = BatchSpec { maps: spec.maps.clone(), ..BatchSpec::clips(1, spec.clip, spec.pixels) };
    request.maps = random_maps(&maps, &mut Rng::new(2).stream("maps")).expect("CPU tensors");
    request
}

fn elements(clips: &Tensor) -> Vec<f32> {
    clips.flatten_all().expect("a tensor").to_vec1().expect("f32 clips")
}

/// Presets have unique names and a source, are valid, and come back equal from `config.json`.
pub fn presets_are_valid_and_survive_their_file<M: Model>() {
    let mut names = BTreeSet::new();
    for preset in M::Config::PRESETS {
        assert!(names.insert(preset.name), "preset {} twice", preset.name);
        assert!(!preset.source.is_empty(), "preset {} does not say where its numbers come from", preset.name);
        let config = (preset.build)();
        config.validate().unwrap_or_else(|e| panic!("preset {}: {e}", preset.name));
        let json = serde_json::to_string(&config).expect("plain data");
        let again: M::Config =
            resolve(&ConfigSource { json: Some(&json), ..Default::default() }).expect("its own file");
        assert_eq!(serde_json::to_string(&again).expect("plain data"), json, "preset {}", preset.name);
    }
}

/// After one step all losses are finite and every tensor of every network has moved. Single numbers are
/// left out: the last bias of a Wasserstein critic has no gradient.
pub fn one_step_moves_every_parameter_and_losses_are_finite<M: Model>() {
    let mut trainer = fresh::<M>();
    let before = snapshot_tensors(&trainer);
    let losses = run(&mut trainer, 0, 1);
    assert!(!losses.is_empty() && losses.iter().all(|l| l.is_finite()), "{losses:?}");
    let after = snapshot_tensors(&trainer);
    let still: Vec<&String> = before
        .iter()
        .filter(|(name, old)| old.len() > 1 && after[*name] == **old)
        .map(|(name, _)| name)
        .collect();
    assert!(still.is_empty(), "one step did not move {still:?}");
}

fn snapshot_tensors(trainer: &dyn Trainer) -> BTreeMap<String, Vec<f32>> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("step-000001");
    saved(trainer).write(&path, "model", "{}", Progress::default()).expect("a writable folder");
    let reader = CheckpointReader::open(&path).expect("what was just written");
    let networks = trainer.parameters();
    let of_network = |name: &str| networks.keys().any(|n| name.starts_with(&format!("{n}.")));
    let all = reader.model_tensors().clone().into_iter().chain(networks.keys().flat_map(|n| {
        let named = reader.train_all(n).into_iter().map(move |(k, t)| (format!("{n}.{k}"), t));
        named.collect::<Vec<_>>()
    }));
    let weights = all.filter(|(name, _)| of_network(name));
    weights.map(|(name, t)| (name, elements(&t.to_dtype(DType::F32).expect("floats")))).collect()
}

/// Two steps give the same checkpoint, byte for byte, in thread pools of different sizes.
pub fn the_same_seed_gives_the_same_run_at_1_and_4_threads<M: Model>() {
    let at = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
        pool.install(|| {
            let mut trainer = fresh::<M>();
            run(&mut trainer, 0, 2);
            snapshot(&trainer)
        })
    };
    assert!(at(1) == at(4), "the number of threads changes the result");
}

/// Two steps, save, load into fresh networks, two more = four steps.
pub fn a_saved_and_loaded_run_continues_bit_for_bit<M: Model>() {
    let mut whole = fresh::<M>();
    run(&mut whole, 0, 4);
    let mut first = fresh::<M>();
    run(&mut first, 0, 2);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("step-000002");
    saved(&first).write(&path, M::CARD.name, "{}", Progress::default()).expect("a writable folder");
    let mut second = M::trainer(&tiny::<M>(), &Init::cpu(999)).expect("a trainer");
    second.load(&CheckpointReader::open(&path).expect("a checkpoint")).expect("fitting tensors");
    run(&mut second, 2, 4);
    assert!(snapshot(&second) == snapshot(&whole), "a resumed run differs from one in a piece");
}

/// Clips have the shape of the sampler's specification and lie in [-1, 1].
pub fn samples_have_the_promised_shape_and_range<M: Model>() {
    let trainer = fresh::<M>();
    let sampler = trainer.sampler().expect("a sampler");
    let clips = sampler.sample(&request(&*sampler, &[1, 2, 3])).expect("samples");
    assert_eq!(clips.tensor.dims(), sampler.spec().clip.dims(3));
    let values = elements(&clips.tensor);
    assert!(values.iter().all(|x| (-1.0..=1.0).contains(x)), "a value outside [-1, 1]");
    assert!(sampler.sample(&SampleRequest { frames: Some(0), ..request(&*sampler, &[1]) }).is_err());
    let class = sampler.spec().classes;
    assert!(sampler.sample(&SampleRequest { class: Some(class), ..request(&*sampler, &[1]) }).is_err());
}

/// The clip of a seed is the same alone and among others.
pub fn a_clip_does_not_depend_on_its_neighbours<M: Model>() {
    let trainer = fresh::<M>();
    let sampler = trainer.sampler().expect("a sampler");
    let all = sampler.sample(&request(&*sampler, &[4, 5, 6])).expect("samples").tensor;
    let alone = sampler.sample(&request(&*sampler, &[5])).expect("a sample").tensor;
    let (all, alone) = (elements(&all.get(1).expect("three clips")), elements(&alone));
    assert_eq!(all, alone);
}

/// Weights taken from a trainer give the trainer's samples.
pub fn saved_weights_sample_like_the_trainer<M: Model>() {
    let mut trainer = fresh::<M>();
    run(&mut trainer, 0, 1);
    let sampler = trainer.sampler().expect("a sampler");
    let request = request(&*sampler, &[8]);
    let direct = sampler.sample(&request).expect("a sample").tensor;
    let loaded = M::sampler(&tiny::<M>(), &weights::<M>(&trainer), &Init::cpu(0)).expect("fitting weights");
    assert_eq!(elements(&loaded.sample(&request).expect("a sample").tensor), elements(&direct));
}

/// Missing, misshapen and unexpected tensors are all named in one error.
pub fn wrong_weights_are_named<M: Model>() {
    let good = weights::<M>(&fresh::<M>());
    let mut tensors = good.tensors().clone();
    let mut names = tensors.keys().cloned().collect::<Vec<_>>().into_iter();
    let (missing, misshapen) = (names.next().expect("a tensor"), names.next().expect("two tensors"));
    tensors.remove(&missing);
    tensors
        .insert(misshapen.clone(), Tensor::zeros((1, 2, 3), DType::F32, &Device::Cpu).expect("a CPU tensor"));
    tensors.insert("stray.weight".into(), Tensor::zeros(1, DType::F32, &Device::Cpu).expect("a CPU tensor"));
    let bad = Weights::new("bad weights", good.config(), tensors);
    let Err(error) = M::sampler(&tiny::<M>(), &bad, &Init::cpu(0)) else {
        panic!("wrong weights were accepted")
    };
    let text = error.to_string();
    for name in [missing.as_str(), misshapen.as_str(), "stray.weight", "bad weights"] {
        assert!(text.contains(name), "{name} is not in {text:?}");
    }
}

/// A batch of another size is refused with the shape expected and the shape found.
pub fn a_wrong_batch_is_named<M: Model>() {
    let mut trainer = fresh::<M>();
    let mut spec = trainer.needs();
    spec.clip.height += 1;
    let mut log = StepLog::default();
    let rng = Rng::new(1);
    let wrong = random_batch(&spec, &rng);
    let mut cx = StepCx { rng, log: &mut log, step: 1, clips_seen: 0, epoch_clips: 1 };
    let text = trainer.step(&wrong, &mut cx).expect_err("a batch of the wrong height").to_string();
    assert!(text.contains(&spec.clip.height.to_string()), "{text}");
}
