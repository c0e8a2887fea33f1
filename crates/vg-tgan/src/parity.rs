//! Comparison with golden files of the PyTorch reference (feature `testing`).

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use vg_core::grad::Grads;
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::ops::conv::Precision;
use vg_core::ops::svc::clip_singular_values;
use vg_core::testing::{Checker, Fixture, ParityReport, Tolerance};
use vg_core::{Pixels, Result};

use crate::config::{
    Clip, Config, Constraint, Critic, FRAMES, Generator, GeneratorKind, Loss, Train, WeightInit,
};
use crate::constraint::bound_gamma;
use crate::convert::{all_to_reference, from_reference};
use crate::generator::Generator as Networks;
use crate::train::{Draws, TganTrainer};

/// Configuration as the reference writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    z0_dim: usize,
    z1_dim: usize,
    temporal_channels: [usize; 4],
    image_channels: usize,
    critic_channels: usize,
    bottom_width: usize,
    channels: usize,
    use_beta: bool,
    z0_to_frames: bool,
    init: WeightInit,
    loss: Loss,
    constraint: Constraint,
    svc_every: u64,
    gamma_eps: f64,
    clip: f64,
    noise_std: f64,
    lr: f64,
    batch: usize,
}

impl From<Reference> for Config {
    fn from(r: Reference) -> Self {
        Self {
            clip: Clip { channels: r.channels, bottom_width: r.bottom_width },
            generator: Generator {
                kind: GeneratorKind::Temporal,
                z0_dim: r.z0_dim,
                z1_dim: r.z1_dim,
                temporal_channels: r.temporal_channels,
                image_channels: r.image_channels,
                z0_to_frames: r.z0_to_frames,
            },
            critic: Critic { channels: r.critic_channels, noise_std: r.noise_std },
            classes: 0,
            init: r.init,
            use_beta: r.use_beta,
            running_var_start: 1.0,
            train: Train {
                batch: r.batch,
                lr: r.lr,
                alpha: 0.99,
                eps: 1e-8,
                eps_placement: Default::default(),
                loss: r.loss,
                constraint: r.constraint,
                svc_every: r.svc_every,
                gamma_eps: r.gamma_eps,
                clip: r.clip,
                shuffle_time: 0.0,
                flip: false,
                precision: Precision::Full,
            },
        }
    }
}

/// Compares everything in a golden file: outputs, losses and gradients at the initial parameters, outputs in evaluation mode,
/// parameters after one and three steps (in f64 only: the first steps of RMSProp are nearly sign(gradient), which f32 rounding
/// flips), singular value clipping and the rule for scales on their own.
///
/// # Errors
/// When the file is damaged, of another model, or holds entries that nothing computes.
pub fn run(fixture: &Fixture, dtype: DType, tolerance: Tolerance) -> Result<ParityReport> {
    let config: Config = fixture.config::<Reference>()?.into();
    let case = Case { fixture, dtype, config };
    let mut checker = Checker::new(fixture, tolerance);
    case.training_mode(&mut checker)?;
    case.evaluation_mode(&mut checker)?;
    if dtype == DType::F64 {
        case.steps(&mut checker)?;
    } else {
        for prefix in ["after.", "after3.", "loss.steps"] {
            checker.skip(
                prefix,
                "several steps are compared in f64: f32 rounding flips the sign-like first steps of RMSProp",
            );
        }
    }
    case.constraints(&mut checker)?;
    checker.finish()
}

struct Case<'a> {
    fixture: &'a Fixture,
    dtype: DType,
    config: Config,
}

