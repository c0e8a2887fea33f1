//! The image model.

use candle_core::Tensor;
use vg_core::Result;
use vg_core::grad::{Tape, backward};
use vg_core::nn::Weights;
use vg_core::testing::Checker;

use super::Case;
use crate::draws::{CriticDraws, Points};
use crate::features::Features;
use crate::image::Statistics;
use crate::train::ImageTrainer;

pub(super) fn run(case: &Case<'_>, checker: &mut Checker<'_>) -> Result<()> {
    let _tape = Tape::start();
    let (mut nets, real, draws) = (trainer(case)?, case.input("image")?, draws(case, 0)?);
    let z = case.input("z_generator")?;
    let fake = nets.generator().forward(&draws.z, Weights::Constant, Statistics::Batch)?;
    checker.output("out.Generator", &fake)?;
    let features = nets.trunk().at(Weights::Constant)?.forward(&real)?.0;
    checker.output("out.Discriminator", &features)?;
    let blocks = nets.dual().at(Weights::Constant)?.forward(&features)?;
    checker.output("out.dual", &Tensor::stack(blocks.blocks(), 0)?)?;

    let losses = nets.critic_losses(&real, &draws)?;
    checker.output("out.gp_samples", &losses.gradient_samples)?;
    checker.output("out.gp_gradient", &losses.gradient)?;
    for (name, loss) in [
        ("wasserstein", &losses.wasserstein),
        ("gp", &losses.gradient_penalty),
        ("fp", &losses.feature_penalty),
        ("critic", &losses.total),
    ] {
        checker.output(&format!("loss.{name}"), loss)?;
        checker.gradients(name, &case.gradients(nets.store(), &backward(loss)?)?)?;
    }
    let loss = nets.generator_loss(&z.get(0)?)?;
    checker.output("loss.generator", &loss)?;
    checker.gradients("generator", &case.gradients(nets.store(), &backward(&loss)?)?)?;
    if !case.in_f64() {
        return Ok(());
    }
    let mut steps = Vec::with_capacity(3);
    for k in 0..3 {
        let (critic, _) = nets.update_critic(&real, &self::draws(case, k)?)?;
        let (generator, _) = nets.update_generator(&z.get(k)?)?;
        steps.push(Tensor::stack(&[critic.total.detach(), generator.detach()], 0)?);
        let stage = ["after", "", "after3"][k];
        if !stage.is_empty() {
            checker.changes(stage, &case.named(nets.store().tensors(""))?)?;
        }
    }
    checker.output("loss.steps", &Tensor::stack(&steps, 0)?)
}

fn trainer(case: &Case<'_>) -> Result<ImageTrainer> {
    ImageTrainer::over(case.store()?, &case.config, &case.init())
}

fn draws(case: &Case<'_>, k: usize) -> Result<CriticDraws> {
    let at = |name: &str| -> Result<Tensor> { Ok(case.input(name)?.get(k)?) };
    Ok(CriticDraws { z: at("z_critic")?, points: Points { pixels: at("t")?, features: at("t2")? } })
}
