//! Comparison with golden files of the PyTorch reference (feature `testing`).

mod autoencoder;
mod image;
mod video;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde::Deserialize;
use vg_core::config::ModelConfig;
use vg_core::grad::Grads;
use vg_core::model::Init;
use vg_core::nn::ParamStore;
use vg_core::testing::{Checker, Fixture, ParityReport, Tolerance};
use vg_core::{Error, Result};

use crate::config::{Config, FeaturePenalty, Variant};
use crate::convert::{from_reference, to_reference};
use crate::distance::sliced_wasserstein;
use crate::orthogonal::{retract, tangent};
use crate::sizes::LEVELS;

/// Configuration as the reference writes it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    variant: String,
    batch: usize,
    lr: f64,
    beta1: f64,
    beta2: f64,
    eps: f64,
    levels: usize,
    lod: f64,
    channels_base: usize,
    channels_max: usize,
    latent_dim: usize,
    features: usize,
    stddev_group: usize,
    up_taps: usize,
    strict_reference: bool,
    feature_penalty: FeaturePenalty,
    gp_weight: f64,
    fp_weight: f64,
    fp_target: f64,
    ema: f64,
    image_size: usize,
    code_dim: usize,
    width: usize,
    bins: usize,
    shifted: bool,
    #[serde(default)]
    dual_blocks: usize,
}

impl Reference {
    fn config(self) -> Result<Config> {
        let mut config = Config::preset("paper")?;
        config.variant = match self.variant.as_str() {
            "pgswgan3d" => Variant::Video,
            "image" => Variant::Image,
            "swae" => Variant::Autoencoder,
            other => {
                return Err(Error::unknown(
                    "variant of the reference",
                    other,
                    ["pgswgan3d", "image", "swae"],
                ));
            }
        };
        config.clip.side = if config.variant == Variant::Video { 1 << self.levels } else { self.image_size };
        let n = &mut config.networks;
        (n.base_channels, n.max_channels) = (self.channels_base, self.channels_max);
        (n.latent, n.features, n.dual_blocks) = (self.latent_dim, self.features, self.dual_blocks.max(1));
        (n.stddev_group, n.up_taps, n.strict_reference) =
            (self.stddev_group, self.up_taps, self.strict_reference);
        config.image.width = self.width;
        let a = &mut config.autoencoder;
        (a.code, a.width, a.bins, a.shifted) = (self.code_dim, self.width, self.bins, self.shifted);
        let g = &mut config.growth;
        (g.start_lod, g.batch, g.lr) = (self.lod, [self.batch; LEVELS], [self.lr; LEVELS]);
        // The reference's steps are all at one level of detail.
        g.refresh_steps = 1 << 20;
        let p = &mut config.penalties;
        (p.gradient, p.feature, p.target, p.form) =
            (self.gp_weight, self.fp_weight, self.fp_target, self.feature_penalty);
        let t = &mut config.train;
        (t.batch, t.lr, t.beta1, t.beta2, t.eps, t.average) =
            (self.batch, self.lr, self.beta1, self.beta2, self.eps, self.ema);
        config.validate()?;
        Ok(config)
    }
}

/// Compares everything in a golden file: outputs, losses, penalties and their gradients at the initial parameters, orthogonal matrices, the
/// schedule, and parameters after one and three steps (in f64 only: Adam's first steps are nearly sign(gradient), which f32 rounding
/// flips).
///
/// # Errors
/// When the file is damaged, of another model, or holds entries that nothing computes.
pub fn run(fixture: &Fixture, dtype: DType, tolerance: Tolerance) -> Result<ParityReport> {
    let config = fixture.config::<Reference>()?.config()?;
    let mut checker = Checker::new(fixture, tolerance);
    if dtype != DType::F64 {
        for prefix in ["after.", "after3.", "loss.steps", "out.sample.video", "out.sample.pixels"] {
            checker.skip(
                prefix,
                "several steps are compared in f64: f32 rounding flips the sign-like first steps of Adam",
            );
        }
    }
    let case = Case { fixture, dtype, config };
    case.matrices(&mut checker)?;
    match case.config.variant {
        Variant::Video => video::run(&case, &mut checker)?,
        Variant::Image => image::run(&case, &mut checker)?,
        Variant::Autoencoder => autoencoder::run(&case, &mut checker)?,
    }
    checker.finish()
}

