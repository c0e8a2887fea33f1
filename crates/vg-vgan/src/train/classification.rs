//! The action classifier: cross-entropy over labels.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::grad::backward;
use vg_core::loss::cross_entropy;
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::optim::{ParamGroup, step_all};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, ClassCount, Error, Result, Rng};

use super::clips;
use crate::classifier::Classifier;
use crate::config::{Config, Start, Trained};
use crate::loss::accuracy;
use crate::sample::VganSampler;

/// Label group that is learned.
const LABELS: &str = "class";

/// Which channels are kept: `[n, channels]`, 0 or 1.
fn draw_keep(config: &Config, n: usize, rng: &Rng, dtype: DType, device: &Device) -> Result<Tensor> {
    let (channels, dropout) = (8 * config.discriminator.channels, config.classifier.dropout);
    let mut stream = rng.stream("dropout");
    let keep: Vec<f64> = (0..n * channels).map(|_| if stream.unit() < dropout { 0.0 } else { 1.0 }).collect();
    Ok(Tensor::from_vec(keep, (n, channels), device)?.to_dtype(dtype)?)
}

/// The network and optimizer of a run.
pub struct ClassifierTrainer {
    config: Config,
    store: ParamStore,
    classifier: Classifier,
    params: ParamGroup,
    init: Init,
}

impl ClassifierTrainer {
    /// The network over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        let classifier = Classifier::new(&store.source().pp("classifier"), config)?;
        store.finish()?;
        let learning = match config.classifier.trained {
            Trained::All => "",
            Trained::Last => "classifier.conv5.",
        };
        let params = ParamGroup::new("classifier", store.vars(learning), config.train.adam())?;
        Ok(Self { config: config.clone(), store, classifier, params, init: init.clone() })
    }

    /// The classifier.
    pub fn classifier(&self) -> &Classifier {
        &self.classifier
    }
}

impl Trainer for ClassifierTrainer {
    fn needs(&self) -> BatchSpec {
        let classes = ClassCount::new(self.config.classifier.classes, "classifier.classes");
        BatchSpec {
            labels: vec![LABELS.to_owned()],
            classes: BTreeMap::from([(LABELS.to_owned(), classes)]),
            ..clips(&self.config)
        }
    }

    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let labels = batch.label(LABELS)?;
        let keep = draw_keep(&self.config, batch.clips.dim(0)?, &cx.rng, self.init.dtype, &self.init.device)?;
        let logits = self.classifier.forward(&batch.clips, &keep, Mode::TRAIN)?;
        let loss = cross_entropy(&logits, labels)?;
        let grads = backward(&loss)?;
        step_all([(&mut self.params, &grads)])?;
        cx.log.loss("classifier", &loss);
        cx.log.number("accuracy", accuracy(&logits, labels)?);
        Ok(())
    }

    fn evaluate(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let labels = batch.label(LABELS)?;
        let logits = self.classifier.classify(&batch.clips)?;
        cx.log.loss("classifier", &cross_entropy(&logits, labels)?);
        cx.log.number("accuracy", accuracy(&logits, labels)?);
        Ok(())
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        Ok(Box::new(VganSampler::of_classifier(&self.config, &self.classifier, &self.init)))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        BTreeMap::from([("classifier".to_owned(), self.params.parameters())])
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, &[])?;
        self.params.save(to)
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        self.store.load_from(from, &[])?;
        self.params.load(from)
    }

    /// Takes all layers but the last from the discriminator of a VGAN run.
    fn start_from(&mut self, from: &CheckpointReader) -> Result<()> {
        if self.config.classifier.start == Start::Random {
            let problem = "is \"random\"; set it to \"discriminator\" to start from a checkpoint";
            return Err(Error::config("classifier.start", problem));
        }
        let found = from.train_all("discriminator");
        if found.is_empty() {
            return Err(Error::Data(format!(
                "{} has no discriminator (it is of {}); give a checkpoint of a VGAN with one",
                from.path().display(),
                from.model()
            )));
        }
        let mut tensors = self.store.tensors("");
        let layers = found.into_iter().filter(|(k, _)| !k.starts_with("conv5."));
        tensors.extend(layers.map(|(k, t)| (format!("classifier.{k}"), t)));
        self.store.restore(&tensors, &from.path().display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vg_core::config::ModelConfig;

    #[test]
    fn half_of_the_channels_are_kept() {
        let config = Config::preset("paper").unwrap();
        let keep = draw_keep(&config, 64, &Rng::new(1), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(keep.dims(), [64, 512]);
        let mean = keep.mean_all().unwrap().to_scalar::<f32>().unwrap();
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
