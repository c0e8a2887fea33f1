//! Comparison with golden files of the PyTorch reference (feature `testing`).

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use vg_core::Result;
use vg_core::grad::backward;
use vg_core::model::Init;
use vg_core::nn::{Mode, NormStats, ParamStore};
use vg_core::ops::conv::Precision;
use vg_core::testing::{Checker, Fixture, ParityReport, Tolerance};

use crate::config::{
    Backbone, BackboneKind, Clip, Config, Recurrent, Sample, SampleNorm, SkipSource, Train, Variant,
};
use crate::draws::Draws;
use crate::recurrent::GaussianLstm;
use crate::rollout::{Latents, rollout};
use crate::train::SvgTrainer;
use crate::unroll::frames;

/// Configuration as the reference writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    variant: ReferenceVariant,
    backbone: BackboneKind,
    image_width: usize,
    channels: usize,
    nf: usize,
    g_dim: usize,
    z_dim: usize,
    rnn_size: usize,
    predictor_layers: usize,
    posterior_layers: usize,
    prior_layers: usize,
    n_past: usize,
    n_future: usize,
    n_eval: usize,
    skip_source: ReferenceSkips,
    bn_mode: ReferenceNorm,
    beta: f64,
    lr: f64,
    batch: usize,
}

/// [`Variant`] as the reference writes it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReferenceVariant {
    Lp,
    Fp,
    Det,
}

/// [`SkipSource`] as the reference writes it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReferenceSkips {
    LastContext,
    Official,
    Previous,
}

/// [`SampleNorm`] as the reference writes it.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReferenceNorm {
    Eval,
    BatchStats,
}

impl Reference {
    fn config(self) -> Config {
        Config {
            variant: match self.variant {
                ReferenceVariant::Lp => Variant::LearnedPrior,
                ReferenceVariant::Fp => Variant::FixedPrior,
                ReferenceVariant::Det => Variant::Deterministic,
            },
            clip: Clip {
                side: self.image_width,
                channels: self.channels,
                past: self.n_past,
                future: self.n_future,
            },
            backbone: Backbone {
                kind: self.backbone,
                width: self.nf,
                features: self.g_dim,
                skip_source: match self.skip_source {
                    ReferenceSkips::LastContext => SkipSource::LastContext,
                    ReferenceSkips::Official => SkipSource::Official,
                    ReferenceSkips::Previous => SkipSource::Previous,
                },
                slope: 0.2,
                norm_eps: 1e-5,
                norm_momentum: 0.1,
                init_std: 0.02,
            },
            recurrent: Recurrent {
                hidden: self.rnn_size,
                latent: self.z_dim,
                predictor_layers: self.predictor_layers,
                posterior_layers: self.posterior_layers,
                prior_layers: self.prior_layers,
            },
            train: Train {
                batch: self.batch,
                frame_stride: 1,
                beta: self.beta,
                lr: self.lr,
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                flip: false,
                micro_batch: 0,
                recompute: false,
                precision: Precision::Full,
            },
            sample: Sample {
                frames: self.n_eval,
                norm: match self.bn_mode {
                    ReferenceNorm::Eval => SampleNorm::Running,
                    ReferenceNorm::BatchStats => SampleNorm::Batch,
                },
            },
        }
    }
}

/// Compares everything in a golden file that is the model's: single networks in training and evaluation mode, the unrolled pass, losses
/// frame by frame, gradients, rollouts with either kind of statistics, losses and parameters over one and three steps (in f64 only: the
/// first steps of Adam are nearly sign(gradient), which f32 rounding flips).
///
/// # Errors
/// When the file is damaged, of another model, or holds entries that nothing computes.
pub fn run(fixture: &Fixture, dtype: DType, tolerance: Tolerance) -> Result<ParityReport> {
    let case = Case { fixture, dtype, config: fixture.config::<Reference>()?.config() };
    let mut checker = Checker::new(fixture, tolerance);
    case.frames(&mut checker, "out", Mode::TRAIN)?;
    case.frames(&mut checker, "eval", Mode::EVAL)?;
    case.recurrent(&mut checker)?;
    case.losses(&mut checker)?;
    case.rollouts(&mut checker)?;
    if dtype == DType::F64 {
        case.steps(&mut checker)?;
    } else {
        for prefix in ["after.", "after3.", "loss.steps"] {
            let reason =
                "several steps are compared in f64: f32 rounding flips the sign-like first steps of Adam";
            checker.skip(prefix, reason);
        }
    }
    for (prefix, owner) in
        [("out.metric.", "vg-metrics"), ("out.best_of_n.", "vg-metrics"), ("out.mnist.", "vg-data")]
    {
        checker.skip(prefix, &format!("data and metrics are not the model's; {owner} has them"));
    }
    checker.finish()
}

