//! The video model.

use candle_core::{DType, Device, Tensor};
use vg_core::grad::{Tape, backward};
use vg_core::nn::Weights;
use vg_core::ops::pool::{PoolParams, avg_pool};
use vg_core::testing::Checker;
use vg_core::{Pixels, Result};

use super::Case;
use crate::config::FeaturePenalty;
use crate::draws::{CriticDraws, Draws, Points};
use crate::features::Features;
use crate::growth::{Stage, lod};
use crate::orthogonal::tangent;
use crate::train::VideoTrainer;

pub(super) fn run(case: &Case<'_>, checker: &mut Checker<'_>) -> Result<()> {
    // As training does it.
    let _tape = Tape::start();
    outputs(case, checker)?;
    losses(case, checker)?;
    schedule(case, checker)?;
    if case.in_f64() { steps(case, checker) } else { Ok(()) }
}

/// The trainer at a level of detail.
fn trainer(case: &Case<'_>, lod: f64) -> Result<VideoTrainer> {
    let mut config = case.config.clone();
    config.growth.start_lod = lod;
    VideoTrainer::over(case.store()?, &config, &case.init())
}

/// The real clips as the critic sees them at the trainer's level of detail.
fn real(case: &Case<'_>, nets: &VideoTrainer) -> Result<Tensor> {
    let shrink = 1 << (case.config.levels() - nets.stage().size);
    nets.shown(&avg_pool(&case.input("real")?, &PoolParams::per_axis([1, shrink, shrink]))?)
}

/// Random numbers of training step `k`, from 0.
fn draws(case: &Case<'_>, k: usize) -> Result<Draws> {
    let at = |name: &str| -> Result<Tensor> { Ok(case.input(name)?.get(k)?) };
    let points = Points { pixels: at("t")?, features: at("t2")? };
    Ok(Draws { critic: vec![CriticDraws { z: at("z_critic")?, points }], z: at("z_generator")? })
}

fn outputs(case: &Case<'_>, checker: &mut Checker<'_>) -> Result<()> {
    let z = draws(case, 0)?.critic.remove(0).z;
    for name in case.fixture.expected() {
        let Some(number) = name.strip_prefix("out.G.lod") else { continue };
        let lod: f64 =
            number.parse().map_err(|_| vg_core::Error::format(case.fixture.path(), name.clone()))?;
        let nets = trainer(case, lod)?;
        checker.output(&name, &nets.generator().forward(&z, lod, Weights::Constant)?)?;
        let real = real(case, &nets)?;
        if lod > 0.0 {
            checker.output(&format!("out.real.lod{number}"), &real)?;
        }
        let features = nets.trunk().at(lod, Weights::Constant)?.forward(&real)?.0;
        checker.output(&format!("out.D.lod{number}"), &features)?;
    }
    Ok(())
}

fn losses(case: &Case<'_>, checker: &mut Checker<'_>) -> Result<()> {
    let (lod, draws) = (case.config.growth.start_lod, draws(case, 0)?);
    let nets = trainer(case, lod)?;
    let (real, dual) = (real(case, &nets)?, nets.dual().at(Weights::Constant)?);
    let features = nets.trunk().at(lod, Weights::Constant)?.forward(&real)?.0;
    checker.output("out.R", &dual.forward(&features)?.blocks()[0])?;
    let target = case.config.penalties.target;
    for (name, form) in [("reference", FeaturePenalty::Reference), ("derivative", FeaturePenalty::Derivative)]
    {
        checker.output(&format!("out.fp.{name}"), &dual.penalty(&features, target, form)?)?;
    }
    let losses = nets.critic_losses(&real, &draws.critic[0])?;
    for (name, value) in [
        ("value_real", &losses.value_real),
        ("value_fake", &losses.value_fake),
        ("gp_samples", &losses.gradient_samples),
        ("gp_gradient", &losses.gradient),
    ] {
        checker.output(&format!("out.{name}"), value)?;
    }
    for (name, loss) in [
        ("wasserstein", &losses.wasserstein),
        ("gp", &losses.gradient_penalty),
        ("fp", &losses.feature_penalty),
        ("critic", &losses.total),
    ] {
        checker.output(&format!("loss.{name}"), loss)?;
        let found = case.gradients(nets.store(), &backward(loss)?)?;
        checker.gradients(name, &found)?;
        if name == "critic" {
            let p = &nets.store().tensors("dual.0.proj")["dual.0.proj"];
            checker.output("out.tangent.proj", &tangent(p, &found["R.proj"])?)?;
        }
    }
    let loss = nets.generator_loss(&draws.z)?;
    checker.output("loss.generator", &loss)?;
    checker.gradients("generator", &case.gradients(nets.store(), &backward(&loss)?)?)
}

fn schedule(case: &Case<'_>, checker: &mut Checker<'_>) -> Result<()> {
    if !case.fixture.has("in.schedule.kimg") {
        return Ok(());
    }
    let thousands = case.fixture.tensor("in.schedule.kimg", DType::F64)?.to_vec1::<f64>()?;
    for levels in [7, 8] {
        let mut config = crate::Config::clone(&vg_core::config::ModelConfig::preset("paper")?);
        config.clip.side = 1 << levels;
        config.growth.start_lod = (levels - 2) as f64;
        let row = |k: &f64| {
            let stage = Stage::at(&config, lod(&config, (k * 1000.0).round() as u64));
            vec![stage.lod, f64::from(1 << stage.size), stage.lr, stage.batch as f64]
        };
        let rows: Vec<Vec<f64>> = thousands.iter().map(row).collect();
        let found = Tensor::from_vec(rows.concat(), (rows.len(), 4), &Device::Cpu)?;
        checker.output(&format!("out.schedule.levels{levels}"), &found)?;
    }
    Ok(())
}

fn steps(case: &Case<'_>, checker: &mut Checker<'_>) -> Result<()> {
    let mut nets = trainer(case, case.config.growth.start_lod)?;
    let real = real(case, &nets)?;
    let mut losses = Vec::with_capacity(3);
    for k in 0..3 {
        let step = nets.train(&real, &draws(case, k)?)?;
        let c = &step.critic;
        let all = [&c.total, &c.wasserstein, &c.gradient_penalty, &c.feature_penalty, &step.generator];
        losses.push(Tensor::stack(&all.map(Tensor::detach), 0)?);
        let stage = ["after", "", "after3"][k];
        if !stage.is_empty() {
            for (name, t) in nets.averaged_tensors() {
                let name = format!("{stage}.{}", name.replacen("generator.", "Gs.", 1));
                if case.fixture.has(&name) {
                    // It moves by some 1e-6 a step; stored values are rounded to f32.
                    checker.output_within(&name, &t, 3e-7)?;
                }
            }
            checker.changes(stage, &case.named(nets.store().tensors(""))?)?;
        }
    }
    checker.output("loss.steps", &Tensor::stack(&losses, 0)?)?;
    let z = draws(case, 0)?.critic.remove(0).z;
    let video = nets.averaged().forward(&z, case.config.growth.start_lod, Weights::Constant)?;
    checker.output("out.sample.video", &video)?;
    let values = video.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    let pixels: Vec<u8> = values.into_iter().map(|x| Pixels::Symmetric.encode(x)).collect();
    // A value next to a rounding boundary may fall on either side in another precision.
    checker.output_within(
        "out.sample.pixels",
        &Tensor::from_vec(pixels, video.dims(), &Device::Cpu)?,
        1.01 / 255.0,
    )
}
