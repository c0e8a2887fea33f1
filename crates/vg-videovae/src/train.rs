//! Training: the trainer of each variant, and what they share.

mod classifier;
mod evaluation;
mod video;

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::config::ModelConfig;
use vg_core::model::Init;
use vg_core::nn::ParamStore;
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, ClassCount, Pixels, Result, Rng};

pub use self::classifier::AttributeTrainer;
pub use self::evaluation::EvaluationTrainer;
pub use self::video::VideoTrainer;
pub(crate) use self::video::frequencies;
use crate::config::{Config, Variant};
use crate::draws::label_groups;

/// The trainer of whichever variant the configuration names.
pub enum VideovaeTrainer {
    /// Stage 2 or joint training.
    Video(Box<VideoTrainer>),
    /// Stage 1.
    Classifier(Box<AttributeTrainer>),
    /// The classifier that scores clips.
    Evaluation(Box<EvaluationTrainer>),
}

impl VideovaeTrainer {
    /// Networks with fresh weights.
    ///
    /// # Errors
    /// [`vg_core::Error::Config`] for a configuration that does not make sense.
    pub fn new(config: &Config, init: &Init) -> Result<Self> {
        config.validate()?;
        let rng = Rng::new(init.seed).child("weights", 0);
        let store = ParamStore::init(rng, init.dtype, &init.device).precision(config.train.precision);
        Ok(match config.variant {
            Variant::Video => Self::Video(Box::new(VideoTrainer::over(store, config, init)?)),
            Variant::Classifier => Self::Classifier(Box::new(AttributeTrainer::over(store, config, init)?)),
            Variant::EvaluationClassifier => {
                Self::Evaluation(Box::new(EvaluationTrainer::over(store, config, init)?))
            }
        })
    }

    fn inner(&self) -> &dyn Trainer {
        match self {
            Self::Video(t) => &**t,
            Self::Classifier(t) => &**t,
            Self::Evaluation(t) => &**t,
        }
    }

    fn inner_mut(&mut self) -> &mut dyn Trainer {
        match self {
            Self::Video(t) => &mut **t,
            Self::Classifier(t) => &mut **t,
            Self::Evaluation(t) => &mut **t,
        }
    }
}

impl Trainer for VideovaeTrainer {
    fn needs(&self) -> BatchSpec {
        self.inner().needs()
    }

    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        self.inner_mut().step(batch, cx)
    }

    fn evaluate(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        self.inner_mut().evaluate(batch, cx)
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        self.inner().sampler()
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.inner().parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.inner().save(to)
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        self.inner_mut().load(from)
    }

    fn start_from(&mut self, from: &CheckpointReader) -> Result<()> {
        self.inner_mut().start_from(from)
    }

    fn missing_start(&self) -> Option<&'static str> {
        self.inner().missing_start()
    }
}

/// Clips of the configured size with the labels that the configuration uses.
fn needs(config: &Config) -> BatchSpec {
    let (a, t) = (&config.attributes, &config.train);
    let mut spec = BatchSpec {
        frame_stride: t.frame_stride,
        flip: t.flip,
        labels: label_groups(config),
        ..BatchSpec::clips(t.batch, config.clip_spec(), Pixels::Symmetric)
    };
    if a.labelled_fraction > 0.0 {
        let count = |(k, (name, classes)): (usize, (&String, &usize))| {
            (name.clone(), ClassCount::new(*classes, &setting(&a.classes, k)))
        };
        spec.classes = a.names.iter().zip(&a.classes).enumerate().map(count).collect();
    }
    spec
}

/// What sets the number of classes of group `k` and leaves the others, with `{}` in place of the number.
fn setting(classes: &[usize], k: usize) -> String {
    let each = classes.iter().enumerate().map(|(i, n)| if i == k { "{}".to_owned() } else { n.to_string() });
    format!("attributes.classes=[{}]", each.collect::<Vec<_>>().join(","))
}

/// The rows of a tensor.
fn select(all: &Tensor, rows: &[u32]) -> Result<Tensor> {
    Ok(all.contiguous()?.index_select(&Tensor::new(rows, all.device())?, 0)?)
}

/// Entries of a list.
fn pick(all: &[u32], rows: &[u32]) -> Vec<u32> {
    rows.iter().map(|row| all[*row as usize]).collect()
}

/// The share of equal entries.
fn share(found: &[u32], wanted: &[u32]) -> f64 {
    let equal = found.iter().zip(wanted).filter(|(a, b)| a == b).count();
    equal as f64 / wanted.len().max(1) as f64
}
