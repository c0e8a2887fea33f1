//! Every variant trains and samples; samples continue what is given; mistakes are named.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Shape, Tensor, Var};
use vg_core::checkpoint::Weights;
use vg_core::config::{ConfigSource, resolve};
use vg_core::grad::{Tape, backward};
use vg_core::model::{Init, Model};
use vg_core::nn::Mode;
use vg_core::sample::{SampleRequest, Sampler};
use vg_core::testing::random_batch;
use vg_core::train::{StepCx, StepLog, Trainer};
use vg_core::{Batch, Result, Rng};
use vg_svg::{Config, Draws, Svg, SvgSampler, SvgTrainer, Unrolled, unroll};

/// The tiny preset with frames of 16x16, which are quicker, and with larger initial weights: with those of the paper, networks so narrow
/// would hardly see their input before they are trained.
fn tiny(sets: &[&str]) -> Result<Config> {
    let sets: Vec<String> =
        ["clip.side=16", "backbone.init_std=0.3"].iter().chain(sets).map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() })
}

fn trainer(sets: &[&str]) -> SvgTrainer {
    Svg::trainer(&tiny(sets).unwrap(), &Init::cpu(1)).unwrap()
}

/// A sampler of its own, so that its methods can be called.
fn sampler(sets: &[&str]) -> SvgSampler {
    let nets = trainer(sets);
    let weights = Weights::new("fresh weights", "{}", nets.store().tensors(""));
    Svg::sampler(&tiny(sets).unwrap(), &weights, &Init::cpu(0)).unwrap()
}

/// Losses of a step by name.
fn step(trainer: &mut SvgTrainer, batch: &Batch, step: u64) -> BTreeMap<&'static str, f64> {
    let mut log = StepLog::default();
    let rng = Rng::new(0).child("step", step);
    let mut cx = StepCx { rng, log: &mut log, step, clips_seen: 0, epoch_clips: 1 };
    let _tape = Tape::start();
    trainer.step(batch, &mut cx).unwrap();
    log.read().unwrap().into_iter().map(|s| (s.name, s.value)).collect()
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// Clips `[n, channels, frames, 16, 16]` of noise on [0, 1].
fn noise(seed: u64, [n, channels, frames]: [usize; 3]) -> Tensor {
    let dims = [n, channels, frames, 16, 16];
    Rng::new(seed).stream("x").uniform_tensor(&dims[..], 0.0, 1.0, DType::F32, &Device::Cpu).unwrap()
}

fn request(context: Tensor, seeds: impl IntoIterator<Item = u64>) -> SampleRequest {
    SampleRequest { context: Some(context), ..SampleRequest::seeds(seeds) }
}

/// Of clip `k`, `n` frames from `from` on.
fn part(clips: &Tensor, k: usize, from: usize, n: usize) -> Vec<f32> {
    values(&clips.get(k).unwrap().narrow(1, from, n).unwrap())
}

#[test]
fn every_variant_trains_and_samples() {
    for variant in ["learned-prior", "fixed-prior", "deterministic"] {
        for sets in [
            &["backbone.kind=dcgan", "clip.side=32"][..],
            &["backbone.kind=vgg", "clip.channels=3", "backbone.skip_source=official"],
            &["backbone.kind=dcgan", "backbone.skip_source=previous", "clip.past=1"],
            &["recurrent.predictor_layers=1", "recurrent.posterior_layers=2", "recurrent.prior_layers=3"],
        ] {
            let variant_set = format!("variant={variant}");
            let sets: Vec<&str> = sets.iter().copied().chain([variant_set.as_str()]).collect();
            let mut nets = trainer(&sets);
            let batch = random_batch(&nets.needs(), &Rng::new(2));
            let losses = step(&mut nets, &batch, 1);
            assert!(losses.values().all(|x| x.is_finite()), "{sets:?}: {losses:?}");
            assert_eq!(losses.contains_key("kl"), variant != "deterministic", "{sets:?}");
            let networks: Vec<String> = nets.parameters().into_keys().collect();
            let latent: &[&str] = match variant {
                "learned-prior" => &["posterior", "prior"],
                "fixed-prior" => &["posterior"],
                _ => &[],
            };
            assert_eq!(networks, [&["decoder", "encoder", "frame_predictor"][..], latent].concat());
            let sampler = nets.sampler().unwrap();
            let spec = sampler.spec();
            let dims = vg_core::ClipSpec { frames: spec.context_frames, ..spec.clip }.dims(1);
            let given = Tensor::zeros(&dims[..], DType::F32, &Device::Cpu).unwrap();
            let clips = sampler.sample(&request(given, [1, 2])).unwrap().tensor;
            assert_eq!(clips.dims(), spec.clip.dims(2));
            assert!(values(&clips).iter().all(|x| (0.0..=1.0).contains(x)));
        }
    }
}