struct Case<'a> {
    fixture: &'a Fixture,
    dtype: DType,
    config: Config,
}

impl Case<'_> {
    /// The reference's networks as they are before the first step; its names are ours.
    fn trainer(&self) -> Result<SvgTrainer> {
        let init = Init { device: Device::Cpu, dtype: self.dtype, seed: 0 };
        let tensors = self.fixture.group("param.", self.dtype)?;
        let source = self.fixture.path().display().to_string();
        SvgTrainer::over(ParamStore::load(tensors, source, self.dtype, &init.device)?, &self.config, &init)
    }

    fn input(&self, name: &str) -> Result<Tensor> {
        self.fixture.tensor(&format!("in.{name}"), self.dtype)
    }

    /// Clips `[B, C, T, H, W]`, with all frames of the file.
    fn clips(&self) -> Result<Tensor> {
        Ok(self.input("x")?.permute((1, 2, 0, 3, 4))?.contiguous()?)
    }

    /// The clips of a training step.
    fn training_clips(&self) -> Result<Tensor> {
        Ok(self.clips()?.narrow(2, 0, self.config.clip_spec().frames)?.contiguous()?)
    }

    /// Random numbers of training step `step`, from 0.
    fn draws(&self, step: usize) -> Result<Draws> {
        let latent = self.config.latent() > 0;
        Ok(Draws { eps: if latent { Some(self.input("eps")?.get(step)?) } else { None } })
    }

    /// Encoder and decoder alone.
    fn frames(&self, checker: &mut Checker<'_>, prefix: &str, mode: Mode) -> Result<()> {
        let nets = self.trainer()?;
        let encoded = nets.networks().encoder.forward(&self.input("x")?.get(0)?, mode)?;
        checker.output(&format!("{prefix}.encoder.h"), &encoded.vector)?;
        for (k, skip) in encoded.skips.iter().enumerate() {
            checker.output(&format!("{prefix}.encoder.skip{k}"), skip)?;
        }
        let decoder = &nets.networks().decoder;
        let given = decoder.given(&encoded.skips, mode)?;
        let frame = decoder.forward(&self.input("decoder.g")?, &given, mode)?;
        checker.output(&format!("{prefix}.decoder.frame"), &frame)
    }

    /// Three steps of every recurrent network.
    fn recurrent(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (nets, vectors) = (self.trainer()?, self.input("lstm.h")?);
        let (networks, batch, steps) = (nets.networks(), vectors.dim(1)?, vectors.dim(0)?);
        let mut gaussian = |name: &str, network: &GaussianLstm| -> Result<()> {
            let mut states = network.start(batch)?;
            let step = |k| network.step(&vectors.get(k)?, &mut states, Mode::EVAL);
            let found = (0..steps).map(step).collect::<Result<Vec<_>>>()?;
            let all = |of: fn(&crate::Gaussian) -> &Tensor| {
                Tensor::stack(&found.iter().map(of).collect::<Vec<_>>(), 0)
            };
            checker.output(&format!("out.{name}.mu"), &all(|g| &g.mu)?)?;
            checker.output(&format!("out.{name}.logvar"), &all(|g| &g.log_var)?)
        };
        if let Some(latent) = &networks.latent {
            gaussian("posterior", &latent.posterior)?;
        }
        if let Some(prior) = networks.prior() {
            gaussian("prior", prior)?;
        }
        let latents = if networks.latent.is_some() { Some(self.input("lstm.z")?) } else { None };
        let mut states = networks.predictor.start(batch)?;
        let step = |k| {
            let z = latents.as_ref().map(|z| z.get(k)).transpose()?;
            networks.predictor.step(&vectors.get(k)?, z.as_ref(), &mut states, Mode::EVAL)
        };
        let found = (0..steps).map(step).collect::<Result<Vec<_>>>()?;
        checker.output("out.frame_predictor.g", &Tensor::stack(&found, 0)?)
    }

    /// The pass of a training step, and the gradients of its losses.
    fn losses(&self, checker: &mut Checker<'_>) -> Result<()> {
        let nets = self.trainer()?;
        let out = nets.unroll(&self.training_clips()?, &self.draws(0)?)?;
        let frame = |k| Ok::<_, vg_core::Error>(out.frames.narrow(1, k, 1)?.squeeze(1)?);
        checker.output("out.unroll.first", &frame(0)?)?;
        checker.output("out.unroll.last", &frame(out.frames.dim(1)? - 1)?)?;
        checker.output("loss.mse_t", &out.mse)?;
        for (gaussians, suffix) in [(&out.posteriors, ""), (&out.priors, "_p")] {
            if gaussians.is_empty() {
                continue;
            }
            let mu: Vec<&Tensor> = gaussians.iter().map(|g| &g.mu).collect();
            let log_var: Vec<&Tensor> = gaussians.iter().map(|g| &g.log_var).collect();
            checker.output(&format!("out.unroll.mu{suffix}"), &Tensor::stack(&mu, 0)?)?;
            checker.output(&format!("out.unroll.logvar{suffix}"), &Tensor::stack(&log_var, 0)?)?;
        }
        let losses = out.losses(self.config.train.beta)?;
        if let (Some(kl), Some(by_frame)) = (&losses.kl, &out.kl) {
            checker.output("loss.kl_t", by_frame)?;
            checker.output("loss.mse", &losses.mse)?;
            self.compare(checker, &nets, "kl", kl)?;
        }
        self.compare(checker, &nets, "total", &losses.total)
    }

    /// A loss with its gradients.
    fn compare(&self, checker: &mut Checker<'_>, nets: &SvgTrainer, name: &str, loss: &Tensor) -> Result<()> {
        checker.output(&format!("loss.{name}"), loss)?;
        let grads = backward(loss)?;
        let named =
            |(name, var): (String, candle_core::Var)| Some((name, grads.get(var.as_tensor())?.clone()));
        let found: BTreeMap<String, Tensor> = nets.store().vars("").into_iter().filter_map(named).collect();
        checker.gradients(name, &found)
    }

    /// Clips that go on from given frames, with running and with batch statistics, and with the posterior's means.
    fn rollouts(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (nets, given) = (self.trainer()?, frames(&self.clips()?)?);
        let latent = self.config.latent() > 0;
        let eps = if latent { self.input("eps_rollout")? } else { self.input("lstm.h")? };
        let run = |latents, mode| {
            rollout(nets.networks(), &self.config, &given, self.config.sample.frames, latents, mode)
        };
        let made = run(Latents::Drawn(&eps), Mode::EVAL)?;
        checker.output("eval.rollout.frames", &Tensor::stack(&made, 0)?)?;
        if latent {
            let made = run(Latents::PosteriorMean, Mode::EVAL)?;
            checker.output("eval.rollout_posterior.last", &made[made.len() - 1])?;
        }
        let made = run(Latents::Drawn(&eps), Mode { norm: NormStats::Batch, ..Mode::EVAL })?;
        checker.output("out.rollout.last", &made[made.len() - 1])
    }

    /// Three training steps.
    fn steps(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (mut nets, clips) = (self.trainer()?, self.training_clips()?);
        let mut found = Vec::with_capacity(3);
        for step in 0..3 {
            let losses = nets.train(&clips, &self.draws(step)?)?;
            let parts = [Some(losses.total), Some(losses.mse), losses.kl];
            found.push(Tensor::stack(&parts.into_iter().flatten().collect::<Vec<_>>(), 0)?);
            let stage = ["after", "", "after3"][step];
            if !stage.is_empty() {
                checker.changes(stage, &nets.store().tensors(""))?;
            }
        }
        checker.output("loss.steps", &Tensor::stack(&found, 0)?)
    }
}
