//! Comparison with golden files of the PyTorch reference (feature `testing`).

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor, Var};
use serde::Deserialize;
use vg_core::Result;
use vg_core::config::ModelConfig;
use vg_core::grad::backward;
use vg_core::loss::hinge;
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::ops::rows::take_rows;
use vg_core::testing::{Checker, Fixture, ParityReport, Tolerance};

use crate::config::{
    Classes, Clip, Config, Discriminator, Generator, Latent, Norm, OutputNorm, Train, Upsampling,
};
use crate::draws::{Draw, Draws};
use crate::layers::Run;
use crate::standing::pass;
use crate::train::{DvdganTrainer, Real};

/// Configuration as the reference writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    frames: usize,
    condition_frames: usize,
    classes: usize,
    z_dim: usize,
    embed_dim: usize,
    g_width: usize,
    g_mult: Vec<usize>,
    d_width: usize,
    d_mult: Vec<usize>,
    spatial_frames: usize,
    spatial_attention: Vec<usize>,
    temporal_attention: Vec<usize>,
    upsample: Upsampling,
    project_skip: bool,
    output_norm: OutputNorm,
    sn_eps: f64,
    bn_momentum: f64,
    lr_g: f64,
    lr_d: f64,
    d_steps: usize,
    ema_decay: f64,
    ema_start: u64,
    batch: usize,
}

impl Reference {
    fn config(self) -> Result<Config> {
        let base = Config::preset("paper")?;
        let (groups, counts) = if self.classes > 1 {
            (vec!["class".to_owned()], vec![self.classes])
        } else {
            Default::default()
        };
        Ok(Config {
            clip: Clip {
                frames: self.frames,
                given: self.condition_frames,
                side: 4 << (self.g_mult.len() - 1),
                channels: 3,
            },
            classes: Classes { groups, counts },
            latent: Latent { noise: self.z_dim, embedding: self.embed_dim },
            generator: Generator {
                width: self.g_width,
                multipliers: self.g_mult,
                upsampling: self.upsample,
                always_project_skip: self.project_skip,
                output_norm: self.output_norm,
                ..base.generator
            },
            discriminator: Discriminator {
                width: self.d_width,
                multipliers: self.d_mult,
                frames: self.spatial_frames,
                spatial_attention: self.spatial_attention,
                temporal_attention: self.temporal_attention,
            },
            norm: Norm { spectral_eps: self.sn_eps, momentum: self.bn_momentum, ..base.norm },
            train: Train {
                batch: self.batch,
                d_steps: self.d_steps,
                lr_generator: self.lr_g,
                lr_discriminator: self.lr_d,
                average: self.ema_decay,
                average_start: self.ema_start,
                ..base.train
            },
            sample: crate::config::Sample { standing_batches: 0, standing_clips: self.batch },
        })
    }
}

