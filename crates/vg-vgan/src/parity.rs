//! Comparison with golden files of the PyTorch reference (feature `testing`).

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use vg_core::Result;
use vg_core::config::ModelConfig;
use vg_core::grad::{Grads, backward};
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::testing::{Checker, Fixture, ParityReport, Tolerance};

use crate::config::{Clip, Conditioning, Config, Discriminator, Generator, Reduction, Train, Variant};
use crate::loss::Verdict;
use crate::train::{AdversarialTrainer, Draws};

/// Why some entries are left out.
const IDLE: &str =
    "a bias in front of a batch norm has no gradient but rounding, which Adam turns into full steps";

/// Configuration as the reference writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    variant: ReferenceVariant,
    frames: usize,
    size: usize,
    z_dim: usize,
    g_width: usize,
    d_width: usize,
    mask_weight: f64,
    mask_reduction: Reduction,
    recon_weight: f64,
    lr: f64,
    batch: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReferenceVariant {
    TwoStream,
    OneStream,
    Conditional,
}

impl Reference {
    fn config(self) -> Result<Config> {
        let (variant, mask_weight) = match self.variant {
            ReferenceVariant::TwoStream => (Variant::TwoStream, self.mask_weight),
            ReferenceVariant::OneStream => (Variant::OneStream, 0.0),
            ReferenceVariant::Conditional => (Variant::Conditional, 0.0),
        };
        let base = Config::preset("paper")?;
        Ok(Config {
            variant,
            clip: Clip { frames: self.frames, size: self.size },
            generator: Generator {
                z_dim: self.z_dim,
                channels: self.g_width,
                conditioning: Conditioning::Map,
            },
            discriminator: Discriminator { channels: self.d_width },
            train: Train {
                batch: self.batch,
                lr: self.lr,
                mask_weight,
                mask_reduction: self.mask_reduction,
                reconstruction_weight: self.recon_weight,
                ..base.train
            },
            ..base
        })
    }
}

/// Compares everything in a golden file: outputs, losses and gradients at the initial parameters, outputs in evaluation mode,
/// parameters after one and three steps (in f64 only: the first steps of Adam are nearly sign(gradient), which f32 rounding flips).
/// Biases in front of batch norms are left out after steps, and in f32: their gradient is zero but for rounding.
///
/// # Errors
/// When the file is damaged, of another model, or holds entries that nothing computes.
pub fn run(fixture: &Fixture, dtype: DType, tolerance: Tolerance) -> Result<ParityReport> {
    let config = fixture.config::<Reference>()?.config()?;
    let case = Case { fixture, dtype, config };
    let mut checker = Checker::new(fixture, tolerance);
    for (prefix, mode) in [("out", Mode::TRAIN), ("eval", Mode::EVAL)] {
        case.outputs(&mut checker, prefix, mode)?;
    }
    case.gradients(&mut checker)?;
    if dtype == DType::F64 {
        case.steps(&mut checker)?;
    } else {
        for prefix in ["after.", "after3.", "loss.steps"] {
            checker.skip(
                prefix,
                "several steps are compared in f64: f32 rounding flips the sign-like first steps of Adam",
            );
        }
    }
    checker.finish()
}

struct Case<'a> {
    fixture: &'a Fixture,
    dtype: DType,
    config: Config,
}

