//! What every model must hold, for the variants beside the main one.

use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter, Progress, Weights};
use vg_core::config::{ConfigSource, ModelConfig, Preset, resolve};
use vg_core::model::{Card, Init, Model, config_of};
use vg_core::sample::{ClassSwitch, SampleRequest, Sampler};
use vg_core::train::{StepCx, StepLog, Trainer};
use vg_core::{Batch, ClassCount, Error, Result, Rng};
use vg_vgan::config::Trained;
use vg_vgan::{Config, Vgan, VganSampler, VganTrainer};

/// The tiny preset with four classes.
fn tiny(sets: &[&str]) -> Config {
    let sets: Vec<String> = ["classifier.classes=4"].iter().chain(sets).map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() }).unwrap()
}

/// A model whose only preset is `tiny` with some values changed, and the conformance suite for it.
macro_rules! variant {
    ($module:ident, [$($set:literal),*]) => {
        mod $module {
            use super::*;

            #[derive(Clone, Serialize, Deserialize)]
            #[serde(transparent)]
            pub struct Settings(Config);

            impl ModelConfig for Settings {
                const PRESETS: &'static [Preset<Self>] =
                    &[Preset { name: "tiny", source: "this test", build: || Settings(tiny(&[$($set),*])) }];

                fn validate(&self) -> Result<()> {
                    self.0.validate()
                }
            }

            pub struct Variant;

            impl Model for Variant {
                const CARD: Card = Vgan::CARD;
                type Config = Settings;
                type Trainer = VganTrainer;
                type Sampler = VganSampler;

                fn trainer(config: &Settings, init: &Init) -> Result<VganTrainer> {
                    Vgan::trainer(&config.0, init)
                }

                fn sampler(config: &Settings, weights: &Weights, init: &Init) -> Result<VganSampler> {
                    Vgan::sampler(&config.0, weights, init)
                }
            }

            vg_core::testing::conformance!(Variant);
        }
    };
}

variant!(one_stream, ["variant=one-stream"]);
variant!(conditional, ["variant=conditional", "train.mask_weight=0"]);
variant!(conditional_code, ["variant=conditional", "generator.conditioning=code", "train.reconstruction=l2"]);
variant!(autoencoder, ["variant=autoencoder", "mixture.codes=5"]);

fn clips(config: &Config, seed: u64) -> Tensor {
    let dims = config.clip_spec().dims(config.train.batch);
    let mut stream = Rng::new(seed).stream("clips");
    stream.uniform_tensor(&dims[..], -1.0, 1.0, DType::F32, &Device::Cpu).unwrap()
}

fn labelled(config: &Config, seed: u64) -> Batch {
    let mut batch = Batch::of_clips(clips(config, seed));
    let labels = Tensor::new(&[0u32, 3, 1][..config.train.batch], &Device::Cpu).unwrap();
    batch.labels.insert("class".to_owned(), labels);
    batch
}

fn step(trainer: &mut dyn Trainer, batch: &Batch, step: u64) -> Vec<(&'static str, f64)> {
    let (rng, mut log) = (Rng::new(0).child("step", step), StepLog::default());
    trainer.step(batch, &mut StepCx { rng, log: &mut log, step, clips_seen: 0, epoch_clips: 10 }).unwrap();
    log.read().unwrap().into_iter().map(|s| (s.name, s.value)).collect()
}

fn checkpoint(trainer: &dyn Trainer, folder: &std::path::Path) -> CheckpointReader {
    let mut writer = CheckpointWriter::default();
    trainer.save(&mut writer).unwrap();
    let path = folder.join("step-000001");
    writer.write(&path, "vgan", "{}", Progress::default()).unwrap();
    CheckpointReader::open(&path).unwrap()
}

