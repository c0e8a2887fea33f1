//! Comparison with golden files of the PyTorch reference (feature `testing`).

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use vg_core::config::ModelConfig;
use vg_core::grad::{Grads, backward};
use vg_core::model::Init;
use vg_core::nn::ParamStore;
use vg_core::ops::segments::Segments;
use vg_core::ops::warp::warp;
use vg_core::testing::{Checker, Fixture, ParityReport, Tolerance};
use vg_core::{Pixels, Result};

use crate::config::{
    Clip, Config, Discriminator, Features, Generator, Loss, Maps, Norm, Sample, Start, Train,
};
use crate::convert::from_official;
use crate::layers::Run;
use crate::loss::{confidence, masked_l1};
use crate::networks::lead_in;
use crate::rollout::{Options, rollout};
use crate::source::{Square, face, foreground, pyramid};
use crate::train::{Carry, Chunk, Outcome, Vid2vidTrainer, Whose};

/// Configuration as the reference writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(non_snake_case, reason = "names of the official options")]
struct Reference {
    height: usize,
    width: usize,
    batch: usize,
    n_frames_load: usize,
    label_nc: usize,
    input_nc: usize,
    use_instance: bool,
    feat_num: usize,
    nef: usize,
    n_downsample_E: usize,
    norm_E: Norm,
    ngf: usize,
    n_downsample_G: usize,
    n_blocks: usize,
    n_blocks_local: usize,
    n_scales_spatial: usize,
    n_frames_G: usize,
    norm: Norm,
    fg: bool,
    fg_labels: Vec<usize>,
    no_flow: bool,
    no_first_img: bool,
    ndf: usize,
    n_layers_D: usize,
    num_D: usize,
    n_frames_D: usize,
    n_scales_temporal: usize,
    add_face_disc: bool,
    no_vgg: bool,
    vgg_widths: [usize; 5],
    no_ganFeat: bool,
    raw_terms: bool,
    g_warp: bool,
    lambda_feat: f64,
    lambda_F: f64,
    lambda_T: f64,
    lr: f64,
    beta1: f64,
    TTUR: bool,
    n_frames_bp: usize,
    finest_only: bool,
    /// Of the benchmark alone.
    #[serde(default, rename = "bench_chunks")]
    _bench_chunks: usize,
}

impl Reference {
    fn config(&self) -> Result<Config> {
        let base = Config::preset("paper-512")?;
        let when = |on: bool, weight: f64| if on { weight } else { 0.0 };
        Ok(Config {
            clip: Clip {
                height: self.height,
                width: self.width,
                frames: self.n_frames_load + self.n_frames_G - 1,
            },
            maps: Maps { classes: self.label_nc, channels: self.input_nc, instances: self.use_instance },
            features: Features {
                channels: self.feat_num,
                width: self.nef,
                downsamplings: self.n_downsample_E,
                norm: self.norm_E,
            },
            generator: Generator {
                width: self.ngf,
                downsamplings: self.n_downsample_G,
                blocks: self.n_blocks,
                local_blocks: self.n_blocks_local,
                scales: self.n_scales_spatial,
                frames: self.n_frames_G,
                flow: !self.no_flow,
                foreground: if self.fg { self.fg_labels.clone() } else { Vec::new() },
                ..base.generator
            },
            discriminator: Discriminator {
                width: self.ndf,
                layers: self.n_layers_D,
                scales: self.num_D,
                frames: self.n_frames_D,
                temporal_scales: self.n_scales_temporal,
                face: self.add_face_disc,
            },
            loss: Loss {
                feature_matching: when(!self.no_ganFeat, self.lambda_feat),
                perceptual: when(!self.no_vgg, self.lambda_feat),
                flow: self.lambda_F,
                warp: self.lambda_T,
                output_warp: when(self.g_warp, self.lambda_T),
                raw: self.raw_terms,
                ..base.loss
            },
            train: Train {
                batch: self.batch,
                frames: 3 * self.n_frames_load,
                longest: 3 * self.n_frames_load,
                chunk: self.n_frames_load,
                backprop_frames: self.n_frames_bp,
                grow_every: 0,
                fix_coarse_epochs: if self.finest_only { 1 } else { 0 },
                lr: self.lr,
                beta1: self.beta1,
                two_rates: self.TTUR,
                ..base.train
            },
            sample: Sample { start: if self.no_first_img { Start::Nothing } else { Start::Given } },
        })
    }
}