#[test]
fn values_that_make_no_sense_are_named() {
    for (sets, part) in [
        (&["clip.side=48"][..], "a power of two"),
        (&["clip.side=8"], "16 to 256"),
        (&["clip.side=9223372036854775808"], "clip.side"),
        (&["clip.channels=2"], "1 or 3"),
        (&["clip.past=0"], "clip.past"),
        (&["clip.future=0"], "clip.future"),
        (&["clip.past=1", "backbone.skip_source=official"], "the given frame before the last"),
        (&["backbone.width=0"], "1 to 1024"),
        (&["backbone.features=0"], "backbone.features"),
        (&["backbone.slope=0"], "backbone.slope"),
        (&["backbone.norm_eps=0"], "backbone.norm_eps"),
        (&["backbone.norm_momentum=1.5"], "from 0 to 1"),
        (&["backbone.init_std=-1"], "backbone.init_std"),
        (&["backbone.kind=resnet"], "resnet"),
        (&["recurrent.hidden=4000000000"], "recurrent.hidden"),
        (&["recurrent.prior_layers=0"], "1 to 16"),
        (&["train.batch=1"], "2 to 65536"),
        (&["train.beta=-1"], "train.beta"),
        (&["train.lr=0"], "train.lr"),
        (&["train.beta1=1"], "below 1"),
        (&["sample.frames=2"], "above `clip.past` (2)"),
        (&["sample.frames=2000"], "at most 1024"),
        (&["train.batch=65536", "clip.side=256", "backbone.width=1024"], "together with the other sizes"),
        (&["variant=learnt"], "learnt"),
    ] {
        let error = tiny(sets).unwrap_err().to_string();
        assert!(error.contains(part), "{sets:?}: {error}");
    }
    let mut bad = tiny(&[]).unwrap();
    bad.clip.side = 40;
    assert!(Svg::trainer(&bad, &Init::cpu(0)).err().unwrap().to_string().contains("clip.side"));
}

/// Specification, section 3.3: the paper's rule and the official code's are one frame apart.
#[test]
fn skips_are_those_of_the_chosen_frame() {
    let taken = |rule: &str| {
        let config = tiny(&["clip.past=3", &format!("backbone.skip_source={rule}")]).unwrap();
        (1..7).filter(|i| config.takes_skips(*i)).collect::<Vec<_>>()
    };
    assert_eq!(taken("last-context"), [1, 2, 3]);
    assert_eq!(taken("official"), [1, 2]);
    assert_eq!(taken("previous"), [1, 2, 3, 4, 5, 6]);
    let of = |rule: &str| {
        let sampler = sampler(&[&format!("backbone.skip_source={rule}"), "variant=deterministic"]);
        sampler.sample(&request(noise(1, [1, 1, 2]), [1])).unwrap().tensor
    };
    let (last, official, previous) = (of("last-context"), of("official"), of("previous"));
    // The first generated frame of the paper's rule has the skips of the frame before; later ones keep them.
    assert_eq!(part(&last, 0, 2, 1), part(&previous, 0, 2, 1));
    assert!(part(&last, 0, 2, 1) != part(&official, 0, 2, 1));
    assert!(part(&last, 0, 3, 1) != part(&previous, 0, 3, 1));
}

#[test]
fn one_beginning_has_as_many_futures_as_seeds() {
    for variant in ["learned-prior", "fixed-prior", "deterministic"] {
        let sampler = sampler(&[&format!("variant={variant}")]);
        let given = noise(1, [1, 1, 2]);
        let clips = sampler.sample(&request(given.clone(), [1, 2, 1])).unwrap().tensor;
        for k in 0..3 {
            assert_eq!(part(&clips, k, 0, 2), values(&given), "{variant}");
        }
        assert_eq!(part(&clips, 0, 2, 3), part(&clips, 2, 2, 3), "{variant}");
        let differ = part(&clips, 0, 2, 3) != part(&clips, 1, 2, 3);
        assert_eq!(differ, variant != "deterministic", "{variant}");
        let longer = SampleRequest { frames: Some(9), ..request(given.clone(), [1]) };
        let longer = sampler.sample(&longer).unwrap().tensor;
        assert_eq!(longer.dims(), [1, 1, 9, 16, 16]);
        assert_eq!(part(&longer, 0, 0, 5), part(&clips, 0, 0, 5), "{variant}");
    }
}

