//! Times our side; the fields are those of the PyTorch peers.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use vg_core::config::ConfigSource;
use vg_core::grad::Tape;
use vg_core::model::{Experiment, Init};
use vg_core::rng::Stream;
use vg_core::sample::SampleRequest;
use vg_core::testing::random_maps;
use vg_core::train::{StepCx, StepLog, Trainer};
use vg_core::{Batch, BatchSpec, ClipSpec, Pixels, Rng};

use super::ModelArgs;
use super::lock::wait_until_alone;
use crate::failure::Done;
use crate::report::median;
use crate::{console, machine, registry, threads};

/// Most timed sampling calls.
const SAMPLINGS: u64 = 3;
/// Clips of the data set that schedules in epochs are told of.
const EPOCH_CLIPS: u64 = 10_000;

/// One measurement.
#[derive(Debug, Serialize, Deserialize)]
pub struct Measurement {
    /// Name of the model.
    pub model: String,
    /// Name of the preset.
    pub preset: String,
    /// Clips a step.
    pub batch: u64,
    /// Threads.
    pub threads: usize,
    /// Precision.
    pub dtype: String,
    /// Where it ran.
    pub device: String,
    /// Load of the machine before the start.
    pub load1: Option<f64>,
    /// Seconds a training step, median.
    pub step_secs: f64,
    /// Seconds to sample `batch` clips, median.
    pub sample_secs: f64,
    /// Timed steps.
    pub steps: u64,
    /// Largest resident memory of all.
    pub peak_rss_mib: Option<u64>,
    /// The same after the training steps.
    pub step_rss_mib: Option<u64>,
    /// The same before the model was built.
    pub import_rss_mib: Option<u64>,
    /// Trainable scalars by network, and in total.
    pub parameters: BTreeMap<String, usize>,
    /// The resolved configuration.
    pub config: serde_json::Value,
    /// Version of whoever was measured.
    #[serde(default)]
    pub version: String,
}

/// Runs the command without a peer.
pub fn run(model: &str, args: &ModelArgs) -> Result<Done> {
    let measurement = measure(model, args)?;
    if args.json {
        console::json(&measurement)?;
    } else {
        print(&measurement)?;
    }
    Ok(Done::Good)
}

fn measure(model: &str, args: &ModelArgs) -> Result<Measurement> {
    let model = registry::find(model)?;
    let experiment = open(args, model)?;
    let threads = threads::fix(args.threads)?;
    let _alone = wait_until_alone();
    let load1 = machine::load().map(|l| (l * 100.0).round() / 100.0);
    let import_rss_mib = machine::peak_rss_mib();
    let init = Init::cpu(0);
    let mut trainer = experiment.trainer(&init)?;
    let batch = trainer.needs().clips as u64;
    let step_secs = time_steps(&mut *trainer, args.steps, &init)?;
    let step_rss_mib = machine::peak_rss_mib();
    // The preset's batch is what a step is called with; a trainer may ask for the clips of several updates at once.
    let per_call = config_batch(&*experiment).unwrap_or(batch);
    let sample_secs = time_sampling(&*trainer, per_call, args.steps)?;
    let mut parameters = trainer.parameters();
    parameters.insert("total".to_owned(), parameters.values().sum());
    Ok(Measurement {
        model: model.name().to_owned(),
        preset: args.preset.clone().unwrap_or_else(|| model.default_preset().to_owned()),
        batch: per_call,
        threads,
        dtype: "f32".to_owned(),
        device: "cpu".to_owned(),
        load1,
        step_secs,
        sample_secs,
        steps: args.steps,
        peak_rss_mib: machine::peak_rss_mib(),
        step_rss_mib,
        import_rss_mib,
        parameters,
        config: experiment.config(),
        version: machine::VERSION.to_owned(),
    })
}

fn open(args: &ModelArgs, model: &registry::Registered) -> Result<Box<dyn Experiment>> {
    let mut sets = args.sets.clone();
    sets.extend(args.batch.map(|n| format!("train.batch={n}")));
    let source = ConfigSource { preset: args.preset.as_deref(), sets: &sets, ..Default::default() };
    Ok((model.entry.open)(&source)?)
}

fn config_batch(experiment: &dyn Experiment) -> Option<u64> {
    experiment.config().get("train")?.get("batch")?.as_u64()
}

