//! What a VideoVAE does: section 10.3 of the specification, its stages, and requests.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter, Progress, Weights};
use vg_core::config::{ConfigSource, resolve};
use vg_core::grad::Tape;
use vg_core::model::{Init, Model};
use vg_core::sample::{ClassSwitch, SampleRequest, Sampler};
use vg_core::testing::random_batch;
use vg_core::train::{StepCx, StepLog, Trainer};
use vg_core::{Batch, Rng};
use vg_videovae::{Config, Videovae, VideovaeSampler, VideovaeTrainer};

/// Images of 16x16 and narrow networks.
const SMALL: [&str; 8] = [
    "clip.side=16",
    "networks.kernels=[3,3,3,2]",
    "networks.strides=[1,2,1,1]",
    "networks.channels=[8,8,12,12]",
    "networks.linear=48",
    "networks.latent=12",
    "networks.hidden=24",
    "networks.mlp=24",
];

fn config(sets: &[&str]) -> Config {
    let sets: Vec<String> = SMALL.iter().chain(sets).map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() }).unwrap()
}

fn trainer(sets: &[&str]) -> VideovaeTrainer {
    Videovae::trainer(&config(sets), &Init::cpu(1)).unwrap()
}

fn saved(trainer: &dyn Trainer) -> CheckpointWriter {
    let mut writer = CheckpointWriter::default();
    trainer.save(&mut writer).unwrap();
    writer
}

/// A sampler of its own, so that its methods can be called.
fn sampler(trainer: &VideovaeTrainer, sets: &[&str]) -> VideovaeSampler {
    let weights = Weights::new("a trainer", "{}", saved(trainer).model_tensors().clone());
    Videovae::sampler(&config(sets), &weights, &Init::cpu(0)).unwrap()
}

fn reader(trainer: &dyn Trainer, model: &str) -> (tempfile::TempDir, CheckpointReader) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("step-000001");
    saved(trainer).write(&path, model, "{}", Progress::default()).unwrap();
    let reader = CheckpointReader::open(&path).unwrap();
    (dir, reader)
}

fn step(trainer: &mut dyn Trainer, batch: &Batch, k: u64) -> BTreeMap<&'static str, f64> {
    let mut log = StepLog::default();
    let rng = Rng::new(0).child("step", k);
    let mut cx = StepCx { rng, log: &mut log, step: k, clips_seen: k, epoch_clips: 1 };
    let _tape = Tape::start();
    trainer.step(batch, &mut cx).unwrap();
    log.read().unwrap().into_iter().map(|s| (s.name, s.value)).collect()
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// Of clip `k`, `n` frames from `from` on.
fn part(clips: &Tensor, k: usize, from: usize, n: usize) -> Vec<f32> {
    values(&clips.get(k).unwrap().narrow(1, from, n).unwrap())
}

fn noise(seed: u64, clips: usize, frames: usize) -> Tensor {
    let dims = [clips, 3, frames, 16, 16];
    Rng::new(seed).stream("x").uniform_tensor(&dims[..], -1.0, 1.0, DType::F32, &Device::Cpu).unwrap()
}

fn named(attributes: &[(&str, usize)], seeds: impl IntoIterator<Item = u64>) -> SampleRequest {
    let attributes = attributes.iter().map(|(name, class)| ((*name).to_owned(), vec![*class])).collect();
    SampleRequest { attributes, frames: Some(6), ..SampleRequest::seeds(seeds) }
}

#[test]
fn attributes_change_all_frames_and_switches_those_behind_them() {
    let nets = trainer(&[]);
    let sampler = sampler(&nets, &[]);
    let of = |request: SampleRequest| sampler.sample(&request).unwrap().tensor;
    let plain = of(named(&[("class", 0), ("kind", 1)], [3]));
    assert_eq!(plain.dims(), [1, 3, 6, 16, 16]);
    let by_class = of(SampleRequest { class: Some(0), ..named(&[("kind", 1)], [3]) });
    assert_eq!(values(&plain), values(&by_class));
    let other = of(named(&[("class", 1), ("kind", 1)], [3]));
    assert_ne!(part(&plain, 0, 0, 1), part(&other, 0, 0, 1));
    // There and back again, and in another group.
    let switches = vec![ClassSwitch::new(4, 0), ClassSwitch::new(2, 1), ClassSwitch::of("kind", 5, 0)];
    let turned = of(SampleRequest { switches, ..named(&[("class", 0), ("kind", 1)], [3]) });
    assert_eq!(part(&turned, 0, 0, 2), part(&plain, 0, 0, 2));
    assert_ne!(part(&turned, 0, 2, 1), part(&plain, 0, 2, 1));
    let once = of(SampleRequest {
        switches: vec![ClassSwitch::new(2, 1)],
        ..named(&[("class", 0), ("kind", 1)], [3])
    });
    assert_eq!(part(&turned, 0, 0, 4), part(&once, 0, 0, 4));
    assert_ne!(part(&turned, 0, 4, 1), part(&once, 0, 4, 1));
}