/// Bit for bit, in every place of a group and behind it.
#[test]
fn a_clip_is_the_same_in_any_company() {
    for kind in ["dcgan", "vgg"] {
        let sampler = sampler(&[&format!("backbone.kind={kind}")]);
        let given = noise(1, [11, 1, 2]);
        let all = sampler.sample(&request(given.clone(), 0..11)).unwrap().tensor;
        for k in [0, 3, 7, 8, 10] {
            let own = given.narrow(0, k, 1).unwrap();
            let alone = sampler.sample(&request(own, [k as u64])).unwrap().tensor;
            assert_eq!(part(&all, k, 0, 5), part(&alone, 0, 0, 5), "{kind}, clip {k}");
        }
    }
}

#[test]
fn batch_statistics_are_those_of_the_request() {
    let sets = ["sample.norm=batch"];
    let sampler = sampler(&sets);
    let given = noise(1, [4, 1, 2]);
    let all = sampler.sample(&request(given.clone(), 0..4)).unwrap().tensor;
    let three = sampler.sample(&request(given.narrow(0, 0, 3).unwrap(), 0..3)).unwrap().tensor;
    assert!(part(&all, 0, 2, 3) != part(&three, 0, 2, 3));
    let again = sampler.sample(&request(given.clone(), 0..4)).unwrap().tensor;
    assert_eq!(values(&all), values(&again), "sampling leaves running statistics alone");
    let error = sampler.sample(&request(given.narrow(0, 0, 1).unwrap(), [1])).unwrap_err().to_string();
    assert!(error.contains("at least 2") && error.contains("running"), "{error}");
    let running = self::sampler(&[]).sample(&request(given, 0..4)).unwrap().tensor;
    assert!(values(&all) != values(&running));
}

#[test]
fn requests_that_cannot_be_served_are_named() {
    let sampler = sampler(&[]);
    let error = |request: SampleRequest| sampler.sample(&request).unwrap_err().to_string();
    assert!(error(SampleRequest::seeds([1])).contains("given frames"));
    assert!(error(request(noise(1, [1, 1, 3]), [1])).contains("context"));
    assert!(error(request(noise(1, [2, 1, 2]), [1, 2, 3])).contains("give 1 or 3"));
    let short = SampleRequest { frames: Some(2), ..request(noise(1, [1, 1, 2]), [1]) };
    assert!(error(short).contains("ask for at least 3"));
    let long = SampleRequest { frames: Some(1025), ..request(noise(1, [1, 1, 2]), [1]) };
    assert!(error(long).contains("1 to 1024"));
}

#[test]
fn feature_maps_of_other_networks_are_refused() {
    let nets = trainer(&[]);
    let networks = nets.networks();
    let frames = noise(1, [2, 1, 1]).squeeze(2).unwrap();
    let encoded = networks.encoder.forward(&frames, Mode::EVAL).unwrap();
    assert!(networks.decoder.given(&encoded.skips, Mode::EVAL).is_ok());
    let halved: Vec<Tensor> =
        encoded.skips.iter().map(|skip| skip.narrow(1, 0, skip.dim(1).unwrap() / 2).unwrap()).collect();
    let error = networks.decoder.given(&halved, Mode::EVAL).unwrap_err().to_string();
    assert!(error.contains("feature maps beside a frame"), "{error}");
    let error = networks.decoder.given(&encoded.skips[1..], Mode::EVAL).unwrap_err().to_string();
    assert!(error.contains("feature maps, and there are"), "{error}");
}