impl Case<'_> {
    /// The reference's networks as they are before the first step.
    fn trainer(&self) -> Result<TganTrainer> {
        let given = self.fixture.group("param.", self.dtype)?;
        let ours = |(name, t): (String, Tensor)| (from_reference(&name).unwrap_or(name), t);
        let tensors: BTreeMap<String, Tensor> = given.into_iter().map(ours).collect();
        let init = Init { device: Device::Cpu, dtype: self.dtype, seed: 0 };
        let store =
            ParamStore::load(tensors, self.fixture.path().display().to_string(), self.dtype, &init.device)?;
        TganTrainer::over(store, &self.config, &init)
    }

    fn input(&self, name: &str) -> Result<Tensor> {
        self.fixture.tensor(&format!("in.{name}"), self.dtype)
    }

    /// Random numbers of training step `k`, from 0.
    fn draws(&self, k: usize) -> Result<Draws> {
        let noise = |pass: &str| -> Result<Vec<Tensor>> {
            let layers = if self.config.critic.noise_std == 0.0 { 0 } else { 4 };
            (0..layers).map(|layer| Ok(self.input(&format!("noise_{pass}{layer}"))?.get(k)?)).collect()
        };
        Ok(Draws {
            z0: self.input("z0")?.get(k)?,
            classes: None,
            noise_fake: noise("fake")?,
            noise_real: noise("real")?,
            frame_order: None,
        })
    }

    fn training_mode(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (draws, real) = (self.draws(0)?, self.input("real")?);
        let nets = self.trainer()?;
        if let Networks::Temporal(g) = nets.generator() {
            checker.output("out.fsgen.z1", &g.temporal.forward(&draws.z0, Mode::TRAIN)?)?;
        }
        let nets = self.trainer()?;
        let video = nets.generator().forward(&draws.z0, FRAMES, Mode::TRAIN)?;
        checker.output("out.video", &video)?;
        let critic = nets.critic();
        checker.output("out.vdis.fake", &critic.forward(&video, None, &draws.noise_fake, Mode::TRAIN)?)?;
        checker.output("out.vdis.real", &critic.forward(&real, None, &draws.noise_real, Mode::TRAIN)?)?;

        let nets = self.trainer()?;
        let found = nets.gradients(&real, &draws)?;
        checker.output("loss.generator", &found.generator_loss)?;
        checker.output("loss.critic", &found.critic_loss)?;
        checker.gradients("generator", &named(&nets, &found.generator))?;
        checker.gradients("critic", &named(&nets, &found.critic))
    }

    fn evaluation_mode(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (z0, nets) = (self.draws(0)?.z0, self.trainer()?);
        if let Networks::Temporal(g) = nets.generator() {
            checker.output("eval.fsgen.z1", &g.temporal.forward(&z0, Mode::EVAL)?)?;
        }
        let video = nets.generator().forward(&z0, FRAMES, Mode::EVAL)?;
        checker.output("eval.video", &video)?;
        let values = video.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let pixels: Vec<u8> = values.into_iter().map(|x| Pixels::Centered128.encode(x)).collect();
        // A value next to a rounding boundary may fall on either side in another precision: one level of the largest.
        let pixels = Tensor::from_vec(pixels, video.dims(), &Device::Cpu)?;
        let highest = pixels.flatten_all()?.to_vec1::<u8>()?.into_iter().max().unwrap_or(1).max(1);
        checker.output_within("eval.pixels", &pixels, 1.01 / f64::from(highest))?;
        let scores = nets.critic().forward(&self.input("real")?, None, &[], Mode::EVAL)?;
        checker.output("eval.vdis.real", &scores)
    }

    fn steps(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (mut nets, real) = (self.trainer()?, self.input("real")?);
        let mut losses = Vec::with_capacity(3);
        for k in 0..3 {
            let found = nets.gradients(&real, &self.draws(k)?)?;
            nets.apply(&found, k as u64 + 1)?;
            losses.push(Tensor::stack(&[found.generator_loss, found.critic_loss], 0)?);
            let stage = ["after", "", "after3"][k];
            if !stage.is_empty() {
                checker.changes(stage, &all_to_reference(nets.store().tensors("")))?;
            }
        }
        checker.output("loss.steps", &Tensor::stack(&losses, 0)?)
    }

    fn constraints(&self, checker: &mut Checker<'_>) -> Result<()> {
        for (name, kernel) in self.fixture.group("in.svc.", self.dtype)? {
            checker.output(&format!("out.svc.{name}"), &clip_singular_values(&kernel, 1.0)?)?;
        }
        if self.fixture.has("in.gamma.gamma") {
            let (gamma, var) = (self.input("gamma.gamma")?, self.input("gamma.running_var")?);
            checker.output("out.gamma.gamma", &bound_gamma(&gamma, &var, self.config.train.gamma_eps)?)?;
        }
        Ok(())
    }
}

/// Gradients by official parameter name.
fn named(nets: &TganTrainer, grads: &Grads) -> BTreeMap<String, Tensor> {
    let found = |(name, var): (String, candle_core::Var)| Some((name, grads.get(var.as_tensor())?.clone()));
    all_to_reference(nets.store().vars("").into_iter().filter_map(found).collect())
}