/// Our names of terms by the reference's.
const TERMS: [(&str, &str); 25] = [
    ("G_VGG", "perceptual"),
    ("G_GAN", "image_gan"),
    ("G_GAN_Feat", "image_features"),
    ("D_real", "image_real"),
    ("D_fake", "image_fake"),
    ("G_Warp", "output_warp"),
    ("F_Flow", "flow"),
    ("F_Warp", "warp"),
    ("W", "mask"),
    ("G_f_GAN", "face_gan"),
    ("G_f_GAN_Feat", "face_features"),
    ("D_f_real", "face_real"),
    ("D_f_fake", "face_fake"),
    ("D_T_real0", "temporal_real_0"),
    ("D_T_fake0", "temporal_fake_0"),
    ("G_T_GAN0", "temporal_gan_0"),
    ("G_T_GAN_Feat0", "temporal_features_0"),
    ("D_T_real1", "temporal_real_1"),
    ("D_T_fake1", "temporal_fake_1"),
    ("G_T_GAN1", "temporal_gan_1"),
    ("G_T_GAN_Feat1", "temporal_features_1"),
    ("D_T_real2", "temporal_real_2"),
    ("D_T_fake2", "temporal_fake_2"),
    ("G_T_GAN2", "temporal_gan_2"),
    ("G_T_GAN_Feat2", "temporal_features_2"),
];

/// Compares everything in a golden file: single operations, outputs of all networks, a chunk with all its losses and gradients at the initial
/// parameters, sampled frames, and losses and parameters over one and three updates (these in f64 only).
///
/// # Errors
/// When the file is damaged, of another model, or holds entries that nothing computes.
pub fn run(fixture: &Fixture, dtype: DType, tolerance: Tolerance) -> Result<ParityReport> {
    let reference = fixture.config::<Reference>()?;
    if reference.norm != Norm::Batch {
        let problem = "generators and discriminators have batch norm here";
        return Err(vg_core::Error::Unsupported(format!("{}: {problem}", fixture.path().display())));
    }
    let case = Case { fixture, dtype, config: reference.config()?, reference };
    let mut checker = Checker::new(fixture, tolerance);
    for stage in ["after", "after3"] {
        for statistic in ["running_mean", "running_var"] {
            for name in
                fixture.group(&format!("{stage}.E."), dtype)?.keys().filter(|n| n.ends_with(statistic))
            {
                checker
                    .skip(&format!("{stage}.E.{name}"), "statistics of instance norms, which nothing uses");
            }
        }
    }
    if dtype != DType::F64 {
        case.leave_rounding(&mut checker)?;
    }
    case.units(&mut checker)?;
    case.networks(&mut checker)?;
    case.chunk(&mut checker)?;
    case.inference(&mut checker)?;
    if dtype == DType::F64 {
        case.leave_vanishing(&mut checker)?;
        case.steps(&mut checker)?;
    } else {
        let reason = "several updates are compared in f64: f32 rounding flips the sign-like steps of Adam";
        ["after.", "after3.", "loss.steps"].into_iter().for_each(|prefix| checker.skip(prefix, reason));
    }
    checker.finish()
}

struct Case<'a> {
    fixture: &'a Fixture,
    dtype: DType,
    config: Config,
    reference: Reference,
}

/// Frames `[B, T, C, H, W]` or maps `[B, T, H, W]` by time step.
fn by_step(clips: &Tensor) -> Result<Vec<Tensor>> {
    (0..clips.dim(1)?).map(|t| Ok(clips.narrow(1, t, 1)?.squeeze(1)?.contiguous()?)).collect()
}

