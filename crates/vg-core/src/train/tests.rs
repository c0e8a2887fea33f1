//! The driver on a toy model: one weight that descends towards the mean of its batch.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use candle_core::{DType, Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::*;
use crate::batch::Pixels;
use crate::checkpoint::{CheckpointReader, CheckpointWriter, Progress, Weights, newest};
use crate::config::{ConfigSource, ModelConfig, Preset};
use crate::model::{Card, Entry, Experiment, Init, Model};
use crate::optim::{Adam, ParamGroup, update};
use crate::sample::{Clips, SampleRequest, SampleSpec, Sampler};
use crate::{Batch, BatchSource, BatchSpec, ClipSpec, Error, Result, Rng, SourceInfo};

const CLIP: ClipSpec = ClipSpec { frames: 2, height: 2, width: 2, channels: 1 };

struct Toy;

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    explode_at: u64,
}

impl ModelConfig for Config {
    const PRESETS: &'static [Preset<Self>] =
        &[Preset { name: "tiny", source: "test", build: || Config { explode_at: 0 } }];
    fn validate(&self) -> Result<()> {
        Ok(())
    }
}

impl Model for Toy {
    const CARD: Card = Card { name: "toy", title: "Toy", paper: "", year: 2026 };
    type Config = Config;
    type Trainer = ToyTrainer;
    type Sampler = ToySampler;
    fn trainer(config: &Config, _: &Init) -> Result<ToyTrainer> {
        let weight = Var::from_tensor(&Tensor::new(&[0f32], &Device::Cpu)?)?;
        let group = ParamGroup::new("toy", [("w".to_owned(), weight.clone())], Adam::new(0.1, 0.9, 0.999))?;
        Ok(ToyTrainer { weight, group, explode_at: config.explode_at })
    }
    fn sampler(_: &Config, weights: &Weights, _: &Init) -> Result<ToySampler> {
        Ok(ToySampler(weights.tensors()["w"].clone()))
    }
}

struct ToyTrainer {
    weight: Var,
    group: ParamGroup,
    explode_at: u64,
}

struct ToySampler(Tensor);

impl Sampler for ToySampler {
    fn spec(&self) -> SampleSpec {
        SampleSpec {
            clip: CLIP,
            pixels: Pixels::Symmetric,
            max_frames: 2,
            classes: 0,
            context_frames: 0,
            maps: vec![],
        }
    }
    fn sample(&self, request: &SampleRequest) -> Result<Clips> {
        let tensor = self.0.reshape((1, 1, 1, 1, 1))?.broadcast_as(&CLIP.dims(request.seeds.len())[..])?;
        Ok(Clips { tensor, pixels: Pixels::Symmetric })
    }
}

impl Trainer for ToyTrainer {
    fn needs(&self) -> BatchSpec {
        BatchSpec::clips(4, CLIP, Pixels::Symmetric)
    }
    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let noise = cx.rng.stream("noise").normal_tensor(1, DType::F32, &Device::Cpu)?;
        let target = (batch.clips.mean_all()?.reshape(1)? + noise)?;
        let mut loss = (self.weight.as_tensor() - target)?.sqr()?.sum_all()?;
        if cx.step == self.explode_at {
            loss = (loss * f64::INFINITY)?;
        }
        cx.log.loss("distance", &loss);
        update([(&mut self.group, &loss)])
    }
    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        Ok(Box::new(ToySampler(self.weight.as_detached_tensor())))
    }
    fn parameters(&self) -> BTreeMap<String, usize> {
        BTreeMap::from([("toy".to_owned(), 1)])
    }
    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        to.model("w", &self.weight.as_detached_tensor())?;
        self.group.save(to)
    }
    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        self.weight.set(&from.model_tensors()["w"])?;
        self.group.load(from)
    }
}

struct Ramp(SourceInfo);

impl Ramp {
    fn new(fingerprint: &str) -> Self {
        let (name, fingerprint) = ("ramp".to_owned(), fingerprint.to_owned());
        Self(SourceInfo { name, clips: 10, classes: BTreeMap::new(), fingerprint })
    }
}

impl BatchSource for Ramp {
    fn info(&self) -> &SourceInfo {
        &self.0
    }
    fn batch(&mut self, spec: &BatchSpec, position: u64) -> Result<Batch> {
        let value = Rng::new(0).child("clip", position).stream("x").unit();
        Ok(Batch::of_clips(Tensor::full(value as f32, &spec.clip.dims(spec.clips)[..], &Device::Cpu)?))
    }
}

struct StopAt<'a>(u64, &'a AtomicBool);

impl Observer for StopAt<'_> {
    fn step(&mut self, report: &StepReport<'_>) -> Result<()> {
        self.1.store(report.progress.step == self.0, std::sync::atomic::Ordering::SeqCst);
        Ok(())
    }
}