/// Compares everything in a golden file: generated clips, states made of given frames, scores, losses and gradients at the initial
/// parameters, clips with stored and with standing statistics, losses, parameters, power iterations, running statistics and averages over
/// one and three steps (in f64 only: with a first decay of 0, Adam's steps are nearly sign(gradient), which f32 rounding flips).
///
/// # Errors
/// When the file is damaged, of another model, or holds entries that nothing computes.
pub fn run(fixture: &Fixture, dtype: DType, tolerance: Tolerance) -> Result<ParityReport> {
    let config = fixture.config::<Reference>()?.config()?;
    let case = Case { fixture, dtype, config };
    let mut checker = Checker::new(fixture, tolerance);
    case.outputs(&mut checker)?;
    case.generator_loss(&mut checker)?;
    case.evaluation(&mut checker)?;
    if dtype == DType::F64 {
        case.leave_vanishing(&mut checker);
        case.steps(&mut checker)?;
    } else {
        let reason = "several steps are compared in f64: f32 rounding flips the sign-like steps of Adam";
        ["after.", "after3.", "loss.steps"].into_iter().for_each(|prefix| checker.skip(prefix, reason));
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
    fn trainer(&self) -> Result<DvdganTrainer> {
        let init = Init { device: Device::Cpu, dtype: self.dtype, seed: 0 };
        let tensors = self.fixture.group("param.", self.dtype)?;
        let what = self.fixture.path().display().to_string();
        DvdganTrainer::over(ParamStore::load(tensors, what, self.dtype, &init.device)?, &self.config, &init)
    }

    fn input(&self, name: &str) -> Result<Tensor> {
        self.fixture.tensor(&format!("in.{name}"), self.dtype)
    }

    fn numbers(&self, tensor: &Tensor) -> Result<Vec<usize>> {
        let values: Vec<i64> = tensor.to_dtype(DType::I64)?.flatten_all()?.to_vec1()?;
        Ok(values.into_iter().map(|v| v as usize).collect())
    }

    /// Real clips of draw `draw` of step `step`.
    fn real(&self, step: usize, draw: usize) -> Result<Real> {
        let (batch, clip) = (self.config.train.batch, &self.config.clip);
        let first = step * (self.config.train.d_steps + 1) + draw;
        let frames = self.input("real")?.narrow(0, first, batch)?.contiguous()?;
        let rows = (batch * clip.frames, clip.channels, clip.side, clip.side);
        let classes = self.numbers(&self.input("real_labels")?.narrow(0, first, batch)?)?;
        Ok(Real { frames: frames.reshape(rows)?, classes })
    }

    fn draw(&self, step: usize, draw: usize) -> Result<Draw> {
        let of = |name: &str| -> Result<Tensor> { Ok(self.input(name)?.get(step)?.get(draw)?) };
        Ok(Draw {
            z: of("z")?,
            classes: self.numbers(&of("labels")?)?,
            real_frames: self.numbers(&of("real_frames")?)?,
            fake_frames: self.numbers(&of("fake_frames")?)?,
        })
    }

    /// Rows of generated frames as the reference has them, `[B, T, C, H, W]`.
    fn video(&self, rows: &Tensor) -> Result<Tensor> {
        let (_, channels, height, width) = rows.dims4()?;
        Ok(rows.reshape(((), self.config.generated(), channels, height, width))?)
    }

    /// Clips, states, scores, and the discriminators' losses with their gradients.
    fn outputs(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (nets, real, draw) = (self.trainer()?, self.real(0, 0)?, self.draw(0, 0)?);
        if self.config.clip.given > 0 {
            let again = self.trainer()?;
            let given = self.given(&real.frames)?;
            for (k, state) in again.generator().states(Some(&given), Mode::TRAIN)?.iter().enumerate() {
                checker.output(&format!("out.condition.{k}"), state)?;
            }
        }
        let fake = nets.generate(&draw, Some(&real), Run::train(&self.config))?;
        checker.output("out.generator.video", &self.video(&fake)?)?;
        let (spatial, temporal) = nets.scores(&real, &draw, &fake, Mode::TRAIN)?;
        for (name, [fake, real]) in [("spatial", spatial), ("temporal", temporal)] {
            checker.output(&format!("out.{name}.fake"), &fake)?;
            checker.output(&format!("out.{name}.real"), &real)?;
            compare(checker, &nets, &format!("d_{name}"), &hinge(&real, &fake)?)?;
        }
        Ok(())
    }

    /// Given frames of whole clips.
    fn given(&self, frames: &Tensor) -> Result<Tensor> {
        let (rows, clip) = (frames.dim(0)?, &self.config.clip);
        let given: Vec<usize> = (0..rows).filter(|row| row % clip.frames < clip.given).collect();
        take_rows(frames, &given)
    }

    fn generator_loss(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (nets, real, draw) = (self.trainer()?, self.real(0, 0)?, self.draw(0, 0)?);
        let fake = nets.generate(&draw, Some(&real), Run::train(&self.config))?;
        let [spatial, temporal] = nets.generator_losses(Some(&real), &draw, &fake, Mode::TRAIN)?;
        checker.output("loss.g_spatial", &spatial)?;
        checker.output("loss.g_temporal", &temporal)?;
        compare(checker, &nets, "g", &(spatial + temporal)?)
    }

    /// With the statistics that are there, then with those of a few batches.
    fn evaluation(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (nets, real, draw) = (self.trainer()?, self.real(0, 0)?, self.draw(0, 0)?);
        let clips = |nets: &DvdganTrainer| self.video(&nets.generate(&draw, Some(&real), Run::eval())?);
        checker.output("eval.generator.video", &clips(&nets)?)?;
        let z = self.input("standing_z")?;
        for number in 0..z.dim(0)? {
            let classes = self.numbers(&self.input("standing_labels")?.get(number)?)?;
            let given = if self.config.clip.given > 0 {
                let context = self.input("standing_context")?.get(number)?;
                let (clips, frames, channels, height, width) = context.dims5()?;
                Some(context.reshape((clips * frames, channels, height, width))?)
            } else {
                None
            };
            pass(nets.generator(), &z.get(number)?, &classes, given.as_ref(), number + 1)?;
        }
        for (name, statistic) in nets.store().tensors("generator.") {
            let own = name.trim_start_matches("generator.");
            if own.ends_with(".mean") || own.ends_with(".var") {
                checker.output(&format!("eval.standing.{own}"), &statistic)?;
            }
        }
        checker.output("eval.standing.video", &clips(&nets)?)
    }

    /// Leaves out what walks at random: biases whose gradient is zero but for rounding.
    fn leave_vanishing(&self, checker: &mut Checker<'_>) {
        let last = self.config.stages() - 1;
        for stage in ["after", "after3"] {
            for network in ["generator", "ema"] {
                let mut leave = |s: usize, name: &str| {
                    let reason = "a batch norm behind it takes its effect away; Adam makes steps of rounding";
                    checker.skip(&format!("{stage}.{network}.stages.{s}.{name}.bias"), reason);
                };
                for s in 0..=last {
                    leave(s, "block_a.conv1");
                    leave(s, "block_b.conv1");
                }
                for name in ["block_a.conv2", "block_a.conv_sc", "block_b.conv2", "block_b.conv_sc"] {
                    leave(last, name);
                }
            }
            for name in self.fixture.expected() {
                let network =
                    ["spatial", "temporal"].iter().any(|n| name.starts_with(&format!("{stage}.{n}.")));
                if network && name.ends_with(".bias") && self.fixture.noise(&name) > 1e-5 {
                    let reason =
                        "its effects on real and generated clips cancel; Adam makes steps of rounding";
                    checker.skip(&name, reason);
                }
            }
        }
    }

    fn steps(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (mut nets, updates) = (self.trainer()?, self.config.train.d_steps);
        let mut losses = Vec::with_capacity(3);
        for step in 0..3 {
            let draws = Draws {
                discriminators: (0..updates).map(|k| self.draw(step, k)).collect::<Result<_>>()?,
                generator: self.draw(step, updates)?,
            };
            let real = (0..=updates).map(|k| self.real(step, k)).collect::<Result<Vec<_>>>()?;
            let found = nets.train(&real, &draws)?;
            let all: Vec<Tensor> =
                found.discriminators.iter().flatten().chain(&found.generator).cloned().collect();
            losses.push(Tensor::stack(&all, 0)?);
            let stage = ["after", "", "after3"][step];
            if !stage.is_empty() {
                let mut tensors = nets.store().tensors("");
                let averaged = nets.averaged().tensors("generator.").into_iter();
                tensors.extend(averaged.map(|(name, t)| (name.replacen("generator", "ema", 1), t)));
                let start_of = |name: &str| match name.strip_prefix("ema.") {
                    Some(rest) => format!("generator.{rest}"),
                    None => name.to_owned(),
                };
                checker.changes_from(stage, &tensors, start_of)?;
            }
        }
        checker.output("loss.steps", &Tensor::stack(&losses, 0)?)
    }
}

/// A loss with its gradients.
fn compare(checker: &mut Checker<'_>, nets: &DvdganTrainer, loss: &str, value: &Tensor) -> Result<()> {
    checker.output(&format!("loss.{loss}"), value)?;
    let grads = backward(value)?;
    let named = |(name, var): (String, Var)| Some((name, grads.get(var.as_tensor())?.clone()));
    let found: BTreeMap<String, Tensor> = nets.store().vars("").into_iter().filter_map(named).collect();
    checker.gradients(loss, &found)
}