struct Case<'a> {
    fixture: &'a Fixture,
    dtype: DType,
    config: Config,
}

impl Case<'_> {
    fn init(&self) -> Init {
        Init { device: Device::Cpu, dtype: self.dtype, seed: 0 }
    }

    fn in_f64(&self) -> bool {
        self.dtype == DType::F64
    }

    /// The reference's parameters before the first step.
    fn store(&self) -> Result<ParamStore> {
        let given = self.fixture.group("param.", self.dtype)?;
        let mut tensors = BTreeMap::new();
        for (name, t) in given {
            let t = if is_row(&name) { t.flatten_all()? } else { t };
            tensors.insert(from_reference(&name).unwrap_or(name), t);
        }
        if self.config.variant == Variant::Video {
            tensors.insert("generator.lod".into(), Tensor::zeros(1, self.dtype, &Device::Cpu)?);
        }
        ParamStore::load(tensors, self.fixture.path().display().to_string(), self.dtype, &Device::Cpu)
    }

    fn input(&self, name: &str) -> Result<Tensor> {
        self.fixture.tensor(&format!("in.{name}"), self.dtype)
    }

    /// Tensors under the reference's names, in its shapes; those of the image model are ours.
    fn named(&self, tensors: impl IntoIterator<Item = (String, Tensor)>) -> Result<BTreeMap<String, Tensor>> {
        let is_ours = self.config.variant == Variant::Image;
        let rename = |(name, t): (String, Tensor)| {
            let name = to_reference(&name).filter(|_| !is_ours).unwrap_or(name);
            let t = if is_row(&name) { t.unsqueeze(0)? } else { t };
            Ok((name, t))
        };
        tensors.into_iter().map(rename).collect()
    }

    /// Gradients of all variables of a store by the reference's names; zeros where a loss does not reach.
    fn gradients(&self, store: &ParamStore, grads: &Grads) -> Result<BTreeMap<String, Tensor>> {
        let of = |(name, var): (String, candle_core::Var)| {
            let found = grads.get(var.as_tensor()).cloned();
            Ok((name, found.map_or_else(|| var.as_detached_tensor().zeros_like(), Ok)?))
        };
        self.named(store.vars("").into_iter().map(of).collect::<Result<Vec<_>>>()?)
    }

    /// Matrices and distances, which the reference computes in f64 in both runs.
    fn matrices(&self, checker: &mut Checker<'_>) -> Result<()> {
        if !self.fixture.has("in.tangent.gradient") {
            return Ok(());
        }
        for (name, p) in self.fixture.group("in.qr.", DType::F64)? {
            checker.output(&format!("out.qr.{name}"), &retract(&p)?)?;
        }
        let given = |name: &str| self.fixture.tensor(name, DType::F64);
        let q = given("out.qr.normal")?;
        checker.output("out.tangent.gradient", &tangent(&q, &given("in.tangent.gradient")?)?)?;
        let (w1, w2) = sliced_wasserstein(&given("in.sliced.x")?, &given("in.sliced.y")?, &q)?;
        checker.output("out.sliced.w1", &Tensor::new(w1, &Device::Cpu)?)?;
        checker.output("out.sliced.w2_squared", &Tensor::new(w2, &Device::Cpu)?)
    }
}

/// Scale and offset of the twin's dual block are rows.
fn is_row(name: &str) -> bool {
    matches!(name, "R.scale" | "R.offset")
}
