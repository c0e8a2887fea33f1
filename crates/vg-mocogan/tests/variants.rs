//! Every variant trains and samples; samples can be steered; mistakes are named.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter, Progress, Weights};
use vg_core::config::{ConfigSource, resolve};
use vg_core::grad::Tape;
use vg_core::model::{Init, Model};
use vg_core::sample::{ClassSwitch, SampleRequest};
use vg_core::train::{StepCx, StepLog, Trainer};
use vg_core::{Batch, ClassCount, Error, Result, Rng};
use vg_mocogan::config::ImageKind;
use vg_mocogan::{Config, Draws, Mocogan, MocoganTrainer, Real};

/// The tiny preset with three classes.
fn tiny(sets: &[&str]) -> Result<Config> {
    let sets: Vec<String> = ["categories.count=3"].iter().chain(sets).map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() })
}

fn trainer(sets: &[&str]) -> MocoganTrainer {
    Mocogan::trainer(&tiny(sets).unwrap(), &Init::cpu(1)).unwrap()
}

/// Clips and frames of one colour each, which an encoder can learn.
fn batch(trainer: &MocoganTrainer, label: u32) -> Batch {
    let spec = trainer.needs();
    let mut noise = Rng::new(4).stream("real");
    let mut draw = |dims: &[usize]| {
        let colours: Vec<usize> = dims.iter().enumerate().map(|(k, n)| if k < 2 { *n } else { 1 }).collect();
        let colours = noise.uniform_tensor(colours, -1.0, 1.0, DType::F32, &Device::Cpu).unwrap();
        colours.broadcast_as(dims).unwrap().contiguous().unwrap()
    };
    let labels = Tensor::full(label, spec.clips, &Device::Cpu).unwrap();
    Batch {
        clips: draw(&spec.clip.dims(spec.clips)),
        images: (spec.images > 0).then(|| draw(&spec.clip.image_dims(spec.images))),
        labels: spec.labels.iter().map(|group| (group.clone(), labels.clone())).collect(),
        maps: BTreeMap::new(),
    }
}

/// Losses of a step by name.
fn step(trainer: &mut MocoganTrainer, step: u64, label: u32) -> Result<BTreeMap<&'static str, f64>> {
    let batch = batch(trainer, label);
    let mut log = StepLog::default();
    let rng = Rng::new(0).child("step", step);
    let mut cx = StepCx { rng, log: &mut log, step, clips_seen: 0, epoch_clips: 1 };
    let _tape = Tape::start();
    trainer.step(&batch, &mut cx)?;
    Ok(log.read()?.into_iter().map(|s| (s.name, s.value)).collect())
}