/// A folder of this test that goes away with it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vg-vgan-{name}-{}", std::process::id()));
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn the_classifier_learns_labels_and_is_restored() {
    let config =
        tiny(&["variant=classifier", "classifier.start=random", "classifier.dropout=0", "train.lr=0.01"]);
    let mut trainer = Vgan::trainer(&config, &Init::cpu(1)).unwrap();
    assert_eq!(trainer.needs().labels, ["class"]);
    let batch = labelled(&config, 4);
    let first = step(&mut trainer, &batch, 1);
    let last = (2..30).map(|k| step(&mut trainer, &batch, k)).next_back().unwrap();
    assert_eq!((first[0].0, first[1].0), ("classifier", "accuracy"));
    assert!(last[0].1 < 0.6 * first[0].1 && last[1].1 == 1.0, "{first:?} {last:?}");

    let folder = Folder::new("classifier");
    let saved = checkpoint(&trainer, &folder.0);
    let mut again = Vgan::trainer(&config, &Init::cpu(2)).unwrap();
    again.load(&saved).unwrap();
    assert_eq!(step(&mut again, &batch, 30), step(&mut trainer, &batch, 30));

    let weights = Weights::new("saved", "{}", saved.model_tensors().clone());
    let sampler = Vgan::sampler(&config, &weights, &Init::cpu(0)).unwrap();
    assert_eq!(sampler.classify(&batch.clips).unwrap().dims(), [3, 4]);
    assert_eq!((sampler.spec().max_frames, sampler.spec().classes), (0, 4));
    let text = sampler.sample(&SampleRequest::seeds([1])).unwrap_err().to_string();
    assert!(text.contains("classify"), "{text}");
}

#[test]
fn wrong_labels_are_named() {
    let config = tiny(&["variant=classifier", "classifier.classes=3"]);
    let mut trainer = Vgan::trainer(&config, &Init::cpu(1)).unwrap();
    let mut log = StepLog::default();
    let mut cx = StepCx { rng: Rng::new(0), log: &mut log, step: 1, clips_seen: 0, epoch_clips: 1 };
    let text = trainer.step(&labelled(&config, 1), &mut cx).unwrap_err().to_string();
    assert!(text.contains("label 3 is not below 3"), "{text}");
    assert_eq!(trainer.needs().classes["class"], ClassCount::new(3, "classifier.classes"));
    let text = trainer.step(&Batch::of_clips(clips(&config, 1)), &mut cx).unwrap_err().to_string();
    assert!(text.contains("class"), "{text}");
}

#[test]
fn a_classifier_starts_from_a_discriminator() {
    let folder = Folder::new("start");
    let gan = Vgan::trainer(&tiny(&[]), &Init::cpu(3)).unwrap();
    let saved = checkpoint(&gan, &folder.0);
    let mut classifier = Vgan::trainer(&tiny(&["variant=classifier"]), &Init::cpu(4)).unwrap();
    let weights = |t: &dyn Trainer| {
        let mut writer = CheckpointWriter::default();
        t.save(&mut writer).unwrap();
        writer.model_tensors().clone()
    };
    let before = weights(&classifier);
    // The writer's tensors share the memory of the trainer's.
    let last = values(&before["classifier.conv5.weight"]);
    classifier.start_from(&saved).unwrap();
    let after = weights(&classifier);
    for layer in ["conv1.weight", "bn3.bias", "bn4.running_var", "conv4.weight"] {
        let from = saved.train_tensor(&format!("discriminator.{layer}")).unwrap();
        assert_eq!(values(&after[&format!("classifier.{layer}")]), values(from), "{layer}");
    }
    assert_eq!(values(&after["classifier.conv5.weight"]), last);

    let mut random =
        Vgan::trainer(&tiny(&["variant=classifier", "classifier.start=random"]), &Init::cpu(4)).unwrap();
    assert!(random.start_from(&saved).unwrap_err().to_string().contains("classifier.start"));
    let mut other = Vgan::trainer(&tiny(&[]), &Init::cpu(4)).unwrap();
    assert!(other.start_from(&saved).unwrap_err().to_string().contains("cannot start from"));
    let mut wide =
        Vgan::trainer(&tiny(&["variant=classifier", "discriminator.channels=3"]), &Init::cpu(4)).unwrap();
    assert!(wide.start_from(&saved).unwrap_err().to_string().contains("classifier.conv1.weight"));
}