/// A prediction sees the frames before it and, through the posterior, its own target; none after it.
#[test]
fn predictions_do_not_see_later_frames() {
    let config = tiny(&["clip.future=4"]).unwrap();
    let nets = trainer(&["clip.future=4"]);
    let draws = Draws::new(&config, &Rng::new(3), DType::F32, &Device::Cpu).unwrap();
    let clips = noise(5, [3, 1, 6]);
    let changed = Tensor::cat(&[clips.narrow(2, 0, 4).unwrap(), noise(6, [3, 1, 2])], 2).unwrap();
    let run =
        |clips: &Tensor| unroll(nets.networks(), &config, clips, draws.eps.as_ref(), Mode::EVAL).unwrap();
    let (a, b) = (run(&clips), run(&changed));
    assert_eq!(a.frames.dims(), [3, 5, 1, 16, 16]);
    let frame = |run: &Unrolled, k| values(&run.frames.narrow(1, k, 1).unwrap());
    for k in 0..3 {
        assert_eq!(frame(&a, k), frame(&b, k), "frame {}", k + 1);
    }
    assert!(frame(&a, 3) != frame(&b, 3));
    // The prior of a frame sees nothing of the frame itself.
    assert_eq!(values(&a.priors[3].mu), values(&b.priors[3].mu));
    assert!(values(&a.posteriors[3].mu) != values(&b.posteriors[3].mu));
    let single = unroll(nets.networks(), &config, &noise(5, [3, 1, 1]), None, Mode::EVAL).unwrap_err();
    assert!(single.to_string().contains("at least 2"), "{single}");
    let without = unroll(nets.networks(), &config, &clips, None, Mode::EVAL).unwrap_err().to_string();
    assert!(without.contains("recurrent network"), "{without}");
}

#[test]
fn the_priors_variance_is_told_frame_by_frame() {
    let sampler = sampler(&[]);
    let clips = noise(1, [10, 1, 6]);
    let variance = sampler.prior_variance(&clips).unwrap();
    assert_eq!(variance.dims(), [10, 5]);
    assert!(values(&variance).iter().all(|v| *v > 0.0));
    // Bit for bit in any company, and from the frames before alone.
    let own = sampler.prior_variance(&clips.narrow(0, 9, 1).unwrap()).unwrap();
    assert_eq!(values(&own), values(&variance.get(9).unwrap()));
    let shorter = sampler.prior_variance(&clips.narrow(2, 0, 4).unwrap()).unwrap();
    assert_eq!(values(&shorter), values(&variance.narrow(1, 0, 3).unwrap()));

    // The same from the priors of the unrolled pass.
    let (config, nets) = (tiny(&[]).unwrap(), trainer(&[]));
    let eps = Tensor::zeros((5, 10, 3), DType::F32, &Device::Cpu).unwrap();
    let priors = unroll(nets.networks(), &config, &clips, Some(&eps), Mode::EVAL).unwrap().priors;
    for (k, prior) in priors.iter().enumerate() {
        let want = values(&prior.log_var.exp().unwrap().mean(1).unwrap());
        let got = values(&variance.narrow(1, k, 1).unwrap());
        assert!(
            got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-6),
            "frame {}: {got:?} {want:?}",
            k + 1
        );
    }

    let error = sampler.prior_variance(&clips.narrow(2, 0, 1).unwrap()).unwrap_err().to_string();
    assert!(error.contains("2 frames or more"), "{error}");
    for variant in ["fixed-prior", "deterministic"] {
        let other = self::sampler(&[&format!("variant={variant}")]);
        let error = other.prior_variance(&clips).unwrap_err().to_string();
        assert!(error.contains("no learned prior") && error.contains("learned-prior"), "{error}");
    }
}

/// Latents of the posterior tell what follows; without latents nothing does.
#[test]
fn following_a_clip_takes_its_frames_to_come() {
    for (variant, told) in [("learned-prior", true), ("fixed-prior", true), ("deterministic", false)] {
        let sampler = sampler(&[&format!("variant={variant}")]);
        let clips = noise(1, [9, 1, 5]);
        let other = Tensor::cat(&[clips.narrow(2, 0, 3).unwrap(), noise(2, [9, 1, 2])], 2).unwrap();
        let (a, b) = (sampler.follow(&clips).unwrap(), sampler.follow(&other).unwrap());
        assert_eq!(a.dims(), [9, 1, 3, 16, 16]);
        assert_eq!(part(&a, 0, 0, 1), part(&b, 0, 0, 1), "{variant}");
        assert_eq!(part(&a, 0, 1, 2) != part(&b, 0, 1, 2), told, "{variant}");
        let alone = sampler.follow(&clips.narrow(0, 8, 1).unwrap()).unwrap();
        assert_eq!(values(&alone), values(&a.get(8).unwrap()), "{variant}");
        let error = sampler.follow(&clips.narrow(2, 0, 2).unwrap()).unwrap_err().to_string();
        assert!(error.contains("3 frames or more"), "{error}");
    }
}