fn pixels(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn every_variant_trains_and_samples() {
    for sets in [
        &["categories.input=generator", "init=pytorch-0.2"][..],
        &["train.class_loss=infogan", "init=dcgan"],
        &["train.class_loss=reference-infogan-only", "discriminator.noise=0"],
        &["train.class_loss=none"],
        &[
            "train.class_loss=none",
            "categories.count=0",
            "discriminator.video=full",
            "discriminator.image=full",
        ],
        &["train.class_loss=none", "categories.count=0", "discriminator.video=patch", "clip.frames=13"],
        &["train.lengths=[16, 24]", "train.length_weights=[1, 1]", "generator.slope=0.2"],
        &["clip.side=16", "clip.channels=1", "train.image_batch=0"],
        &["clip.side=96", "train.batch=1", "train.image_batch=2"],
        &["discriminator.image=none"],
    ] {
        let mut trainer = trainer(sets);
        let losses = step(&mut trainer, 1, 0).unwrap();
        assert!(losses.values().all(|l| l.is_finite()), "{sets:?}: {losses:?}");
        let sampler = trainer.sampler().unwrap();
        let long = SampleRequest { frames: Some(40), ..SampleRequest::seeds([1]) };
        assert_eq!(sampler.sample(&long).unwrap().tensor.dim(2).unwrap(), 40, "{sets:?}");
    }
}

#[test]
fn values_that_do_not_fit_together_are_named() {
    for (sets, part) in [
        (&["clip.side=40"][..], "multiple of 16"),
        (&["clip.frames=20"], "must be 16"),
        (&["clip.frames=12", "discriminator.video=patch", "train.class_loss=none"], "13 or more"),
        (&["categories.count=0"], "discriminator.video"),
        (&["discriminator.video=full"], "train.class_loss"),
        (&["train.lengths=[8]", "train.length_weights=[1]"], "train.lengths"),
        (&["train.lengths=[20]"], "one for each"),
        (&["train.lengths=[20]", "train.length_weights=[0]"], "above 0"),
        (&["train.length_weights=[1e308, 1e308]", "train.lengths=[20, 20]"], "above 0"),
        (&["train.lr=0"], "train.lr"),
        (&["train.batch=0"], "1 to 65536"),
        (&["train.image_batch=4000000000"], "train.image_batch"),
        (&["latent.content=9000000000000000000"], "latent.content"),
        (&["generator.width=100000"], "1 to 1024"),
        (&["clip.side=9223372036854775792"], "clip.side"),
        (&["categories.count=100000"], "categories.count"),
        (&["train.batch=65536", "clip.side=1024"], "together with batch and widths"),
        (&["train.class_loss=infogans"], "infogans"),
    ] {
        let error = tiny(sets).unwrap_err().to_string();
        assert!(error.contains(part), "{sets:?}: {error}");
    }
}

#[test]
fn labels_and_frames_that_are_missing_or_wrong_are_named() {
    let mut nets = trainer(&[]);
    let error = step(&mut nets, 1, 7).unwrap_err().to_string();
    assert!(error.contains("label 7 is not below 3"), "{error}");
    let count = ClassCount::new(3, "categories.count");
    assert_eq!(nets.needs().classes, BTreeMap::from([("class".to_owned(), count)]));
    let mut without = batch(&nets, 0);
    without.images = None;
    let mut log = StepLog::default();
    let mut cx = StepCx { rng: Rng::new(1), log: &mut log, step: 1, clips_seen: 0, epoch_clips: 1 };
    let error = nets.step(&without, &mut cx).unwrap_err().to_string();
    assert!(error.contains("single frames"), "{error}");
    let unlabelled = Batch { labels: BTreeMap::new(), ..batch(&nets, 0) };
    let error = nets.step(&unlabelled, &mut cx).unwrap_err();
    assert!(matches!(error, Error::Data(_)) && error.to_string().contains("class"), "{error}");
    let real = Real { images: unlabelled.images, clips: unlabelled.clips, labels: None };
    let config = tiny(&[]).unwrap();
    let draws = Draws::new(&config, &Rng::new(1), DType::F32, &Device::Cpu).unwrap();
    let error = nets.train(&real, &draws).err().unwrap();
    assert!(matches!(error, Error::Data(_)) && error.to_string().contains("labels"), "{error}");
    let needs = trainer(&["train.class_loss=infogan"]).needs();
    assert!(needs.labels.is_empty() && needs.classes.is_empty());
}

/// A program that builds a configuration itself is told as well.
#[test]
fn networks_are_not_made_of_values_that_make_no_sense() {
    let mut bad = tiny(&[]).unwrap();
    bad.clip.side = 40;
    let is_named = |error: Error| assert!(matches!(error, Error::Config { .. }), "{error}");
    is_named(Mocogan::trainer(&bad, &Init::cpu(0)).err().unwrap());
    let nothing = Weights::new("nothing", "{}", BTreeMap::new());
    is_named(Mocogan::sampler(&bad, &nothing, &Init::cpu(0)).err().unwrap());
}

/// The paper's ablation: neither frames nor a loss of them, and its checkpoints hold no image discriminator.
#[test]
fn without_an_image_discriminator_clips_alone_are_judged() {
    let mut nets = trainer(&["discriminator.image=none"]);
    assert_eq!((nets.needs().images, nets.image_discriminator().is_err()), (0, true));
    assert!(!nets.parameters().contains_key("image_discriminator"));
    let losses = step(&mut nets, 1, 0).unwrap();
    assert!(!losses.contains_key("image_discriminator") && losses["generator"].is_finite(), "{losses:?}");
    assert_eq!(tiny(&["discriminator.image=none"]).unwrap().discriminator.image, ImageKind::None);
    assert_eq!(MocoganTrainer::new(&tiny(&[]).unwrap(), &Init::cpu(0)).unwrap().needs().images, 3);
}

/// The published `--use_infogan` alone gives the class head no gradient: weight decay is all that moves it.
#[test]
fn the_reference_command_leaves_the_class_head_alone() {
    let moved = |class_loss: &str| {
        let mut nets = trainer(&["train.weight_decay=0", &format!("train.class_loss={class_loss}")]);
        let head = |nets: &MocoganTrainer| {
            let name = "video_discriminator.main.15.weight";
            pixels(&nets.store().tensors(name)[name].narrow(0, 1, 3).unwrap())
        };
        let before = head(&nets);
        step(&mut nets, 1, 0).unwrap();
        before != head(&nets)
    };
    assert!(!moved("reference-infogan-only"));
    assert!(moved("infogan") && moved("supervised"));
}

/// Content and motion have seeds of their own: a swap of one leaves the other.
#[test]
fn streams_steer_content_and_motion_apart() {
    let nets = trainer(&[]);
    let sampler = nets.sampler().unwrap();
    let sample = |content: u64, motion: u64| {
        let streams = [("content", content), ("motion", motion)].map(|(k, s)| (k.to_owned(), vec![s]));
        let request = SampleRequest { streams: streams.into(), ..SampleRequest::seeds([0]) };
        pixels(&sampler.sample(&request).unwrap().tensor)
    };
    assert_eq!(sample(5, 6), sample(5, 6));
    assert_ne!(sample(5, 6), sample(5, 7));
    assert_ne!(sample(5, 6), sample(8, 6));
    // A clip's own seed stands for all streams.
    let plain = sampler.sample(&SampleRequest::seeds([9])).unwrap().tensor;
    let streams = ["content", "motion", "class"].map(|k| (k.to_owned(), vec![9]));
    let named = SampleRequest { streams: streams.into(), ..SampleRequest::seeds([0]) };
    assert_eq!(pixels(&sampler.sample(&named).unwrap().tensor), pixels(&plain));
}

#[test]
fn longer_clips_begin_with_the_shorter_and_other_speeds_walk_the_same_path() {
    let nets = trainer(&[]);
    let sampler = nets.sampler().unwrap();
    let sample = |frames, speed| {
        let request = SampleRequest { frames: Some(frames), speed, ..SampleRequest::seeds([3]) };
        sampler.sample(&request).unwrap().tensor
    };
    let (short, long) = (sample(16, None), sample(32, None));
    let near =
        |a: Vec<f32>, b: Vec<f32>| a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(near(pixels(&long.narrow(2, 0, 16).unwrap()), pixels(&short)));
    assert_eq!(pixels(&sample(16, Some(1.0))), pixels(&short));
    let frame = |clip: &Tensor, k: usize| pixels(&clip.narrow(2, k, 1).unwrap());
    let (slow, fast) = (sample(31, Some(0.5)), sample(8, Some(2.0)));
    for k in 0..8 {
        assert!(near(frame(&slow, 4 * k), frame(&short, 2 * k)), "slow, {k}");
        assert!(near(frame(&fast, k), frame(&short, 2 * k)), "fast, {k}");
    }
}

#[test]
fn classes_are_chosen_per_clip_and_may_change_on_the_way() {
    for input in ["rnn", "generator"] {
        let nets = trainer(&[&format!("categories.input={input}")]);
        let sampler = nets.sampler().unwrap();
        let of = |request: SampleRequest| sampler.sample(&request).unwrap().tensor;
        let one = |class| of(SampleRequest { class: Some(class), ..SampleRequest::seeds([3]) });
        let both = of(SampleRequest { classes: vec![0, 2], ..SampleRequest::seeds([3, 3]) });
        assert_eq!(pixels(&both), [pixels(&one(0)), pixels(&one(2))].concat());
        let switches = vec![ClassSwitch::new(6, 2)];
        let turned = of(SampleRequest { class: Some(0), switches, ..SampleRequest::seeds([3]) });
        let frames = |clip: &Tensor, from, n| pixels(&clip.narrow(2, from, n).unwrap());
        assert_eq!(frames(&turned, 0, 6), frames(&one(0), 0, 6));
        assert_ne!(frames(&turned, 6, 1), frames(&one(0), 6, 1));
        // There and back again.
        let switches = vec![ClassSwitch::new(9, 1), ClassSwitch::new(6, 2)];
        let twice = of(SampleRequest { class: Some(0), switches, ..SampleRequest::seeds([3]) });
        assert_eq!(frames(&twice, 0, 9), frames(&turned, 0, 9));
        assert_ne!(frames(&twice, 9, 1), frames(&turned, 9, 1));
    }
    let nets = trainer(&["categories.count=0", "discriminator.video=full", "train.class_loss=none"]);
    let switches = vec![ClassSwitch::new(6, 0)];
    assert!(
        nets.sampler().unwrap().sample(&SampleRequest { switches, ..SampleRequest::seeds([3]) }).is_err()
    );
}

/// A frame between two steps of a slow path has the old class or the new one.
#[test]
fn classes_are_not_blended_at_other_speeds() {
    for input in ["rnn", "generator"] {
        let nets = trainer(&[&format!("categories.input={input}")]);
        let sampler = nets.sampler().unwrap();
        for (speed, frame) in [(0.5, 7), (0.4, 6), (0.3, 5), (1.5, 5), (2.0, 6)] {
            let of = |class, switch: Option<ClassSwitch>| {
                let request = SampleRequest {
                    class: Some(class),
                    switches: switch.into_iter().collect(),
                    speed: Some(speed),
                    frames: Some(12),
                    ..SampleRequest::seeds([3])
                };
                sampler.sample(&request).unwrap().tensor
            };
            let (old, new) = (of(0, None), of(2, None));
            let turned = of(0, Some(ClassSwitch::new(frame, 2)));
            let same = of(0, Some(ClassSwitch::new(frame, 0)));
            let frames = |clip: &Tensor, from, n| pixels(&clip.narrow(2, from, n).unwrap());
            assert_eq!(pixels(&same), pixels(&old), "{input}, {speed}");
            assert_eq!(frames(&turned, 0, frame), frames(&old, 0, frame), "{input}, {speed}");
            assert_ne!(frames(&turned, frame, 1), frames(&old, frame, 1), "{input}, {speed}");
            if input == "generator" {
                // The motion does not know the class.
                let rest = 12 - frame;
                assert_eq!(frames(&turned, frame, rest), frames(&new, frame, rest), "{speed}");
            }
        }
    }
}

/// Streams that no clip reads are not offered.
#[test]
fn streams_are_those_that_are_read() {
    let streams = |sets: &[&str]| trainer(sets).sampler().unwrap().controls().streams;
    let none = &["categories.count=0", "discriminator.video=full", "train.class_loss=none"];
    assert_eq!(streams(&[]), ["content", "motion", "class"]);
    assert_eq!(streams(none), ["content", "motion"]);
    assert_eq!(streams(&["task=image-to-video"]), ["motion", "class"]);
    assert_eq!(streams(IMAGE_TO_VIDEO), ["motion"]);
    let nets = trainer(none);
    let named = [("class".to_owned(), vec![9])].into();
    let request = SampleRequest { streams: named, ..SampleRequest::seeds([0]) };
    let error = nets.sampler().unwrap().sample(&request).unwrap_err().to_string();
    assert!(error.contains("content, motion"), "{error}");
}

const IMAGE_TO_VIDEO: &[&str] = &[
    "task=image-to-video",
    "categories.count=0",
    "discriminator.video=full",
    "train.class_loss=none",
    "train.lr=2e-3",
    "train.l1_weight=100",
    "latent.content=24",
];

/// The L1 term is learnt, and reaches encoder and generator.
#[test]
fn image_to_video_learns_to_show_the_given_frame() {
    let mut nets = trainer(IMAGE_TO_VIDEO);
    let distances: Vec<f64> = (1..=30).map(|k| step(&mut nets, k, 0).unwrap()["reconstruction"]).collect();
    let mean = |d: &[f64]| d.iter().sum::<f64>() / d.len() as f64;
    let (early, late) = (mean(&distances[..5]), mean(&distances[25..]));
    assert!(late < 0.9 * early, "{distances:?}");
    assert!(nets.parameters()["encoder"] > 0);
}

#[test]
fn image_to_video_samples_from_given_frames() {
    let mut nets = trainer(IMAGE_TO_VIDEO);
    step(&mut nets, 1, 0).unwrap();
    let sampler = nets.sampler().unwrap();
    assert_eq!(sampler.spec().context_frames, 1);
    let error = sampler.sample(&SampleRequest::seeds([1])).unwrap_err().to_string();
    assert!(error.contains("given frame"), "{error}");
    let frames = |n: usize| {
        let dims = [n, 3, 1, 32, 32];
        Some(Rng::new(2).stream("x").uniform_tensor(&dims[..], -1.0, 1.0, DType::F32, &Device::Cpu).unwrap())
    };
    let both = SampleRequest { context: frames(2), ..SampleRequest::seeds([1, 1]) };
    let clips = sampler.sample(&both).unwrap().tensor;
    assert_ne!(pixels(&clips.get(0).unwrap()), pixels(&clips.get(1).unwrap()));
    // The first frame is decoded from the given frame alone, later ones depend on the seed.
    let one = SampleRequest { context: frames(1), ..SampleRequest::seeds([1, 2]) };
    let clips = sampler.sample(&one).unwrap().tensor;
    let frame = |clip: usize, k| pixels(&clips.get(clip).unwrap().narrow(1, k, 1).unwrap());
    assert_eq!(frame(0, 0), frame(1, 0));
    assert_ne!(frame(0, 5), frame(1, 5));
    let three = SampleRequest { context: frames(3), ..SampleRequest::seeds([1, 2]) };
    assert!(sampler.sample(&three).unwrap_err().to_string().contains("give 1 or 2"));
}

/// What is saved to sample with is the average of the generator, or the generator itself where there is none; either way a run goes on
/// from a checkpoint as if it had not stopped.
#[test]
fn samples_come_from_the_average_where_there_is_one() {
    for (average, differs) in [("train.average=0.9", true), ("train.average=0", false)] {
        let mut nets = trainer(&[average]);
        for k in 1..=2 {
            step(&mut nets, k, 0).unwrap();
        }
        let mut saved = CheckpointWriter::default();
        nets.save(&mut saved).unwrap();
        let name = "generator.main.0.weight";
        let live = nets.store().tensors(name)[name].clone();
        assert_eq!(pixels(&saved.model_tensors()[name]) != pixels(&live), differs, "{average}");

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("step");
        saved.write(&path, "mocogan", "{}", Progress::default()).unwrap();
        let mut again = trainer(&[average]);
        again.load(&CheckpointReader::open(&path).unwrap()).unwrap();
        assert_eq!(step(&mut nets, 3, 0).unwrap(), step(&mut again, 3, 0).unwrap(), "{average}");
        let clips = |nets: &MocoganTrainer| {
            pixels(&nets.sampler().unwrap().sample(&SampleRequest::seeds([5])).unwrap().tensor)
        };
        assert_eq!(clips(&nets), clips(&again), "{average}");
    }
}