/// Logistic regression: the discriminator's features stay, running statistics too.
#[test]
fn a_frozen_classifier_learns_its_last_layer_alone() {
    let folder = Folder::new("frozen");
    let saved = checkpoint(&Vgan::trainer(&tiny(&[]), &Init::cpu(3)).unwrap(), &folder.0);
    let config = tiny(&["variant=classifier", "classifier.trained=last"]);
    let mut trainer = Vgan::trainer(&config, &Init::cpu(4)).unwrap();
    assert_eq!(trainer.parameters()["classifier"], 4 * (16 * 2 + 1));
    trainer.start_from(&saved).unwrap();
    let weights = |t: &dyn Trainer| -> Vec<(String, Vec<f32>)> {
        let mut writer = CheckpointWriter::default();
        t.save(&mut writer).unwrap();
        writer.model_tensors().iter().map(|(name, t)| (name.clone(), values(t))).collect()
    };
    let before = weights(&trainer);
    let losses: Vec<f64> = (1..=20).map(|k| step(&mut trainer, &labelled(&config, 4), k)[0].1).collect();
    assert!(losses[19] < losses[0], "{losses:?}");
    for ((name, old), (_, new)) in before.iter().zip(weights(&trainer)) {
        assert_eq!(*old != new, name.starts_with("classifier.conv5."), "{name}");
    }
    let sets = ["variant=classifier", "classifier.trained=last", "classifier.start=random"].map(String::from);
    let source = ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() };
    let text = resolve::<Config>(&source).unwrap_err().to_string();
    assert!(text.contains("classifier.start"), "{text}");
}

/// Configurations that were written before there was a choice.
#[test]
fn a_classifier_of_old_files_learns_all_layers() {
    let source = ConfigSource { preset: Some("tiny"), ..Default::default() };
    let now = (vg_vgan::ENTRY.open)(&source).unwrap().config_file();
    let line = now.lines().find(|line| line.contains("\"trained\"")).unwrap();
    // With the comma of the line before.
    let old = now.replace(&format!(",\n{line}"), "");
    assert!(!old.contains("trained"), "{old}");
    let weights = Weights::new("an old run", old, Default::default());
    assert_eq!(config_of::<Vgan>(&weights).unwrap().classifier.trained, Trained::All);
}

#[test]
fn parts_compose_to_the_clips() {
    for sets in [&[][..], &["variant=conditional"], &["variant=autoencoder"]] {
        let config = tiny(sets);
        let trainer = Vgan::trainer(&config, &Init::cpu(3)).unwrap();
        let sampler = trainer.sampler().unwrap();
        let mut request = SampleRequest::seeds([1, 2]);
        if sampler.spec().context_frames > 0 {
            request.context = Some(clips(&config, 1).narrow(0, 0, 2).unwrap().narrow(2, 0, 1).unwrap());
        }
        let (clips, parts) = sampler.sample_parts(&request).unwrap();
        assert_eq!(values(&clips.tensor), values(&sampler.sample(&request).unwrap().tensor));
        assert_eq!(
            parts.keys().copied().collect::<Vec<_>>(),
            ["background", "foreground", "mask", "masked-foreground"]
        );
        assert_eq!(parts["mask"].tensor.dims(), [2, 1, 32, 16, 16]);
        assert_eq!(parts["background"].tensor.dims(), [2, 3, 1, 16, 16]);
        let rest = parts["mask"].tensor.affine(-1.0, 1.0).unwrap();
        let behind = rest.broadcast_mul(&parts["background"].tensor).unwrap();
        let sum = (&parts["masked-foreground"].tensor + behind).unwrap();
        vg_core::testing::assert_close("the sum of the parts", &clips.tensor, &sum, 1e-5, 1e-6);
    }
    let trainer = Vgan::trainer(&tiny(&["variant=one-stream"]), &Init::cpu(3)).unwrap();
    assert!(trainer.sampler().unwrap().sample_parts(&SampleRequest::seeds([1])).unwrap().1.is_empty());
}