#[test]
fn given_frames_are_none_one_or_several() {
    let nets = trainer(&[]);
    let sampler = sampler(&nets, &[]);
    assert_eq!((sampler.spec().context_frames, *sampler.context_range().start()), (0, 0));
    let with = |frames: usize, seed| SampleRequest {
        context: Some(noise(seed, 1, frames)),
        ..named(&[("class", 0), ("kind", 1)], [3, 4])
    };
    let of = |request: SampleRequest| sampler.sample(&request).unwrap().tensor;
    for frames in [1, 3] {
        let (a, b) = (of(with(frames, 1)), of(with(frames, 2)));
        assert_eq!(a.dims(), [2, 3, 6, 16, 16]);
        assert_ne!(part(&a, 0, 0, 1), part(&b, 0, 0, 1));
        assert_ne!(part(&a, 0, 5, 1), part(&b, 0, 5, 1));
    }
    // The classes of a clip that nobody chose are those that its frames vote for.
    let votes = sampler.infer(&noise(1, 1, 3)).unwrap();
    let open = SampleRequest { attributes: BTreeMap::new(), ..with(3, 1) };
    let inferred = named(&[("class", votes[0][0] as usize), ("kind", votes[1][0] as usize)], [3, 4]);
    assert_eq!(
        values(&of(open)),
        values(&of(SampleRequest { attributes: inferred.attributes, ..with(3, 1) }))
    );
    let error = |request: SampleRequest| sampler.sample(&request).unwrap_err().to_string();
    assert!(error(with(6, 1)).contains("fewer than the 6 given ones"));
    let wide = noise(1, 3, 1);
    assert!(error(SampleRequest { context: Some(wide), ..with(1, 1) }).contains("give 1 or 2"));
}

#[test]
fn classes_that_nobody_chose_are_drawn_by_their_frequency() {
    let mut nets = trainer(&[]);
    let mut batch = random_batch(&nets.needs(), &Rng::new(2));
    batch.labels.insert("class".into(), Tensor::new(&[1u32, 1, 1], &Device::Cpu).unwrap());
    step(&mut nets, &batch, 1);
    let sampler = sampler(&nets, &[]);
    let of = |request: SampleRequest| sampler.sample(&request).unwrap().tensor;
    // Class 1 and kind 0 alone were seen.
    assert_eq!(values(&of(named(&[], 0..4))), values(&of(named(&[("class", 1), ("kind", 0)], 0..4))));
    let partly = of(named(&[("class", 0)], 0..4));
    assert_eq!(values(&partly), values(&of(named(&[("class", 0), ("kind", 0)], 0..4))));
    // Before training all are equally likely.
    let fresh = trainer(&[]);
    let fresh = self::sampler(&fresh, &[]);
    let of = |request: SampleRequest| fresh.sample(&request).unwrap().tensor;
    let [zero, one] = [0, 1].map(|class| of(named(&[("class", class), ("kind", 0)], 0..12)));
    let free = of(named(&[("kind", 0)], 0..12));
    let zeros = (0..12).filter(|k| part(&free, *k, 0, 6) == part(&zero, *k, 0, 6)).count();
    let ones = (0..12).filter(|k| part(&free, *k, 0, 6) == part(&one, *k, 0, 6)).count();
    assert!(zeros > 1 && ones > 1 && zeros + ones == 12, "{zeros} {ones}");
}

#[test]
fn a_clip_is_the_same_in_any_company() {
    let nets = trainer(&["sample.random_initial_state=true"]);
    let sampler = sampler(&nets, &["sample.random_initial_state=true"]);
    for given in [false, true] {
        let context = noise(1, 19, 2);
        let request = |seeds: std::ops::Range<u64>, rows: [usize; 2]| SampleRequest {
            context: given.then(|| context.narrow(0, rows[0], rows[1]).unwrap()),
            frames: Some(4),
            ..SampleRequest::seeds(seeds)
        };
        let all = sampler.sample(&request(0..19, [0, 19])).unwrap().tensor;
        for k in [0, 3, 15, 16, 18] {
            let alone = sampler.sample(&request(k..k + 1, [k as usize, 1])).unwrap().tensor;
            assert_eq!(part(&all, k as usize, 0, 4), values(&alone), "given {given}, clip {k}");
        }
    }
    // A longer clip begins with a shorter one, and states that are drawn are others than zeros.
    let of = |sampler: &VideovaeSampler, frames| {
        let request = SampleRequest { frames: Some(frames), ..named(&[("class", 0), ("kind", 0)], [3]) };
        sampler.sample(&request).unwrap().tensor
    };
    assert_eq!(part(&of(&sampler, 9), 0, 0, 5), values(&of(&sampler, 5)));
    assert_ne!(values(&of(&sampler, 5)), values(&of(&self::sampler(&nets, &[]), 5)));
}

