//! What holds in training beside the golden files.

use candle_core::Tensor;
use vg_core::config::{ConfigSource, ModelConfig, resolve};
use vg_core::grad::backward;
use vg_core::model::Init;
use vg_core::testing::random_batch;
use vg_core::train::{StepCx, StepLog, Trainer};
use vg_core::{Batch, Error, Rng};

use super::{Carry, Vid2vidTrainer};
use crate::config::Config;

fn config(sets: &[&str]) -> Config {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() }).unwrap()
}

fn trainer(sets: &[&str]) -> Vid2vidTrainer {
    Vid2vidTrainer::new(&config(sets), &Init::cpu(1)).unwrap()
}

fn batch(trainer: &Vid2vidTrainer) -> Batch {
    random_batch(&trainer.needs(), &Rng::new(3))
}

fn step(trainer: &mut Vid2vidTrainer, batch: &Batch, clips_seen: u64) -> Result<Vec<&'static str>, Error> {
    let mut log = StepLog::default();
    let mut cx = StepCx { rng: Rng::new(1), log: &mut log, step: 1, clips_seen, epoch_clips: 1 };
    trainer.step(batch, &mut cx)?;
    Ok(log.read()?.into_iter().map(|scalar| scalar.name).collect())
}

const FINE: [&str; 4] = ["generator.scales=2", "clip.height=32", "clip.width=64", "train.frames=2"];

/// Specification, section 11: the coarse generator's last layers are fed by nothing that has a loss.
#[test]
fn coarse_output_layers_get_no_gradient() {
    let trainer = trainer(&FINE);
    let clip = trainer.clip(&batch(&trainer)).unwrap();
    let outcome = trainer.losses(&clip.chunk(0, 2, &trainer.config).unwrap(), &Carry::default()).unwrap();
    let grads = backward(&outcome.totals[0].1).unwrap();
    for (name, var) in trainer.store.vars("G0.") {
        let silent = name.contains("_final");
        assert_eq!(grads.get(var.as_tensor()).is_none(), silent, "{name}");
    }
}

#[test]
fn coarse_generators_stay_as_they_are_for_some_epochs() {
    let mut trainer = trainer(&[&FINE[..], &["train.fix_coarse_epochs=1"]].concat());
    let batch = batch(&trainer);
    let values = |trainer: &Vid2vidTrainer, name: &str| -> Vec<f32> {
        trainer.store.tensors(name)[name].flatten_all().unwrap().to_vec1().unwrap()
    };
    let (coarse, fine) = ("G0.model_down_seg.1.weight", "G1.model_down_seg.1.weight");
    let before = [values(&trainer, coarse), values(&trainer, fine)];
    step(&mut trainer, &batch, 0).unwrap();
    assert_eq!(values(&trainer, coarse), before[0]);
    assert_ne!(values(&trainer, fine), before[1]);
    step(&mut trainer, &batch, 1).unwrap();
    assert_ne!(values(&trainer, coarse), before[0]);
    assert_eq!(trainer.generator_params.steps(), 1, "Adam did not start afresh");
}

#[test]
fn sequences_grow_and_bring_the_flows_of_longer_scales() {
    let mut trainer = trainer(&["train.frames=4", "train.chunk=4", "train.longest=8", "train.grow_every=1"]);
    assert_eq!(
        (trainer.needs().clip.frames, trainer.needs().maps),
        (6, vec!["segmentation".to_owned(), "instances".into(), "flow".into()])
    );
    let first = batch(&trainer);
    let names = step(&mut trainer, &first, 0).unwrap();
    assert!(names.contains(&"temporal_real_0") && !names.contains(&"temporal_real_1"), "{names:?}");
    let spec = trainer.needs();
    assert_eq!((spec.clip.frames, spec.maps.last().map(String::as_str)), (10, Some("flow-3")));
    let second = batch(&trainer);
    let names = step(&mut trainer, &second, 1).unwrap();
    assert!(names.contains(&"temporal_real_1"), "{names:?}");
}

#[test]
fn maps_that_are_missing_or_wrong_are_named() {
    let mut trainer = trainer(&[]);
    let whole = batch(&trainer);
    for name in ["segmentation", "instances", "flow", "flow-3"] {
        let mut batch = whole.clone();
        batch.maps.remove(name);
        let result = step(&mut trainer, &batch, 0);
        if name == "flow-3" {
            // Without the flow of a longer scale its discriminator rests.
            assert!(!result.unwrap().contains(&"temporal_real_1"));
        } else {
            let text = result.unwrap_err().to_string();
            assert!(text.contains(&format!("the maps {name:?}")), "{text}");
        }
    }
    let mut short = whole.clone();
    let map = short.maps["segmentation"].narrow(2, 0, 8).unwrap();
    short.maps.insert("segmentation".into(), map);
    let text = step(&mut trainer, &short, 0).unwrap_err().to_string();
    assert!(text.contains("label maps: expected [1, 1, 9, 16, 32]"), "{text}");
    let mut strange = whole;
    let map = (&strange.maps["segmentation"] + 200.0).unwrap();
    strange.maps.insert("segmentation".into(), map);
    let text = step(&mut trainer, &strange, 0).unwrap_err().to_string();
    assert!(text.contains("the model knows the labels 0 to 3"), "{text}");
}

/// Blocks that are run again give the same step.
#[test]
fn recomputation_changes_nothing() {
    let after = |sets: &[&str]| {
        let mut trainer = trainer(sets);
        let batch = batch(&trainer);
        let _tape = vg_core::grad::Tape::start();
        step(&mut trainer, &batch, 0).unwrap();
        trainer.store.tensors("G0.model_down_seg.1.weight").into_values().next().unwrap()
    };
    let values = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(values(after(&["train.recompute=true"])), values(after(&[])));
}

#[test]
fn values_that_make_no_sense_are_refused() {
    for (set, part) in [
        ("clip.height=18", "clip.height"),
        ("generator.foreground=[4]", "classes below 4"),
        ("generator.foreground=[1,1]", "each once"),
        ("maps.classes=0", "generator.foreground"),
        ("discriminator.face=true", "third of which marks faces"),
        ("train.longest=3", "at least `train.frames`"),
        ("loss.flow=-1.0", "0 or greater"),
        ("discriminator.temporal_scales=4", "0 to 3"),
    ] {
        let sets = [set.to_owned()];
        let source = ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() };
        let text = resolve::<Config>(&source).unwrap_err().to_string();
        assert!(text.contains(part), "{set}: {text}");
    }
    assert!(Config::preset("tiny").is_ok());
}
