//! Stage 1: the attribute classifier on single frames.

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::optim::{ParamGroup, update};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, Result, expect_dims};

use super::{needs, pick, select, share};
use crate::attributes::{AttributeNet, arg_max};
use crate::config::Config;
use crate::draws::{Supervision, draw_keep};
use crate::encoder::Encoder;
use crate::loss::attribute_means;
use crate::sample::VideovaeSampler;

/// Networks and optimizer of a run.
pub struct AttributeTrainer {
    config: Config,
    store: ParamStore,
    encoder: Encoder,
    network: AttributeNet,
    params: ParamGroup,
    init: Init,
}

impl AttributeTrainer {
    /// Networks over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        let source = store.source();
        let (encoder, network) = (Encoder::new(&source, config)?, AttributeNet::new(&source, config)?);
        store.finish()?;
        let params = ParamGroup::new("classifier", store.vars(""), config.train.adam())?;
        Ok(Self { config: config.clone(), store, encoder, network, params, init: init.clone() })
    }

    /// The parameters and running statistics by name.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// Logits of frames `[N, C, S, S]`, a tensor a label group; `keep` is as in [`Encoder::forward`].
    ///
    /// # Errors
    /// As [`Encoder::forward`].
    pub fn logits(&self, frames: &Tensor, keep: Option<&Tensor>, mode: Mode) -> Result<Vec<Tensor>> {
        self.network.forward(&self.encoder.forward(frames, keep, mode)?, mode)
    }

    /// One update on frames with labels; the losses of the label groups are those before it.
    ///
    /// # Errors
    /// As [`Encoder::forward`], and those of the backward pass.
    pub fn train(
        &mut self,
        frames: &Tensor,
        labels: &[Vec<u32>],
        keep: &Tensor,
    ) -> Result<(Vec<Tensor>, f64)> {
        let logits = self.logits(frames, Some(keep), Mode::TRAIN)?;
        let losses = attribute_means(&logits, labels)?;
        let right = accuracy(&logits, labels)?;
        update([(&mut self.params, &sum(&losses)?)])?;
        Ok((losses, right))
    }
}

/// Share of right answers, the mean over label groups.
fn accuracy(logits: &[Tensor], labels: &[Vec<u32>]) -> Result<f64> {
    let each = logits.iter().zip(labels).map(|(logits, labels)| Ok(share(&arg_max(logits)?, labels)));
    let each = each.collect::<Result<Vec<_>>>()?;
    Ok(each.iter().sum::<f64>() / each.len().max(1) as f64)
}

fn sum(losses: &[Tensor]) -> Result<Tensor> {
    Ok(Tensor::stack(losses, 0)?.sum_all()?)
}

impl Trainer for AttributeTrainer {
    fn needs(&self) -> BatchSpec {
        let mut spec = needs(&self.config);
        spec.clip.frames = 1;
        spec
    }

    /// Learns from the frames whose clips have labels; a batch without any changes nothing.
    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let (clip, count) = (self.config.clip_spec(), self.config.train.batch);
        let (channels, height, width) = (clip.channels, clip.height, clip.width);
        expect_dims!("frames", batch.clips.dims(), [(count), (channels), 1, (height), (width)])?;
        let given = Supervision::of(&self.config, batch)?;
        let kept = self.config.networks.channels[3];
        let keep = draw_keep(count, kept, &cx.rng, self.init.dtype, &self.init.device)?;
        let rows = given.rows();
        if rows.is_empty() {
            return Ok(());
        }
        self.params.set_lr(self.config.train.lr_at(cx.epoch()));
        let labels: Vec<Vec<u32>> = given.labels.iter().map(|group| pick(group, &rows)).collect();
        let frames = select(&batch.clips.squeeze(2)?, &rows)?;
        let (losses, right) = self.train(&frames, &labels, &select(&keep, &rows)?)?;
        cx.log.loss("classifier", &sum(&losses)?);
        cx.log.number("accuracy", right);
        Ok(())
    }

    fn evaluate(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let given = Supervision::of(&self.config, batch)?;
        let logits = self.logits(&batch.clips.squeeze(2)?, None, Mode::EVAL)?;
        cx.log.loss("classifier", &sum(&attribute_means(&logits, &given.labels)?)?);
        cx.log.number("accuracy", accuracy(&logits, &given.labels)?);
        Ok(())
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        Ok(Box::new(VideovaeSampler::of_classifier(&self.config, &self.encoder, &self.network, &self.init)))
    }

    fn parameters(&self) -> BTreeMap<String, usize> {
        self.store.parameters()
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, &[])?;
        self.params.save(to)
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        self.store.load_from(from, &[])?;
        self.params.load(from)
    }
}