#[test]
fn stage_2_leaves_the_classifier_as_it_is() {
    let sets = ["variant=classifier", "train.batch=8"];
    let mut stage_1 = trainer(&sets);
    assert_eq!(stage_1.needs().clip.frames, 1);
    let batch = random_batch(&stage_1.needs(), &Rng::new(2));
    let losses = step(&mut stage_1, &batch, 1);
    assert!(losses["classifier"].is_finite() && losses.contains_key("accuracy"));
    assert!(stage_1.missing_start().is_none());
    assert!(stage_1.sampler().unwrap().sample(&SampleRequest::seeds([1])).is_err());

    let (_dir, checkpoint) = reader(&stage_1, "videovae");
    let mut nets = trainer(&[]);
    assert!(nets.missing_start().unwrap().contains("--from"));
    nets.start_from(&checkpoint).unwrap();
    let batch = random_batch(&nets.needs(), &Rng::new(3));
    (1..4).for_each(|k| drop(step(&mut nets, &batch, k)));
    let (before, after) = (saved(&stage_1).model_tensors().clone(), saved(&nets).model_tensors().clone());
    assert!(before.keys().any(|name| name.ends_with("running_mean")));
    for (name, tensor) in &before {
        assert_eq!(values(tensor), values(&after[name]), "{name}");
    }
    // Both tell the same of a clip.
    let clips = noise(4, 5, 3);
    assert_eq!(sampler(&nets, &[]).infer(&clips).unwrap(), sampler(&stage_1, &sets).infer(&clips).unwrap());

    let (_dir, wrong) = reader(&trainer(&["variant=classifier", "networks.mlp=23"]), "videovae");
    assert!(trainer(&[]).start_from(&wrong).unwrap_err().to_string().contains("attr_net.fc1.weight"));
    let evaluation = ["variant=evaluation-classifier", "clip.side=64", "clip.frames=10"];
    let (_dir, other) = reader(&trainer(&evaluation), "videovae");
    let error = trainer(&[]).start_from(&other).unwrap_err().to_string();
    assert!(error.contains("weizmann-classifier"), "{error}");
}

#[test]
fn clips_without_labels_vote() {
    let sets = ["attributes.labelled_fraction=0.0"];
    let mut nets = trainer(&sets);
    assert!(nets.needs().labels.is_empty() && nets.needs().classes.is_empty());
    let batch = random_batch(&nets.needs(), &Rng::new(2));
    let votes = sampler(&nets, &sets).infer(&batch.clips).unwrap();
    step(&mut nets, &batch, 1);
    let counts = &saved(&nets).model_tensors()["frequencies.class"].clone();
    let want = [0, 1].map(|class| votes[0].iter().filter(|v| **v == class).count() as f32);
    assert_eq!(values(counts), want);
    // With all labels they count instead, in joint training too.
    for sets in [&["attributes.labelled_fraction=1.0"][..], &["train.train_encoder=true"]] {
        let mut nets = trainer(sets);
        let mut batch = random_batch(&nets.needs(), &Rng::new(2));
        batch.labels.insert("class".into(), Tensor::new(&[0u32, 1, 1], &Device::Cpu).unwrap());
        step(&mut nets, &batch, 1);
        assert_eq!(values(&saved(&nets).model_tensors()["frequencies.class"]), [1.0, 2.0]);
    }
    // Some of a batch in joint training.
    let sets = ["attributes.labelled_fraction=0.5", "train.train_encoder=true", "train.batch=8"];
    let mut nets = trainer(&sets);
    let mut batch = random_batch(&nets.needs(), &Rng::new(2));
    let numbers = Tensor::new((0..8).collect::<Vec<u32>>(), &Device::Cpu).unwrap();
    batch.labels.insert(vg_core::batch::CLIP_NUMBER.into(), numbers);
    assert!(step(&mut nets, &batch, 1)["attributes"] > 0.0);
}

#[test]
fn every_variant_tells_probabilities() {
    let evaluation = ["variant=evaluation-classifier", "clip.side=64", "clip.frames=10", "train.batch=2"];
    for sets in [&[][..], &["variant=classifier"], &evaluation] {
        let mut nets = trainer(sets);
        let batch = random_batch(&nets.needs(), &Rng::new(2));
        assert!(step(&mut nets, &batch, 1).values().all(|x| x.is_finite()), "{sets:?}");
        let sampler = sampler(&nets, sets);
        let spec = sampler.spec().clip;
        let clips =
            Rng::new(4).stream("x").uniform_tensor(&spec.dims(3)[..], -1.0, 1.0, DType::F32, &Device::Cpu);
        let probs = sampler.classify(&clips.unwrap()).unwrap();
        assert_eq!(probs.dims(), [3, 4]);
        for row in probs.to_vec2::<f32>().unwrap() {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5 && row.iter().all(|p| *p > 0.0), "{row:?}");
        }
        assert_eq!(sampler.attributes().len(), 2);
    }
}

