//! What golden files do not cover: the first version's modules, sampling, classes of several groups, mistakes.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::Rng;
use vg_core::checkpoint::CheckpointWriter;
use vg_core::config::{ConfigSource, resolve};
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::sample::{Noise, SampleRequest};
use vg_core::testing::{assert_close, gradcheck::gradcheck, random_batch};
use vg_core::train::{StepCx, StepLog, Trainer};
use vg_dvdgan::{Config, DvdganTrainer, FrameAttention, Generator, Reach, Run, loss};

fn try_config(sets: &[&str]) -> vg_core::Result<Config> {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() })
}

fn trainer(sets: &[&str]) -> DvdganTrainer {
    DvdganTrainer::new(&try_config(sets).unwrap(), &Init::cpu(3)).unwrap()
}

/// Step `number` on a batch of noise whose labels are 0; the losses.
fn step(trainer: &mut DvdganTrainer, number: u64) -> Vec<f64> {
    let rng = Rng::new(5).child("step", number);
    let (batch, mut log) = (random_batch(&trainer.needs(), &rng), StepLog::default());
    let mut cx = StepCx { rng, log: &mut log, step: number, clips_seen: 0, epoch_clips: 100 };
    trainer.step(&batch, &mut cx).unwrap();
    log.read().unwrap().iter().map(|s| s.value).collect()
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn random(name: &str, shape: &[usize]) -> Tensor {
    Rng::new(1).stream(name).uniform_tensor(shape, -1.0, 1.0, DType::F64, &Device::Cpu).unwrap()
}

const VERSION_1: &[&str] = &[
    "generator.recurrence=first-stage",
    "generator.attention_full=true",
    "generator.attention_separable=true",
    "train.lr_discriminator=2e-4",
];
const GIVEN: &[&str] =
    &["clip.given=2", "classes.groups=[]", "classes.counts=[]", "sample.standing_batches=0"];
const TWO_GROUPS: &[&str] = &["classes.groups=[\"motion\",\"colour\"]", "classes.counts=[2,3]"];

/// Attention reaches the positions that it should and no others; its gradients hold.
#[test]
fn attention_reaches_as_far_as_it_says() {
    let config = try_config(&["norm.spectral_eps=1e-12"]).unwrap();
    for (reach, joined) in [
        (Reach::Clip, [true, true, true]),
        (Reach::Height, [true, false, false]),
        (Reach::Width, [false, true, false]),
        (Reach::Time, [false, false, true]),
    ] {
        let store = ParamStore::init(Rng::new(2), DType::F64, &Device::Cpu);
        let layer = FrameAttention::new(8, reach, &config, &store.source()).unwrap();
        store.vars("gamma")[0].1.set(&Tensor::new(0.8f64, &Device::Cpu).unwrap()).unwrap();
        // Two clips of two frames of 3x2.
        let x = random("x", &[4, 8, 3, 2]);
        let run = |x: &Tensor| layer.forward(x, 2, Mode::EVAL).unwrap();
        let before = run(&x);
        let moved = |row: usize, y: usize, x_at: usize| {
            let mut changed = x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            for c in 0..8 {
                changed[((row * 8 + c) * 3 + y) * 2 + x_at] += 0.5;
            }
            let after = run(&Tensor::from_vec(changed, x.shape(), &Device::Cpu).unwrap());
            let difference = (after - &before).unwrap().abs().unwrap().sum(1).unwrap();
            difference.get(0).unwrap().get(0).unwrap().get(0).unwrap().to_scalar::<f64>().unwrap() > 1e-9
        };
        // What the first pixel of the first frame sees: below it, beside it, later, in the other clip.
        assert_eq!([moved(0, 1, 0), moved(0, 0, 1), moved(1, 0, 0)], joined, "{reach:?}");
        assert!(!moved(2, 0, 0), "{reach:?}: another clip");
        assert_eq!(moved(1, 2, 1), reach == Reach::Clip, "{reach:?}");
        gradcheck(|t| layer.forward(&t[0], 2, Mode::EVAL), std::slice::from_ref(&x)).unwrap();
    }
}

#[test]
fn the_first_version_trains_and_all_its_parameters_move() {
    let mut nets = trainer(VERSION_1);
    let now = |nets: &DvdganTrainer| -> BTreeMap<String, Vec<f32>> {
        nets.store().tensors("").iter().map(|(name, t)| (name.clone(), values(t))).collect()
    };
    let before = now(&nets);
    assert!(before.contains_key("generator.stages.1.attention_t.gamma"));
    assert!(!before.contains_key("generator.stages.1.gru.read.weight"));
    // Attention's maps move as soon as its factor is no longer 0.
    for number in 1..=2 {
        assert!(step(&mut nets, number).iter().all(|loss| loss.is_finite()));
    }
    let after = now(&nets);
    let still: Vec<&String> =
        before.keys().filter(|name| before[*name].len() > 1 && before[*name] == after[*name]).collect();
    assert!(still.is_empty(), "{still:?}");
}

/// With one recurrent unit, given frames make its state by a 1x1 convolution.
#[test]
fn the_first_version_continues_given_frames() {
    let mut nets = trainer(&[&["generator.recurrence=first-stage"], GIVEN].concat());
    let shapes = nets.store().shapes();
    assert_eq!(shapes["generator.condition.convs.0.weight"], [16, 2 * 8, 1, 1]);
    assert!(!shapes.contains_key("generator.condition.convs.1.weight"));
    assert!(step(&mut nets, 1).iter().all(|loss| loss.is_finite()));
}

#[test]
fn given_frames_stand_in_front_and_decide_what_follows() {
    let mut nets = trainer(GIVEN);
    assert_eq!(nets.needs().clips, 9, "the generator's update has given frames of its own");
    step(&mut nets, 1);
    let sampler = nets.sampler().unwrap();
    assert_eq!(sampler.spec().context_frames, 2);
    let error = sampler.sample(&SampleRequest::seeds([1])).unwrap_err().to_string();
    assert!(error.contains("given frames"), "{error}");
    let context = |name: &str| Some(random(name, &[1, 3, 2, 16, 16]).to_dtype(DType::F32).unwrap());
    let clips = |context: Option<Tensor>, seeds: &[u64]| {
        let request = SampleRequest { context, ..SampleRequest::seeds(seeds.iter().copied()) };
        sampler.sample(&request).unwrap().tensor
    };
    let one = clips(context("a"), &[1, 2]);
    assert_eq!(one.dims(), [2, 3, 5, 16, 16]);
    let part = |t: &Tensor, clip: usize, from: usize, n: usize| {
        values(&t.get(clip).unwrap().narrow(1, from, n).unwrap())
    };
    assert_eq!(part(&one, 0, 0, 2), values(&context("a").unwrap()));
    assert_ne!(part(&one, 0, 2, 3), part(&one, 1, 2, 3), "seeds make futures");
    let other = clips(context("b"), &[1]);
    assert_ne!(part(&one, 0, 2, 3), part(&other, 0, 2, 3), "so do given frames");
    let short =
        |frames| SampleRequest { frames: Some(frames), context: context("a"), ..SampleRequest::seeds([1]) };
    assert_eq!(part(&sampler.sample(&short(3)).unwrap().tensor, 0, 0, 3), part(&one, 0, 0, 3));
    assert!(sampler.sample(&short(2)).unwrap_err().to_string().contains("at least 3"));
    assert!(sampler.sample(&short(6)).is_err(), "statistics are those of five frames");
}

#[test]
fn classes_are_combinations_of_groups() {
    let mut nets = trainer(TWO_GROUPS);
    assert_eq!(nets.store().shapes()["generator.embed.weight"], [6, 4]);
    assert_eq!(nets.needs().labels, ["motion", "colour"]);
    step(&mut nets, 1);
    let sampler = nets.sampler().unwrap();
    let sample = |class: Option<usize>, colour: Option<usize>, seed: u64| {
        let attributes = colour.map(|k| ("colour".to_owned(), vec![k])).into_iter().collect();
        let request = SampleRequest { class, attributes, ..SampleRequest::seeds([seed]) };
        values(&sampler.sample(&request).unwrap().tensor)
    };
    let all: Vec<_> = (0..2).flat_map(|a| (0..3).map(move |b| (Some(a), Some(b)))).collect();
    let clips: Vec<_> = all.iter().map(|(a, b)| sample(*a, *b, 1)).collect();
    for (k, clip) in clips.iter().enumerate() {
        assert!(clips[..k].iter().all(|other| other != clip), "{:?}", all[k]);
    }
    assert!(clips.contains(&sample(None, None, 1)), "what is left open is drawn");
    let wrong =
        SampleRequest { attributes: [("colour".to_owned(), vec![3])].into(), ..SampleRequest::seeds([1]) };
    assert!(sampler.sample(&wrong).unwrap_err().to_string().contains("colour"));
}

/// Statistics are those of the noise that is asked for, and clips do not depend on what was asked for before.
#[test]
fn noise_can_be_narrowed() {
    let nets = trainer(&[]);
    let sampler = nets.sampler().unwrap();
    let sample = |noise| {
        let request = SampleRequest { noise, class: Some(1), ..SampleRequest::seeds([1, 2]) };
        sampler.sample(&request).unwrap().tensor
    };
    let plain = values(&sample(Noise::default()));
    let narrow = sample(Noise::Normal(0.0));
    assert_eq!(
        values(&narrow.get(0).unwrap()),
        values(&narrow.get(1).unwrap()),
        "nothing is left of the seeds"
    );
    let (sigma, truncated) = (values(&sample(Noise::Normal(0.44))), values(&sample(Noise::Truncated(0.5))));
    assert!(sigma != plain && truncated != plain && sigma != truncated);
    assert_eq!(values(&sample(Noise::default())), plain);
    let streams = |stream: &str| SampleRequest {
        streams: [(stream.to_owned(), vec![9])].into(),
        ..SampleRequest::seeds([1])
    };
    let by = |stream| values(&sampler.sample(&streams(stream)).unwrap().tensor);
    assert_ne!(by("noise"), by("class"));
    assert!(sampler.sample(&streams("motion")).is_err());
}

/// Shorter clips are the beginnings of whole ones; for longer ones statistics are made.
#[test]
fn clips_have_the_length_that_is_asked_for() {
    let nets = trainer(&[]);
    let sampler = nets.sampler().unwrap();
    let sample = |frames| {
        let request = SampleRequest { frames: Some(frames), ..SampleRequest::seeds([1]) };
        sampler.sample(&request).unwrap().tensor
    };
    let whole = sample(5);
    assert_eq!(values(&sample(2)), values(&whole.narrow(2, 0, 2).unwrap()));
    let long = sample(9);
    assert_eq!(long.dims(), [1, 3, 9, 16, 16]);
    assert_close("beginning", &long.narrow(2, 0, 5).unwrap(), &whole, 1e-4, 1e-4);
    let nets = trainer(&["sample.standing_batches=0"]);
    let error =
        nets.sampler().unwrap().sample(&SampleRequest { frames: Some(6), ..SampleRequest::seeds([1]) });
    assert!(error.unwrap_err().to_string().contains("1 to 5"));
}

/// Sampling in the middle of a run changes nothing of it.
#[test]
fn sampling_leaves_the_run_alone() {
    let saved = |nets: &DvdganTrainer| {
        let mut writer = CheckpointWriter::default();
        nets.save(&mut writer).unwrap();
        writer.model_tensors().iter().map(|(k, t)| (k.clone(), values(t))).collect::<Vec<_>>()
    };
    let mut nets = trainer(&[]);
    step(&mut nets, 1);
    let before = saved(&nets);
    nets.sampler().unwrap().sample(&SampleRequest::seeds([1])).unwrap();
    assert!(saved(&nets) == before);
}

/// The forward pass takes what lies between two classes.
#[test]
fn embeddings_of_classes_can_be_mixed() {
    let config = try_config(&[]).unwrap();
    let store = ParamStore::init(Rng::new(1), DType::F64, &Device::Cpu);
    let generator = Generator::new(&store.source(), &config).unwrap();
    let both = generator.embed(&[0, 1], Mode::EVAL).unwrap();
    let z = random("z", &[1, 5]);
    let at = |share: f64| {
        let (a, b) = (both.narrow(0, 0, 1).unwrap(), both.narrow(0, 1, 1).unwrap());
        let mixed = ((a * (1.0 - share)).unwrap() + (b * share).unwrap()).unwrap();
        generator.forward(&z, &mixed, None, Run::eval()).unwrap()
    };
    let distance = |a: &Tensor, b: &Tensor| {
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar::<f64>().unwrap()
    };
    let (first, middle, last) = (at(0.0), at(0.5), at(1.0));
    assert!(distance(&first, &last) > 1e-6);
    assert!(distance(&first, &middle) < distance(&first, &last) && distance(&middle, &last) > 0.0);
    let wrong = generator.forward(&z, &random("e", &[1, 3]), None, Run::eval()).unwrap_err();
    assert!(wrong.to_string().contains("embeddings"), "{wrong}");
}

/// Weights start orthogonal; the regularisation keeps them nearer to it, and is no part of the losses that are logged.
#[test]
fn orthogonal_regularisation_acts_on_weights() {
    let run = |strength: &str| {
        let mut nets = trainer(&["train.d_steps=1", "train.lr_discriminator=5e-3", strength]);
        let losses: Vec<Vec<f64>> = (1..=8).map(|number| step(&mut nets, number)).collect();
        let weights = nets.store().tensors("spatial.blocks.").into_iter();
        let distance = |(name, t): (String, Tensor)| match name.ends_with("conv2.weight") {
            true => loss::orthogonal(&t, 1.0).unwrap().to_scalar::<f32>().unwrap(),
            false => 0.0,
        };
        (losses[0][..2].to_vec(), weights.map(distance).sum::<f32>())
    };
    let (plain, strong) = (run("train.orthogonal=0"), run("train.orthogonal=100"));
    assert_eq!(plain.0, strong.0);
    assert!(strong.1 < 0.9 * plain.1, "{} against {}", strong.1, plain.1);
}

#[test]
fn mistakes_are_named_with_the_way_out() {
    for (sets, part) in [
        (&["clip.side=32"][..], "16 with 2 stages"),
        (&["generator.multipliers=[4,2]", "clip.side=8"], "3 to 8 numbers"),
        (&["discriminator.multipliers=[2,2,2,2]"], "3 as the generator's"),
        (&["discriminator.frames=6"], "1 to 5"),
        (&["clip.frames=3"], "4 to"),
        (&["clip.given=5"], "0 to 4"),
        (&["clip.given=1"], "standing_batches"),
        (&["clip.given=1", "sample.standing_batches=0"], "empty with given frames"),
        (&["classes.counts=[2,3]"], "one for each of `classes.groups`"),
        (&["classes.counts=[0]"], "1 or more"),
        (&["discriminator.spatial_attention=[16]"], "[8, 4]"),
        (&["discriminator.temporal_attention=[4]"], "[2]"),
        (&["discriminator.width=3"], "multiple of 8"),
        (&["generator.attention_full=true", "generator.width=3"], "multiple of 8"),
        (&["train.average=1"], "below 1"),
        (&["norm.momentum=2"], "0 to 1"),
        (&["generator.width=9999"], "channels"),
    ] {
        let error = try_config(sets).unwrap_err().to_string();
        assert!(error.contains(part), "{sets:?}: {error}");
    }
}