/// Median seconds of `steps` training steps after one that is not counted.
fn time_steps(trainer: &mut dyn Trainer, steps: u64, init: &Init) -> Result<f64> {
    let mut noise = Rng::new(0).stream("bench");
    let classes = trainer.sampler()?.spec().classes;
    let mut spec = trainer.needs();
    let mut batch = random_batch(&spec, classes, &mut noise)?;
    let (mut times, mut clips_seen) = (Vec::new(), 0);
    for step in 1..=steps + 1 {
        if trainer.needs() != spec {
            spec = trainer.needs();
            batch = random_batch(&spec, classes, &mut noise)?;
        }
        let mut log = StepLog::default();
        let rng = Rng::new(init.seed).child("step", step);
        let mut cx = StepCx { rng, log: &mut log, step, clips_seen, epoch_clips: EPOCH_CLIPS };
        let started = Instant::now();
        {
            let _tape = Tape::start();
            trainer.step(&batch, &mut cx)?;
        }
        log.read()?;
        times.push(started.elapsed().as_secs_f64());
        clips_seen += spec.clips as u64;
    }
    Ok(median(times.split_off(1)))
}

/// Median seconds of one request for `clips` clips; 0 for a model that makes none.
fn time_sampling(trainer: &dyn Trainer, clips: u64, steps: u64) -> Result<f64> {
    let sampler = trainer.sampler()?;
    let spec = sampler.spec();
    if spec.max_frames == 0 {
        return Ok(0.0);
    }
    let mut request = SampleRequest::seeds(0..clips);
    if spec.context_frames > 0 {
        let given = ClipSpec { frames: spec.context_frames, ..spec.clip };
        let given = BatchSpec::clips(clips as usize, given, spec.pixels);
        request.context = Some(random_batch(&given, 0, &mut Rng::new(0).stream("context"))?.clips);
    }
    let maps =
        BatchSpec { maps: spec.maps.clone(), ..BatchSpec::clips(clips as usize, spec.clip, spec.pixels) };
    request.maps = random_maps(&maps, &mut Rng::new(0).stream("maps"))?;
    let mut times = Vec::new();
    for _ in 0..=steps.min(SAMPLINGS) {
        let started = Instant::now();
        sampler.sample(&request)?;
        times.push(started.elapsed().as_secs_f64());
    }
    Ok(median(times.split_off(1)))
}

/// Uniform noise in place of clips, images, labels and maps.
fn random_batch(spec: &BatchSpec, classes: usize, noise: &mut Stream) -> Result<Batch> {
    let (low, high) = match spec.pixels {
        Pixels::Unit => (0.0, 1.0),
        Pixels::Symmetric | Pixels::Centered128 => (-1.0, 1.0),
    };
    let mut draw = |dims: &[usize]| noise.uniform_tensor(dims, low, high, DType::F32, &Device::Cpu);
    let clips = draw(&spec.clip.dims(spec.clips))?;
    let images = if spec.images > 0 { Some(draw(&spec.clip.image_dims(spec.images))?) } else { None };
    let label: Vec<u32> = (0..spec.clips).map(|i| (i % classes.max(1)) as u32).collect();
    let label = Tensor::from_vec(label, spec.clips, &Device::Cpu)?;
    let labels = spec.labels.iter().map(|group| (group.clone(), label.clone())).collect();
    let maps = random_maps(spec, noise)?;
    Ok(Batch { clips, images, labels, maps })
}

fn print(m: &Measurement) -> Result<()> {
    let mib = |v: Option<u64>| v.map_or("unknown".to_owned(), |v| format!("{v} MiB"));
    console::result(format!(
        "{} {}, batch {}, {} threads, {} on {}",
        m.model, m.preset, m.batch, m.threads, m.dtype, m.device
    ))?;
    console::result(format!(
        "  training step  {:.5} s ({:.1} clips/s)",
        m.step_secs,
        m.batch as f64 / m.step_secs
    ))?;
    let sampling = if m.sample_secs > 0.0 {
        format!("{:.5} s ({:.1} clips/s)", m.sample_secs, m.batch as f64 / m.sample_secs)
    } else {
        "this model makes no clips".to_owned()
    };
    console::result(format!("  sampling       {sampling}"))?;
    console::result(format!(
        "  memory         {} in training, {} in all",
        mib(m.step_rss_mib),
        mib(m.peak_rss_mib)
    ))?;
    Ok(console::result(format!("  parameters     {}", m.parameters.get("total").copied().unwrap_or(0)))?)
}