/// Four clips of three frames, two different ones: the class is the side of a bright half, which fades.
fn lesson() -> Batch {
    let mut values = Vec::new();
    for clip in 0..4 {
        for _channel in 0..3 {
            for frame in 0..3 {
                for place in 0..16 * 16 {
                    let inside = (place % 16 < 8) == (clip % 2 == 0);
                    values.push(if inside { 0.8 - 0.2 * frame as f32 } else { -0.8 });
                }
            }
        }
    }
    let mut batch = Batch::of_clips(Tensor::from_vec(values, (4, 3, 3, 16, 16), &Device::Cpu).unwrap());
    let labels =
        |of: fn(u32) -> u32| Tensor::new((0..4).map(of).collect::<Vec<u32>>(), &Device::Cpu).unwrap();
    batch.labels = [("class".to_owned(), labels(|k| k % 2)), ("kind".to_owned(), labels(|_| 0))].into();
    batch
}

/// Overfits two clips: they are reproduced, generated clips have the class asked for, and a first frame leaves less open.
#[test]
fn two_clips_are_learned_by_heart() {
    let wide = [
        "networks.channels=[16,16,32,48]",
        "networks.kernels=[5,4,3,3]",
        "networks.strides=[1,2,1,1]",
        "networks.linear=96",
        "networks.latent=16",
        "networks.mlp=64",
    ];
    let second: Vec<&str> =
        wide.into_iter().chain(["train.batch=4", "train.lr=5e-3", "train.lr_decay=0.994"]).collect();
    let first: Vec<&str> =
        wide.into_iter().chain(["variant=classifier", "train.batch=12", "train.lr=2e-3"]).collect();
    let (batch, mut stage_1) = (lesson(), trainer(&first));
    let frames = batch.clips.permute((2, 0, 1, 3, 4)).unwrap().reshape((12, 3, 1, 16, 16)).unwrap();
    let mut frames = Batch::of_clips(frames);
    for (name, labels) in &batch.labels {
        frames.labels.insert(name.clone(), Tensor::cat(&[labels; 3], 0).unwrap());
    }
    let late = (1..=60).map(|k| step(&mut stage_1, &frames, k)["accuracy"]).skip(40).sum::<f64>() / 20.0;
    assert!(late > 0.95, "{late}");

    let mut nets = trainer(&second);
    nets.start_from(&reader(&stage_1, "videovae").1).unwrap();
    let losses: Vec<_> = (1..=500).map(|k| step(&mut nets, &batch, k)["rec"]).collect();
    let a_pixel = losses[490..].iter().sum::<f64>() / 10.0 / (3 * 3 * 16 * 16) as f64;
    assert!(a_pixel < 0.05, "{a_pixel}, {:?}", losses.iter().step_by(30).collect::<Vec<_>>());

    let sampler = sampler(&nets, &second);
    let classes = [("class".to_owned(), vec![0, 1, 0, 1])].into();
    let request = SampleRequest { attributes: classes, ..SampleRequest::seeds(5..9) };
    let made = sampler.sample(&request).unwrap().tensor;
    let off = |a: &Tensor, b: &Tensor| {
        (a - b).unwrap().abs().unwrap().mean_all().unwrap().to_scalar::<f32>().unwrap()
    };
    assert_eq!(sampler.infer(&made).unwrap()[0], [0, 1, 0, 1]);
    // Running statistics are means over the time steps, which have different ones.
    assert!(off(&made, &batch.clips) < 0.25, "{}", off(&made, &batch.clips));

    // First frames in place of classes: these are told from them.
    let given = batch.clips.narrow(2, 0, 1).unwrap();
    let request = SampleRequest { context: Some(given.clone()), ..SampleRequest::seeds(7..11) };
    let again = sampler.sample(&request).unwrap().tensor;
    assert_eq!(sampler.infer(&again).unwrap()[0], [0, 1, 0, 1]);

    // Without a class all is open; a first frame settles it.
    let spread = |context: Option<Tensor>| {
        let clips = sampler.sample(&SampleRequest { context, ..SampleRequest::seeds(0..16) }).unwrap().tensor;
        let off = clips.broadcast_sub(&clips.mean_keepdim(0).unwrap()).unwrap().sqr().unwrap();
        off.mean_all().unwrap().to_scalar::<f32>().unwrap()
    };
    let (open, settled) = (spread(None), spread(Some(given.narrow(0, 0, 1).unwrap())));
    assert!(settled < 0.5 * open, "{settled} {open}");
}
