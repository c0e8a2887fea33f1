//! The baseline: an autoencoder, and a mixture over the codes of the latest clips.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};

use candle_core::{DType, Device, Tensor};
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::grad::backward;
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::optim::{ParamGroup, step_all};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, Result};

use super::clips;
use crate::config::Config;
use crate::discriminator::Discriminator;
use crate::generator::Generator;
use crate::layers::Initial;
use crate::loss::squared_error;
use crate::mixture::{Mixture, PREFIX};
use crate::sample::VganSampler;

/// Name of the kept codes in a checkpoint.
const CODES: &str = "codes";

/// Encoder, decoder, optimizer and the latest codes of a run.
pub struct AutoencoderTrainer {
    config: Config,
    store: ParamStore,
    encoder: Discriminator,
    decoder: Generator,
    params: ParamGroup,
    /// Codes of the latest clips, oldest first; each is from the weights of its step.
    codes: VecDeque<Vec<f64>>,
    /// Fitted to them when it is asked for.
    mixture: OnceCell<Mixture>,
    init: Init,
}

impl AutoencoderTrainer {
    /// Networks over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        let source = store.source();
        let (w, dim) = (Initial::Narrow, config.generator.z_dim);
        let encoder = Discriminator::with(&source.pp("encoder"), config, dim, w, w)?;
        let decoder = Generator::new(&source.pp("generator"), config)?;
        store.finish()?;
        let params = ParamGroup::new("autoencoder", store.vars(""), config.train.adam())?;
        Ok(Self {
            config: config.clone(),
            store,
            encoder,
            decoder,
            params,
            codes: VecDeque::new(),
            mixture: OnceCell::new(),
            init: init.clone(),
        })
    }

    /// The mixture over the latest codes.
    pub fn mixture(&self) -> &Mixture {
        self.mixture.get_or_init(|| {
            let codes: Vec<f64> = self.codes.iter().flatten().copied().collect();
            Mixture::fit(&codes, self.config.generator.z_dim, &self.config.mixture)
        })
    }

    fn keep(&mut self, codes: &Tensor) -> Result<()> {
        self.codes.extend(codes.to_dtype(DType::F64)?.to_vec2::<f64>()?);
        let extra = self.codes.len().saturating_sub(self.config.mixture.codes);
        self.codes.drain(..extra);
        self.mixture = OnceCell::new();
        Ok(())
    }
}

impl Trainer for AutoencoderTrainer {
    fn needs(&self) -> BatchSpec {
        clips(&self.config)
    }

    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let codes = self.encoder.forward(&batch.clips, Mode::TRAIN)?;
        let made = self.decoder.forward(&codes, Mode::TRAIN)?;
        let loss = squared_error(&made.video, &batch.clips)?;
        let grads = backward(&loss)?;
        step_all([(&mut self.params, &grads)])?;
        cx.log.loss("reconstruction", &loss);
        self.keep(&codes.detach())
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        let mixture = self.mixture().clone();
        Ok(Box::new(VganSampler::of_mixture(&self.config, &self.decoder, mixture, &self.init)))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.store.parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.mixture().tensors()?.iter().try_for_each(|(name, tensor)| to.model(name, tensor))?;
        self.store.save(to, &["encoder"])?;
        if !self.codes.is_empty() {
            let values: Vec<f64> = self.codes.iter().flatten().copied().collect();
            let shape = (self.codes.len(), self.config.generator.z_dim);
            to.train(CODES, &Tensor::from_vec(values, shape, &Device::Cpu)?)?;
        }
        self.params.save(to)
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        let mut saved = from.model_tensors().clone();
        saved.retain(|name, _| !name.starts_with(PREFIX));
        let other = from.train_all("encoder").into_iter();
        saved.extend(other.map(|(k, t)| (format!("encoder.{k}"), t)));
        self.store.restore(&saved, &from.path().display().to_string())?;
        self.codes.clear();
        self.mixture = OnceCell::new();
        if let Some(codes) = from.train_tensor(CODES) {
            self.keep(codes)?;
        }
        self.params.load(from)
    }
}