impl Case<'_> {
    /// The reference's networks as they are before the first step.
    fn trainer(&self) -> Result<AdversarialTrainer> {
        let tensors = self.fixture.group("param.", self.dtype)?;
        let init = Init { device: Device::Cpu, dtype: self.dtype, seed: 0 };
        let what = self.fixture.path().display().to_string();
        AdversarialTrainer::over(
            ParamStore::load(tensors, what, self.dtype, &init.device)?,
            &self.config,
            &init,
        )
    }

    /// Real clips of training step `k`, from 0.
    fn real(&self, k: usize) -> Result<Tensor> {
        let clips = self.fixture.tensor("in.real", self.dtype)?;
        Ok(clips.narrow(0, k, self.config.train.batch)?.contiguous()?)
    }

    /// Random numbers of training step `k`.
    fn draws(&self, k: usize) -> Result<Draws> {
        let z = match self.config.variant {
            Variant::Conditional => None,
            _ => Some(self.fixture.tensor("in.z", self.dtype)?.get(k)?),
        };
        Ok(Draws { z })
    }

    fn outputs(&self, checker: &mut Checker<'_>, prefix: &str, mode: Mode) -> Result<()> {
        let (nets, real) = (self.trainer()?, self.real(0)?);
        let streams = nets.generator().forward(&nets.source(&real, &self.draws(0)?)?, mode)?;
        checker.output(&format!("{prefix}.generator.video"), &streams.video)?;
        if let Some(parts) = &streams.parts {
            checker.output(&format!("{prefix}.generator.mask"), &parts.mask)?;
            if mode == Mode::TRAIN {
                checker.output(&format!("{prefix}.generator.foreground"), &parts.foreground)?;
                checker.output(&format!("{prefix}.generator.background"), &parts.background)?;
            }
        }
        for (name, clips) in [("real", &real), ("fake", &streams.video)] {
            let logits = nets.discriminator().forward(clips, mode)?;
            checker.output(&format!("{prefix}.discriminator.{name}"), &logits)?;
        }
        Ok(())
    }

    fn gradients(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (nets, real) = (self.trainer()?, self.real(0)?);
        let idle = if self.dtype == DType::F64 { Vec::new() } else { idle_biases(&nets) };
        let mut check = |name: &str, loss: &Tensor| -> Result<()> {
            idle.iter().for_each(|bias| checker.skip(&format!("grad.{name}.{bias}"), IDLE));
            checker.output(&format!("loss.{name}"), loss)?;
            checker.gradients(name, &named(&nets, &backward(loss)?))
        };
        let streams = nets.generator().forward(&nets.source(&real, &self.draws(0)?)?, Mode::TRAIN)?;
        let of_real = nets.verdict(&real, Verdict::Real)?;
        let of_fake = nets.verdict(&streams.video.detach(), Verdict::Fake)?;
        check("d_real", &of_real)?;
        check("d_fake", &of_fake)?;
        check("d", &(&of_real + &of_fake)?)?;
        let losses = nets.generator_losses(&streams, &real)?;
        let penalty = match (&losses.mask, &losses.reconstruction) {
            (Some(mask), None) => Some(("g_mask", mask)),
            (None, Some(reconstruction)) => Some(("g_recon", reconstruction)),
            // The reference has no model with both; without either, all of the loss is adversarial.
            _ => None,
        };
        if let Some((name, penalty)) = penalty {
            check("g_adv", &losses.adversarial)?;
            check(name, penalty)?;
        }
        check("g", &losses.total()?)
    }

    fn steps(&self, checker: &mut Checker<'_>) -> Result<()> {
        let mut nets = self.trainer()?;
        let mut losses = Vec::with_capacity(3);
        for k in 0..3 {
            let found = nets.update(&self.real(k)?, &self.draws(k)?)?;
            let penalty = found.generator.mask.or(found.generator.reconstruction);
            let penalty = penalty.map_or_else(|| found.real.zeros_like(), Ok)?;
            losses.push(Tensor::stack(&[found.real, found.fake, found.generator.adversarial, penalty], 0)?);
            let stage = ["after", "", "after3"][k];
            if !stage.is_empty() {
                for bias in idle_biases(&nets) {
                    checker.skip(&format!("{stage}.{bias}"), IDLE);
                }
                checker.changes(stage, &nets.store().tensors(""))?;
            }
        }
        checker.output("loss.steps", &Tensor::stack(&losses, 0)?)
    }
}

/// Biases of convolutions that a batch norm follows.
fn idle_biases(nets: &AdversarialTrainer) -> Vec<String> {
    let names = nets.store().tensors("");
    let norm_of = |conv: &str| conv.replace(".conv", ".bn") + ".weight";
    let convs = names.keys().filter_map(|n| n.strip_suffix(".bias")).filter(|n| n.contains(".conv"));
    convs.filter(|c| names.contains_key(&norm_of(c))).map(|c| format!("{c}.bias")).collect()
}

/// Gradients by parameter name.
fn named(nets: &AdversarialTrainer, grads: &Grads) -> BTreeMap<String, Tensor> {
    let found = |(name, var): (String, candle_core::Var)| Some((name, grads.get(var.as_tensor())?.clone()));
    nets.store().vars("").into_iter().filter_map(found).collect()
}