impl Case<'_> {
    /// The reference's networks as they are before the first update; its names are ours.
    fn trainer(&self) -> Result<Vid2vidTrainer> {
        let init = Init { device: Device::Cpu, dtype: self.dtype, seed: 0 };
        let mut tensors = BTreeMap::new();
        let mut vgg = BTreeMap::new();
        let all = self.fixture.group("param.", self.dtype)?;
        let networks: std::collections::BTreeSet<&str> =
            all.keys().filter_map(|k| k.split('.').next()).collect();
        for network in networks {
            let own = self.fixture.group(&format!("param.{network}."), self.dtype)?;
            if network == "VGG" { vgg = own } else { tensors.extend(from_official(network, own)) }
        }
        let what = self.fixture.path().display().to_string();
        let store = ParamStore::load(tensors, what, self.dtype, &init.device)?;
        let mut trainer = Vid2vidTrainer::over(store, &self.config, &init)?;
        if !vgg.is_empty() {
            trainer.set_perceptual(vgg, &self.reference.vgg_widths)?;
        }
        Ok(trainer)
    }

    fn input(&self, name: &str) -> Result<Tensor> {
        self.fixture.tensor(&format!("in.{name}"), self.dtype)
    }

    /// Source channels of all frames.
    fn source(&self) -> Result<Vec<Tensor>> {
        let mut maps = BTreeMap::new();
        let name = &self.config.map_names()[0];
        let first = if self.config.maps.classes > 0 {
            self.input("labels")?.unsqueeze(1)?
        } else {
            self.input("source")?.transpose(1, 2)?.contiguous()?
        };
        maps.insert(name.clone(), first);
        if self.config.maps.instances {
            maps.insert(crate::source::INSTANCES.to_owned(), self.input("instances")?.unsqueeze(1)?);
        }
        let frames = self.input("frames")?.dim(1)?;
        crate::source::source(&maps, self.config.train.batch, frames, &self.config, self.dtype)
    }

    /// The chunk of update `k`, counted from 0.
    fn part(&self, k: usize) -> Result<Chunk> {
        let (n, past) = (self.config.train.chunk, self.config.past());
        let wide = k * n..(k + 1) * n + past;
        let narrow = k * n..(k + 1) * n;
        let instances =
            if self.config.features.channels > 0 { by_step(&self.input("instances")?)? } else { Vec::new() };
        let mut strided = BTreeMap::new();
        for scale in 1..self.config.discriminator.temporal_scales {
            let name = format!("in.flow_T{scale}.{}", k + 1);
            if self.fixture.has(&name) {
                strided.insert(scale, self.fixture.tensor(&name, self.dtype)?.flatten(1, 2)?);
            }
        }
        Ok(Chunk {
            source: self.source()?[wide.clone()].to_vec(),
            frames: by_step(&self.input("frames")?)?[wide.clone()].to_vec(),
            instances: instances.get(wide).map(<[Tensor]>::to_vec).unwrap_or_default(),
            flow: by_step(&self.input("flow")?)?[narrow.clone()].to_vec(),
            confidence: by_step(&self.input("conf")?)?[narrow].to_vec(),
            strided,
        })
    }

    /// Single operations.
    fn units(&self, checker: &mut Checker<'_>) -> Result<()> {
        let source = self.source()?;
        checker.output("out.unit.source", &source[0].unsqueeze(1)?)?;
        let levels = pyramid(&source[0], 2)?;
        checker.output("out.unit.source_half", &levels[1].unsqueeze(1)?)?;
        for (name, level) in ["out.unit.foreground", "out.unit.foreground_half"].into_iter().zip(&levels) {
            if let Some(mask) = foreground(level, &self.config)? {
                checker.output(name, &mask)?;
            }
        }
        if self.fixture.has("out.unit.face_region") {
            let of_first: Vec<Tensor> =
                self.part(0)?.source.iter().map(|s| s.narrow(0, 0, 1)).collect::<candle_core::Result<_>>()?;
            if let Some(Square { top, left, side }) = face(&Tensor::cat(&of_first, 0)?)? {
                let ends = [top, top + side, left, left + side].map(|end| end as f64);
                checker.output("out.unit.face_region", &Tensor::new(&ends, &Device::Cpu)?)?;
            }
        }
        let image = candle_core::Var::from_tensor(&self.input("unit.warp.image")?)?;
        let flow = candle_core::Var::from_tensor(&self.input("unit.warp.flow")?)?;
        let warped = warp(image.as_tensor(), flow.as_tensor())?;
        checker.output("out.unit.warp", &warped)?;
        let grads = backward(&(warped * self.input("unit.warp.weight")?)?.sum_all()?)?;
        let found = [("image", &image), ("flow", &flow)]
            .into_iter()
            .filter_map(|(name, var)| Some((name.to_owned(), grads.get(var.as_tensor())?.clone())));
        checker.gradients("unit_warp", &found.collect())?;
        checker.output("out.unit.warp_zero", &warp(image.as_tensor(), &flow.zeros_like()?)?)?;

        let current = self.input("unit.conf.current")?;
        let first = |clips: Tensor| Ok::<_, vg_core::Error>(by_step(&clips)?[0].narrow(0, 0, 1)?);
        let (previous, flow) = (first(self.input("frames")?)?, first(self.input("flow")?)?);
        checker.output("out.unit.conf", &confidence(&current, &previous, &flow)?)?;
        let masked = masked_l1(&current, &previous, &first(self.input("conf")?)?)?;
        checker.output("loss.unit_masked_l1", &masked)?;
        if self.fixture.has("out.unit.instance_mean") {
            let ids = by_step(&self.input("instances")?)?[0].narrow(1, 0, 16)?.narrow(2, 0, 32)?;
            let means = Segments::new(&ids)?.mean(&self.input("unit.instance_mean")?)?;
            checker.output("out.unit.instance_mean", &means)?;
        }
        Ok(())
    }

    /// One call of every kind of network at the initial parameters.
    fn networks(&self, checker: &mut Checker<'_>) -> Result<()> {
        let trainer = self.trainer()?;
        self.generators(checker, &trainer)?;
        let features = trainer.judges().image.forward(&self.input("D.x")?, Run::TRAIN)?;
        for (size, column) in features.iter().enumerate() {
            for (layer, output) in column.iter().enumerate() {
                checker.output(&format!("out.D.{size}.{layer}"), output)?;
            }
        }
        if let Some(vgg) = trainer.perceptual() {
            for (level, features) in vgg.forward(&self.input("VGG.x")?)?.iter().enumerate() {
                checker.output(&format!("out.VGG.{level}"), features)?;
            }
        }
        if let Some(encoder) = &trainer.makers().encoder {
            let (x, ids) = (self.input("E.x")?, Segments::new(&self.input("E.instances")?)?);
            let found = encoder.forward(&x, &ids, Run::TRAIN)?;
            checker.output("out.E.features", &found)?;
            checker.output("out.E.before_pooling", &encoder.pixels(&x, Run::TRAIN)?)?;
            let loss = (found * self.input("E.weight")?)?.sum_all()?;
            checker.output("loss.E", &loss)?;
            checker.gradients("E", &named(&trainer, &backward(&loss)?, ""))?;
        }
        Ok(())
    }

    fn generators(&self, checker: &mut Checker<'_>, trainer: &Vid2vidTrainer) -> Result<()> {
        let (mut coarse, mut below): (Vec<_>, Option<_>) = (Vec::new(), None);
        for (scale, generator) in trainer.makers().generators.iter().enumerate() {
            let name = |part: &str| format!("G{scale}.{part}");
            let (source, past) = (self.input(&name("source"))?, self.input(&name("prev"))?);
            let mask = self.input(&name("fg_mask"))?;
            let mask = (!self.config.generator.foreground.is_empty()).then_some(&mask);
            let prepared = generator.prepare(&source, 1, &coarse, Run::TRAIN)?;
            let step = |mask, raw_only| {
                generator.step(&prepared[0], &past, mask, below.as_ref(), raw_only, Run::TRAIN)
            };
            let made = step(mask, false)?;
            let parts = [
                ("final", Some(&made.frame)),
                ("flow", made.flow.as_ref()),
                ("mask", made.mask.as_ref()),
                ("raw", Some(&made.raw)),
                ("img_feat", Some(&made.image_features)),
                ("flow_feat", made.flow_features.as_ref()),
                ("fg_feat", made.foreground_features.as_ref()),
            ];
            for (part, tensor) in parts {
                if let Some(tensor) = tensor {
                    checker.output(&format!("out.{}", name(part)), tensor)?;
                }
            }
            checker.output(&format!("out.G{scale}_raw.final"), &step(mask, true)?.frame)?;
            let plain = step(None, false)?;
            checker.output(&format!("out.G{scale}_nofg.final"), &plain.frame)?;
            checker.output(&format!("out.G{scale}_noflow.final"), &plain.raw)?;
            (coarse, below) = (prepared, Some(made));
        }
        Ok(())
    }

    /// The first chunk with all its losses and gradients.
    fn chunk(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (trainer, part) = (self.trainer()?, self.part(0)?);
        let Outcome { terms, totals, made, .. } = trainer.losses(&part, &Carry::default())?;
        let stacked = |all: Vec<Option<Tensor>>| -> Result<Option<Tensor>> {
            let all: Option<Vec<Tensor>> = all.into_iter().collect();
            Ok(all.map(|all| Tensor::stack(&all, 1)).transpose()?)
        };
        let of = |f: fn(&crate::Generated) -> Option<Tensor>| stacked(made.finest.iter().map(f).collect());
        for (name, value) in [
            ("final", of(|m| Some(m.frame.clone()))?),
            ("raw", of(|m| Some(m.raw.clone()))?),
            ("flow", of(|m| m.flow.clone())?),
            ("mask", of(|m| m.mask.clone())?),
        ] {
            if let Some(value) = value {
                checker.output(&format!("out.chunk.{name}"), &value)?;
            }
        }
        for (level, frames) in made.levels.iter().enumerate().skip(1) {
            checker.output(&format!("out.chunk.level{level}"), &Tensor::stack(frames, 1)?)?;
        }
        for term in &terms {
            let known = TERMS.iter().find(|(_, ours)| *ours == term.name);
            let official = known.map_or(term.name, |(official, _)| *official);
            if !self.fixture.has(&format!("loss.{official}")) {
                continue;
            }
            checker.output(&format!("loss.{official}"), &term.value)?;
            if term.whose == Whose::Generator && term.value.track_op() {
                let grads = backward(&term.value)?;
                checker.gradients(official, &named(&trainer, &grads, ""))?;
            }
        }
        for (whose, total) in &totals {
            let name = official_total(*whose);
            checker.output(&format!("loss.{name}"), total)?;
            checker.gradients(&name, &named(&trainer, &backward(total)?, ""))?;
        }
        Ok(())
    }

    /// The frames of the first chunk, one by one.
    fn inference(&self, checker: &mut Checker<'_>) -> Result<()> {
        let (trainer, part, config) = (self.trainer()?, self.part(0)?, &self.config);
        let one = |all: &[Tensor]| -> Result<Vec<Tensor>> {
            all.iter().map(|t| Ok(t.narrow(0, 0, 1)?.contiguous()?)).collect()
        };
        let (source, frames, ids) = (one(&part.source)?, one(&part.frames)?, one(&part.instances)?);
        let maps = trainer.makers().with_features(&source, &frames, &ids, Run::SAMPLE)?;
        let mut past = lead_in(&frames[..config.past()], config)?;
        let mut found = Vec::new();
        for t in 0..config.train.chunk {
            let raw_only = t == 0 && config.starts_from_nothing();
            let options = Options { raw_only, backprop: 1, finest_only: false };
            let window = &maps[t..t + config.generator.frames];
            let made = rollout(&trainer.makers().generators, config, window, &past, options, Run::SAMPLE)?;
            past = made.past;
            found.extend(made.finest.into_iter().map(|made| made.frame));
        }
        let found = Tensor::stack(&found, 1)?;
        checker.output("out.inference.frames", &found)?;
        // The reference truncates where we round.
        let values: Vec<f64> = found.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
        let truncated: Vec<f64> =
            values.iter().map(|v| ((v + 1.0) * 127.5).clamp(0.0, 255.0).floor()).collect();
        debug_assert!(
            values
                .iter()
                .zip(&truncated)
                .all(|(v, t)| (f64::from(Pixels::Symmetric.encode(*v as f32)) - t).abs() <= 1.0)
        );
        let pixels = Tensor::from_vec(truncated, found.shape(), &Device::Cpu)?;
        // Rounding may move a value by one of 255.
        checker.output_within("out.inference.pixels", &pixels, 1.0 / 128.0)
    }

    /// Biases in front of a norm, whose gradient is zero but for rounding.
    fn vanishing(&self) -> Result<Vec<String>> {
        let tensors = self.fixture.group("param.", self.dtype)?;
        let is_norm = |layer: &str| tensors.contains_key(&format!("{layer}.running_mean"));
        let silent = |name: &&String| {
            let Some((layer, "bias")) = name.rsplit_once('.') else { return false };
            !is_norm(layer) && neighbour(layer, 1).is_some_and(|next| is_norm(&next))
        };
        Ok(tensors.keys().filter(silent).cloned().collect())
    }

    /// Leaves out what walks at random over updates: these biases, and the means that follow them.
    fn leave_vanishing(&self, checker: &mut Checker<'_>) -> Result<()> {
        let means = self
            .fixture
            .group("param.", self.dtype)?
            .into_keys()
            .filter(|name| name.ends_with("running_mean"));
        for name in self.vanishing()?.into_iter().chain(means) {
            for stage in ["after", "after3"] {
                let reason = "its gradient is zero in front of a norm; Adam makes steps of rounding";
                checker.skip(&format!("{stage}.{name}"), reason);
            }
        }
        Ok(())
    }

    /// Leaves out gradients that are nothing but rounding, which f32 has too much of where a norm divides by a tiny deviation.
    fn leave_rounding(&self, checker: &mut Checker<'_>) -> Result<()> {
        for name in self.vanishing()? {
            let network = name.split('.').next().unwrap_or_default();
            let total = if network.starts_with('G') || network == "E" { "G" } else { network };
            let total = if network == "D_f" { "D" } else { total };
            let reason = "zero in front of a norm but for rounding";
            checker.skip(&format!("grad.total_{total}.{name}"), reason);
            checker.skip(&format!("grad.E.{name}"), reason);
        }
        Ok(())
    }

    fn steps(&self, checker: &mut Checker<'_>) -> Result<()> {
        let mut trainer = self.trainer()?;
        let (mut carry, mut losses) = (Carry::default(), Vec::new());
        let scales = self.config.discriminator.temporal_scales;
        for step in 0..3 {
            let outcome = trainer.train(&self.part(step)?, &carry)?;
            let mut row = vec![0.0; 2 + scales];
            for (whose, total) in &outcome.totals {
                let column = match whose {
                    Whose::Generator => 0,
                    Whose::Image => 1,
                    Whose::Temporal(scale) => 2 + scale,
                };
                row[column] = total.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            }
            losses.push(Tensor::new(row, &Device::Cpu)?);
            carry = outcome.carry;
            let stage = ["after", "", "after3"][step];
            if !stage.is_empty() {
                checker.changes(stage, &trainer.store().tensors(""))?;
            }
        }
        checker.output("loss.steps", &Tensor::stack(&losses, 0)?)
    }
}

/// The layer `offset` numbers behind `layer`, whose last part is a number.
fn neighbour(layer: &str, offset: i64) -> Option<String> {
    let (path, number) = layer.rsplit_once('.')?;
    Some(format!("{path}.{}", number.parse::<i64>().ok()? + offset))
}

fn official_total(whose: Whose) -> String {
    match whose {
        Whose::Generator => "total_G".to_owned(),
        Whose::Image => "total_D".to_owned(),
        Whose::Temporal(scale) => format!("total_D_T{scale}"),
    }
}

/// Gradients of the trainer's parameters by name.
fn named(trainer: &Vid2vidTrainer, grads: &Grads, prefix: &str) -> BTreeMap<String, Tensor> {
    let all = trainer.store().vars(prefix).into_iter();
    all.filter_map(|(name, var)| Some((name, grads.get(var.as_tensor())?.clone()))).collect()
}