#[test]
fn the_conditional_variant_follows_its_frame() {
    let config = tiny(&["variant=conditional"]);
    let trainer = Vgan::trainer(&config, &Init::cpu(3)).unwrap();
    let sampler = trainer.sampler().unwrap();
    let frames = clips(&config, 1).narrow(2, 0, 1).unwrap();
    let sample = |seeds: &[u64], frames: &Tensor| {
        let request =
            SampleRequest { context: Some(frames.clone()), ..SampleRequest::seeds(seeds.iter().copied()) };
        sampler.sample(&request)
    };
    let all = sample(&[1, 2, 3], &frames).unwrap().tensor;
    let second = sample(&[7], &frames.narrow(0, 1, 1).unwrap()).unwrap().tensor;
    assert_eq!(values(&all.get(1).unwrap()), values(&second));
    assert_ne!(values(&all.get(0).unwrap()), values(&second));
    assert!(sampler.sample(&SampleRequest::seeds([1])).unwrap_err().to_string().contains("context"));
    assert!(sample(&[1, 2], &frames).unwrap_err().to_string().contains("1 or 2"));
    let small = frames.narrow(3, 0, 8).unwrap();
    assert!(sample(&[1], &small).unwrap_err().to_string().contains("context"));
}

#[test]
fn clips_have_one_length() {
    let trainer = Vgan::trainer(&tiny(&[]), &Init::cpu(3)).unwrap();
    let sampler = trainer.sampler().unwrap();
    for frames in [0, 16, 48] {
        let request = SampleRequest { frames: Some(frames), ..SampleRequest::seeds([1]) };
        assert!(sampler.sample(&request).unwrap_err().to_string().contains("32"), "{frames}");
    }
}

/// Nothing that a request asks for is passed over.
#[test]
fn what_cannot_be_steered_is_refused() {
    let streams = || [("content".to_owned(), vec![1])].into();
    let switches = || vec![ClassSwitch::new(3, 0)];
    let base = || SampleRequest::seeds([1]);
    for variant in ["two-stream", "autoencoder"] {
        let trainer = Vgan::trainer(&tiny(&[&format!("variant={variant}")]), &Init::cpu(3)).unwrap();
        let sampler = trainer.sampler().unwrap();
        for (request, part) in [
            (SampleRequest { speed: Some(2.0), ..base() }, "speed"),
            (SampleRequest { streams: streams(), ..base() }, "random streams"),
            (SampleRequest { switches: switches(), ..base() }, "class within a clip"),
            (SampleRequest { class: Some(0), ..base() }, "without classes"),
            (SampleRequest { classes: vec![0], ..base() }, "without classes"),
            (SampleRequest::default(), "at least one seed"),
        ] {
            for text in [
                sampler.sample(&request).unwrap_err().to_string(),
                sampler.sample_parts(&request).unwrap_err().to_string(),
            ] {
                assert!(text.contains(part), "{variant}: {text}");
            }
        }
    }
}

/// A program that builds a configuration itself is told as well.
#[test]
fn networks_are_not_made_of_values_that_make_no_sense() {
    let mut bad = tiny(&[]);
    bad.clip.size = 24;
    let is_named = |error: Error| assert!(matches!(error, Error::Config { .. }), "{error}");
    is_named(Vgan::trainer(&bad, &Init::cpu(0)).err().unwrap());
    let nothing = Weights::new("nothing", "{}", Default::default());
    is_named(Vgan::sampler(&bad, &nothing, &Init::cpu(0)).err().unwrap());
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    let text = |set: &str| {
        let sets = [set.to_owned()];
        let source = ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() };
        resolve::<Config>(&source).unwrap_err().to_string()
    };
    assert!(text("clip.frames=30").contains("a multiple of 16"));
    assert!(text("clip.size=0").contains("clip.size"));
    assert!(text("classifier.dropout=1.0").contains("below 1"));
    assert!(text("variant=three-stream").contains("three-stream"));
    assert!(text("train.mask_weight=-0.1").contains("0 or greater"));
    assert!(text("train.batch=70000").contains("1 to 65536"));
    assert!(text("clip.frames=9223372036854775792").contains("16 to 4096"));
    assert!(text("generator.channels=100000").contains("1 to 1024"));
    assert!(text("generator.z_dim=9000000000000000000").contains("generator.z_dim"));
    assert!(text("classifier.classes=100000").contains("classifier.classes"));
    assert!(text("mixture.em_iterations=1000000").contains("0 to 10000"));
    let sets = ["train.batch=65536", "clip.size=1024"].map(String::from);
    let source = ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() };
    let together = resolve::<Config>(&source).unwrap_err().to_string();
    assert!(together.contains("together with other sizes"), "{together}");
}