fn schedule(steps: u64) -> Schedule {
    Schedule {
        steps,
        checkpoint_every: 4,
        keep_checkpoints: 2,
        sample_every: 5,
        samples: 2,
        log_every: 1,
        budget: None,
    }
}

fn toy(explode_at: u64) -> Box<dyn Experiment> {
    let sets = [format!("explode_at={explode_at}")];
    (Entry::of::<Toy>().open)(&ConfigSource { sets: &sets, ..Default::default() }).unwrap()
}

fn run(folder: &Path, steps: u64, stop: u64, explode_at: u64) -> Result<Outcome> {
    let (experiment, mut source, flag) = (toy(explode_at), Ramp::new("a"), AtomicBool::new(false));
    let mut driver = Driver::new(&*experiment, &mut source, Init::cpu(7), folder)?;
    let checkpoints = folder.join(CHECKPOINTS);
    if checkpoints.exists() {
        driver.load(&newest(&checkpoints)?.checkpoint.expect("a checkpoint"))?;
    }
    driver.run(&schedule(steps), &mut StopAt(stop, &flag), &flag)
}

fn weight(folder: &Path) -> (Progress, Vec<f32>) {
    let reader = newest(&folder.join(CHECKPOINTS)).unwrap().checkpoint.unwrap();
    (reader.progress(), reader.model_tensors()["w"].to_vec1().unwrap())
}

#[test]
fn an_interrupted_run_resumes_to_the_same_weights() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(run(whole.path(), 11, 0, 0).unwrap(), Outcome::Finished);
    assert_eq!(run(parts.path(), 11, 6, 0).unwrap(), Outcome::Interrupted);
    assert_eq!(weight(parts.path()).0, Progress { step: 6, clips_seen: 24 });
    assert_eq!(run(parts.path(), 11, 0, 0).unwrap(), Outcome::Finished);
    assert_eq!(weight(parts.path()), weight(whole.path()));
    let kept = std::fs::read_dir(whole.path().join(CHECKPOINTS)).unwrap().count();
    assert_eq!(kept, 2);
}

#[test]
fn a_budget_of_time_ends_a_run_after_the_step_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let (experiment, mut source, flag) = (toy(0), Ramp::new("a"), AtomicBool::new(false));
    let mut driver = Driver::new(&*experiment, &mut source, Init::cpu(7), dir.path()).unwrap();
    let budget = Budget { total: Duration::ZERO, ticks: 10 };
    let schedule = Schedule { budget: Some(budget), ..schedule(1000) };
    assert_eq!(driver.run(&schedule, &mut Silent, &flag).unwrap(), Outcome::Finished);
    assert_eq!(driver.progress().step, 1);
    assert!(dir.path().join(CHECKPOINTS).join("step-000001").is_dir());

    let budget = Budget { total: Duration::from_secs(50), ticks: 10 };
    let at = |secs| budget.ticks_at(Duration::from_secs_f64(secs));
    assert_eq!([0.0, 4.9, 5.0, 49.9, 50.0, 1e6].map(at), [0, 0, 1, 9, 10, 10]);
}

#[test]
fn an_infinite_loss_stops_the_run_and_keeps_the_last_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let error = run(dir.path(), 11, 0, 8).unwrap_err();
    assert!(matches!(&error, Error::NonFinite { loss, step: 8, .. } if loss == "distance"), "{error}");
    assert_eq!(weight(dir.path()).0.step, 4);
}

#[test]
fn other_data_or_another_seed_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), 4, 0, 0).unwrap();
    let reader = newest(&dir.path().join(CHECKPOINTS)).unwrap().checkpoint.unwrap();
    let experiment = toy(0);
    let mut other = Ramp::new("b");
    let mut driver = Driver::new(&*experiment, &mut other, Init::cpu(7), dir.path()).unwrap();
    assert!(driver.load(&reader).unwrap_err().to_string().contains("has changed"));
    let mut same = Ramp::new("a");
    let mut driver = Driver::new(&*experiment, &mut same, Init::cpu(8), dir.path()).unwrap();
    assert!(driver.load(&reader).unwrap_err().to_string().contains("seed 7"));
}

#[test]
fn stats_of_later_steps_and_torn_lines_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stats.jsonl");
    let line = |step| StatsLine {
        step,
        clips_seen: step,
        data_secs: 0.0,
        step_secs: 0.0,
        scalars: BTreeMap::from([("loss".to_owned(), 0.5)]),
    };
    let mut file = StatsFile::continue_after(&path, 0).unwrap();
    (1..=3).for_each(|s| file.append(&line(s)).unwrap());
    drop(file);
    let torn = std::fs::read_to_string(&path).unwrap() + "{\"step\": 4, \"cli";
    std::fs::write(&path, torn).unwrap();
    StatsFile::continue_after(&path, 2).unwrap().append(&line(3)).unwrap();
    assert_eq!(read_stats(&path).unwrap(), [line(1), line(2), line(3)]);
}