/// Clips `[n, 1, 4, 16, 16]` whose frames have one brightness each, which nothing before them tells.
fn unpredictable(seed: u64, n: usize) -> Batch {
    let brightness = noise(seed, [n, 1, 4]).narrow(3, 0, 1).unwrap().narrow(4, 0, 1).unwrap();
    Batch::of_clips(brightness.broadcast_as((n, 1, 4, 16, 16)).unwrap().contiguous().unwrap())
}

/// Specification, section 10.5: the divergence rises from near 0 as the posterior learns to tell what cannot be foreseen.
#[test]
fn the_posterior_tells_what_cannot_be_foreseen() {
    let late = |variant: &str| {
        let mut nets = trainer(&[&format!("variant={variant}"), "train.batch=8", "train.lr=5e-3"]);
        let losses: Vec<_> = (1..=250).map(|k| step(&mut nets, &unpredictable(k, 8), k)).collect();
        let mean = |name: &str| losses[200..].iter().map(|l| l.get(name).unwrap_or(&0.0)).sum::<f64>() / 50.0;
        (mean("mse"), mean("kl"))
    };
    let ((mse, kl), (blind, _)) = (late("learned-prior"), late("deterministic"));
    assert!(mse < 0.5 * blind && kl > 0.5, "{mse} {kl}, without latents {blind}");
}

/// Clips `[n, 1, 6, 16, 16]` of one brightness up to frame 2 and another one from frame 3 on.
fn one_change(seed: u64, n: usize) -> Tensor {
    let brightness = unpredictable(seed, n).clips;
    let [before, after] = [0, 1].map(|k| brightness.narrow(2, k, 1).unwrap());
    Tensor::cat(&[&before, &before, &before, &after, &after, &after], 2).unwrap()
}

/// The paper's figure in small.
#[test]
fn the_prior_varies_most_where_the_future_is_open() {
    let sets = ["clip.future=4", "train.batch=8", "train.lr=5e-3"];
    let mut nets = trainer(&sets);
    for k in 1..=500 {
        step(&mut nets, &Batch::of_clips(one_change(k, 8)), k);
    }
    let weights = Weights::new("the trainer", "{}", nets.store().tensors(""));
    let sampler = Svg::sampler(&tiny(&sets).unwrap(), &weights, &Init::cpu(0)).unwrap();
    let variance = values(&sampler.prior_variance(&one_change(1000, 32)).unwrap().mean(0).unwrap());
    let elsewhere = [0, 1, 3, 4].map(|k| variance[k]).into_iter().fold(0.0, f32::max);
    assert!(variance[2] > 1.5 * elsewhere, "frame 3 is the open one: {variance:?}");
}

/// Holds on to something for as long as a graph lives that it is part of.
struct Guard(#[expect(dead_code, reason = "it is counted, not read")] Arc<()>);

impl CustomOp1 for Guard {
    fn name(&self) -> &'static str {
        "guard"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (start, end) = layout.contiguous_offsets().expect("a whole tensor");
        let CpuStorage::F32(values) = storage else { panic!("f32 clips") };
        Ok((CpuStorage::F32(values[start..end].to_vec()), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(grad.clone()))
    }
}

/// Both with the tape of training and with candle's own graph, whose passes go as deep as the clip is long, in a small stack; nothing of
/// the graph outlives its step.
#[test]
fn a_hundred_frames_neither_overflow_the_stack_nor_leak() {
    let run = || {
        let sets = ["clip.past=2", "clip.future=98", "train.batch=2"];
        let mut nets = trainer(&sets);
        let draws = Draws::new(&tiny(&sets).unwrap(), &Rng::new(3), DType::F32, &Device::Cpu).unwrap();
        let alive = Arc::new(());
        let clips = Var::from_tensor(&noise(1, [2, 1, 100])).unwrap();
        let guarded = || clips.apply_op1(Guard(alive.clone())).unwrap();
        for _ in 0..2 {
            let _tape = Tape::start();
            let losses = nets.train(&guarded(), &draws).unwrap();
            assert!(losses.total.to_scalar::<f32>().unwrap().is_finite());
            drop(losses);
            assert_eq!(Arc::strong_count(&alive), 1, "an update ends the graph before it");
        }
        let losses = nets.unroll(&guarded(), &draws).unwrap().losses(1.0).unwrap();
        assert!(Arc::strong_count(&alive) > 1, "the graph is there");
        let grads = backward(&losses.total).unwrap();
        assert!(grads.get(clips.as_tensor()).is_some());
        drop((losses, grads));
        assert_eq!(Arc::strong_count(&alive), 1);
    };
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run).unwrap();
    thread.join().unwrap();
}
