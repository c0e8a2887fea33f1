//! Steps that need less memory make the updates of those that need more.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::config::{ConfigSource, resolve};
use vg_core::grad::{Tape, backward};
use vg_core::model::Init;
use vg_core::train::{Trainer, accumulate};
use vg_core::{Batch, Rng};

use super::*;
use crate::layers::Run;

fn tiny(sets: &[&str]) -> Config {
    let sets: Vec<String> = ["train.batch=4"].iter().chain(sets).map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() }).unwrap()
}

fn trainer(sets: &[&str], dtype: DType) -> DvdganTrainer {
    DvdganTrainer::new(&tiny(sets), &Init { dtype, ..Init::cpu(1) }).unwrap()
}

/// Clips and random numbers of a step.
fn given(trainer: &DvdganTrainer) -> (Vec<Real>, Draws) {
    let (spec, dtype) = (trainer.needs(), trainer.init.dtype);
    let mut stream = Rng::new(2).stream("x");
    let clips =
        stream.uniform_tensor(&spec.clip.dims(spec.clips)[..], -1.0, 1.0, dtype, &Device::Cpu).unwrap();
    let classes: Vec<u32> = (0..spec.clips as u32).map(|k| k % 2).collect();
    let labels =
        spec.labels.iter().map(|name| (name.clone(), Tensor::new(classes.as_slice(), &Device::Cpu).unwrap()));
    let batch = Batch { labels: labels.collect(), ..Batch::of_clips(clips) };
    let draws = Draws::new(&trainer.config, &Rng::new(3), dtype, &Device::Cpu).unwrap();
    (trainer.real(&batch).unwrap(), draws)
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Parameters, vectors and statistics after two steps.
fn trained(sets: &[&str]) -> BTreeMap<String, Vec<f64>> {
    let mut trainer = trainer(sets, DType::F32);
    let (real, draws) = given(&trainer);
    for _ in 0..2 {
        let _tape = Tape::start();
        trainer.train(&real, &draws).unwrap();
    }
    trainer.store().tensors("").iter().map(|(name, t)| (name.clone(), values(t))).collect()
}

#[test]
fn recomputed_steps_are_those_of_the_plain_one_bit_for_bit() {
    let continued = ["clip.given=2", "classes.groups=[]", "classes.counts=[]", "sample.standing_batches=0"];
    let attended = [
        "generator.attention_full=true",
        "generator.multipliers=[4,2,2]",
        "generator.attention_separable=true",
    ];
    for extra in [&continued[..], &attended, &["train.micro_batch=2"], &[]] {
        let again: Vec<&str> = extra.iter().copied().chain(["train.recompute=true"]).collect();
        assert!(trained(extra) == trained(&again), "{extra:?}");
    }
}

/// The discriminators have no batch statistics: of the same clips their gradients in parts are those of the whole but for rounding, and
/// power iterations are made once.
#[test]
fn discriminators_learn_the_same_from_parts() {
    let of = |micro: usize| {
        let trainer = trainer(&[], DType::F64);
        let (real, draws) = given(&trainer);
        let (real, draw) = (&real[0], &draws.discriminators[0]);
        let fake = trainer.generate(draw, Some(real), Run::train(&trainer.config).frozen()).unwrap();
        let each = fake.dim(0).unwrap() / 4;
        let (grads, losses) = accumulate(4, micro, |part| {
            let fake = fake.narrow(0, part.start * each, part.len * each)?;
            let mode = Run::train(&trainer.config).part(part).mode;
            let losses = trainer.discriminator_losses(&real.part(part)?, &draw.part(part)?, &fake, mode)?;
            Ok((backward(&(&losses[0] + &losses[1])?)?, losses))
        })
        .unwrap();
        let vars = trainer.store().vars("spatial.").into_iter().chain(trainer.store().vars("temporal."));
        let grads: Vec<f64> = vars.flat_map(|(_, var)| values(grads.get(&var).unwrap())).collect();
        let vectors = trainer.store().tensors("").into_iter().filter(|(name, _)| name.ends_with("weight_u"));
        let vectors: Vec<f64> = vectors.flat_map(|(_, u)| values(&u)).collect();
        (grads, losses.map(|l| values(&l)[0]), vectors)
    };
    let (grads, losses, vectors) = of(0);
    let largest = grads.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
    for micro in [1, 3] {
        let (parts, means, moved) = of(micro);
        assert!(moved == vectors, "one iteration a pass, whatever its parts");
        assert!(grads.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-12 * largest), "{micro}");
        assert!(losses.iter().zip(&means).all(|(a, b)| (a - b).abs() < 1e-12), "{micro}");
    }
}

/// In parts the generator's norms see fewer clips: another step, but a step.
#[test]
fn parts_change_what_norms_see_and_no_more() {
    let (whole, parts) = (trained(&[]), trained(&["train.micro_batch=1"]));
    assert!(whole == trained(&["train.micro_batch=4"]));
    assert!(whole["generator.linear.weight"] != parts["generator.linear.weight"]);
    assert!(parts.values().flatten().all(|v| v.is_finite()));
    let error = Config::validate(&Config {
        train: crate::config::Train { micro_batch: 5, ..tiny(&[]).train },
        ..tiny(&[])
    });
    assert!(error.unwrap_err().to_string().contains("train.micro_batch"));
}
