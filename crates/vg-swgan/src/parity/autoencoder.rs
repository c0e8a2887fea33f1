//! The auto-encoder.

use candle_core::{DType, Device, Tensor, Var};
use vg_core::Result;
use vg_core::grad::{Tape, backward};
use vg_core::nn::Weights;
use vg_core::testing::Checker;

use super::Case;
use crate::autoencoder::transport::transport;
use crate::train::AutoencoderTrainer;

/// The primal blocks do not see a shift of their input: this bias has no gradient, and Adam turns its rounding into steps.
const FREE: &str = "Encoder.Linear.bias";

pub(super) fn run(case: &Case<'_>, checker: &mut Checker<'_>) -> Result<()> {
    transports(case, checker)?;
    let _tape = Tape::start();
    let mut nets = trainer(case)?;
    let (images, noise) = (case.input("image")?, case.input("noise")?);
    let (prior, constant) = (noise.get(0)?, Weights::Constant);
    let code = nets.encoder().linear(&images, constant)?;
    checker.output("out.Encoder.Linear", &code)?;
    let codes = nets.encoder().blocks(&code, &prior, constant)?;
    for (name, code) in ["swd", "swd1", "swd2"].into_iter().zip(&codes) {
        checker.output(&format!("out.Encoder.{name}"), code)?;
    }
    checker.output("out.Generator", &nets.decoder().forward(&codes[codes.len() - 1], constant)?)?;
    checker.output("out.sample", &nets.decoder().forward(&prior, constant)?)?;
    for prefix in ["after", "after3", "grad.reconstruction"] {
        checker.skip(&format!("{prefix}.{FREE}"), "it has no gradient but rounding, which Adam enlarges");
    }
    let made = nets.reconstruct(&images, &prior)?;
    checker.output("loss.reconstruction", &made.loss)?;
    checker.gradients("reconstruction", &case.gradients(nets.store(), &backward(&made.loss)?)?)?;
    if !case.in_f64() {
        return Ok(());
    }
    let mut losses = Vec::with_capacity(3);
    for k in 0..3 {
        let loss = nets.reconstruct(&images, &noise.get(k)?)?.loss;
        nets.update(&loss)?;
        losses.push(loss.detach());
        let stage = ["after", "", "after3"][k];
        if !stage.is_empty() {
            checker.changes(stage, &case.named(nets.store().tensors(""))?)?;
        }
    }
    checker.output("loss.steps", &Tensor::stack(&losses, 0)?)
}

fn trainer(case: &Case<'_>) -> Result<AutoencoderTrainer> {
    AutoencoderTrainer::over(case.store()?, &case.config, &case.init())
}

/// The transport alone, which the reference computes in f64 in both runs.
fn transports(case: &Case<'_>, checker: &mut Checker<'_>) -> Result<()> {
    for (name, bins) in [("hand", 8), ("drawn", case.config.autoencoder.bins)] {
        let given = |part: &str| -> Result<Tensor> {
            let t = case.fixture.tensor(&format!("in.transport.{name}.{part}"), DType::F64)?;
            Ok(t.t()?.contiguous()?)
        };
        if !case.fixture.has(&format!("in.transport.{name}.source")) {
            continue;
        }
        let (source, target) = (Var::from_tensor(&given("source")?)?, given("target")?);
        let moved = transport(source.as_tensor(), &target, bins, false)?;
        checker.output(&format!("out.transport.{name}.moved"), &moved.t()?)?;
        let shifted = transport(source.as_tensor(), &target, bins, true)?;
        checker.output(&format!("out.transport.{name}.shifted"), &shifted.t()?)?;
        let n = moved.elem_count();
        let line: Vec<f64> = (0..n).map(|k| 2.0 * k as f64 / (n - 1) as f64 - 1.0).collect();
        let weights = Tensor::from_vec(line, moved.t()?.dims(), &Device::Cpu)?;
        let grads = backward(&(moved.t()? * weights)?.sum_all()?)?;
        let found = grads.get(source.as_tensor()).expect("the source is moved").t()?;
        checker.output(&format!("out.transport.{name}.gradient"), &found)?;
    }
    Ok(())
}
