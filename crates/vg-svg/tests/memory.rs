//! Steps that need less memory make the updates of those that need more.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::config::{ConfigSource, resolve};
use vg_core::grad::Tape;
use vg_core::model::{Init, Model};
use vg_core::nn::{Mode, NormStats};
use vg_core::train::Trainer;
use vg_core::{Result, Rng};
use vg_svg::{Config, Draws, Svg, SvgTrainer};

fn tiny(sets: &[&str]) -> Result<Config> {
    let sets: Vec<String> =
        ["clip.side=16", "backbone.init_std=0.3"].iter().chain(sets).map(|s| (*s).to_owned()).collect();
    resolve(&ConfigSource { preset: Some("tiny"), sets: &sets, ..Default::default() })
}

fn trainer(sets: &[&str], dtype: DType) -> SvgTrainer {
    Svg::trainer(&tiny(sets).unwrap(), &Init { dtype, ..Init::cpu(1) }).unwrap()
}

/// Clips and random numbers of a step.
fn given(trainer: &SvgTrainer, sets: &[&str], dtype: DType) -> (Tensor, Draws) {
    let spec = trainer.needs();
    let mut stream = Rng::new(2).stream("x");
    let clips =
        stream.uniform_tensor(&spec.clip.dims(spec.clips)[..], 0.0, 1.0, dtype, &Device::Cpu).unwrap();
    (clips, Draws::new(&tiny(sets).unwrap(), &Rng::new(3), dtype, &Device::Cpu).unwrap())
}

fn values(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Parameters and statistics after two steps.
fn trained(sets: &[&str]) -> BTreeMap<String, Vec<f64>> {
    let mut trainer = trainer(sets, DType::F32);
    let (clips, draws) = given(&trainer, sets, DType::F32);
    for _ in 0..2 {
        let _tape = Tape::start();
        trainer.train(&clips, &draws).unwrap();
    }
    trainer.store().tensors("").iter().map(|(name, t)| (name.clone(), values(t))).collect()
}

#[test]
fn recomputed_steps_are_those_of_the_plain_one_bit_for_bit() {
    for kind in ["backbone.kind=vgg", "backbone.kind=dcgan"] {
        for extra in ["backbone.skip_source=previous", "variant=deterministic", "train.micro_batch=2"] {
            let plain = trained(&[kind, extra, "train.batch=4"]);
            let again = trained(&[kind, extra, "train.batch=4", "train.recompute=true"]);
            assert!(plain == again, "{kind} {extra}");
        }
    }
}

/// Products in bf16 change the losses by the rounding of their operands; weights stay f32.
#[test]
fn steps_in_bf16_stay_near_those_in_f32() {
    let losses = |precision: &str| {
        let sets = ["backbone.width=32", "train.batch=4", precision];
        let mut trainer = trainer(&sets, DType::F32);
        let (clips, draws) = given(&trainer, &sets, DType::F32);
        let step = |_| {
            let _tape = Tape::start();
            values(&trainer.train(&clips, &draws).unwrap().total)[0]
        };
        let losses: Vec<f64> = (0..3).map(step).collect();
        assert!(trainer.store().vars("").iter().all(|(_, var)| var.dtype() == DType::F32));
        losses
    };
    let (full, narrow) = (losses("train.precision=full"), losses("train.precision=bf16"));
    for (full, narrow) in full.iter().zip(&narrow) {
        assert!((full - narrow).abs() < 0.03 * full, "{full} {narrow}");
    }
    assert!(tiny(&["train.precision=f16"]).unwrap_err().to_string().contains("bf16"));
}

/// With running statistics no clip depends on another: parts, an odd one included, add up to the batch.
#[test]
fn gradients_of_parts_add_up_to_those_of_the_batch() {
    let mode = Mode { norm: NormStats::Running, ..Mode::TRAIN.keep_running() };
    for variant in ["variant=learned-prior", "variant=deterministic"] {
        let step = |micro: &str| {
            let sets = [variant, "train.batch=5", micro];
            let trainer = trainer(&sets, DType::F64);
            let (clips, draws) = given(&trainer, &sets, DType::F64);
            let _tape = Tape::start();
            let (grads, losses) = trainer.gradients(&clips, &draws, mode).unwrap();
            assert_eq!(losses.kl.is_some(), variant == "variant=learned-prior");
            let of = |(name, var): &(String, candle_core::Var)| {
                (name.clone(), grads.get(var.as_tensor()).map(values).unwrap_or_default())
            };
            let mut all: BTreeMap<_, _> = trainer.store().vars("").iter().map(of).collect();
            all.insert("loss".into(), values(&losses.total));
            all
        };
        let (whole, parts) = (step("train.micro_batch=0"), step("train.micro_batch=3"));
        for (name, want) in &whole {
            let got = &parts[name];
            let scale = want.iter().fold(0f64, |m, x| m.max(x.abs())).max(1e-3);
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-11 * scale;
            assert!(got.len() == want.len() && got.iter().zip(want).all(near), "{name}: {got:?} {want:?}");
        }
    }
}

/// With batch statistics each part has its own, so the step is another one; the running statistics take in each part.
#[test]
fn parts_have_batch_statistics_of_their_own() {
    let of = |micro: &str| trained(&["train.batch=4", micro]);
    let (whole, parts) = (of("train.micro_batch=0"), of("train.micro_batch=2"));
    assert_ne!(whole["encoder.c1.main.0.weight"], parts["encoder.c1.main.0.weight"]);
    assert_ne!(whole["encoder.c1.main.1.running_mean"], parts["encoder.c1.main.1.running_mean"]);
    assert!(whole == of("train.micro_batch=4"));
}

#[test]
fn parts_without_statistics_are_refused() {
    for sets in [
        ["train.batch=4", "train.micro_batch=1"],
        ["train.batch=5", "train.micro_batch=2"],
        ["train.batch=4", "train.micro_batch=8"],
    ] {
        let error = tiny(&sets).unwrap_err().to_string();
        assert!(error.contains("train.micro_batch") && error.contains("2 clips or more"), "{error}");
    }
}
