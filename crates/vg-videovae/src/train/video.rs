//! Stage 2 on a given encoder, and joint training.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::model::Init;
use vg_core::nn::{Buffer, Mode, ParamStore};
use vg_core::ops::conv::keep_weights;
use vg_core::optim::{ParamGroup, update};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, Error, Result, expect_dims};

use super::needs;
use crate::attributes::{infer, one_hot};
use crate::config::Config;
use crate::draws::{Draws, Supervision};
use crate::loss::{Losses, attribute_sum};
use crate::networks::{Networks, STAGE_1};
use crate::sample::VideovaeSampler;
use crate::unroll::{Unrolled, encode, frames, unroll};

/// Networks and optimizer of a run.
pub struct VideoTrainer {
    config: Config,
    store: ParamStore,
    networks: Networks,
    frequencies: Vec<Buffer>,
    params: ParamGroup,
    init: Init,
}

impl VideoTrainer {
    /// Networks over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        let source = store.source();
        let networks = Networks::new(&source, config)?;
        let frequencies = frequencies(&source, config)?;
        store.finish()?;
        let joint = config.train.train_encoder;
        let learning = store.vars("").into_iter().filter(|(name, _)| joint || !is_stage_1(name));
        let params = ParamGroup::new("networks", learning, config.train.adam())?;
        Ok(Self { config: config.clone(), store, networks, frequencies, params, init: init.clone() })
    }

    /// The parameters and running statistics by name.
    pub fn store(&self) -> &ParamStore {
        &self.store
    }

    /// The networks.
    pub fn networks(&self) -> &Networks {
        &self.networks
    }

    /// The pass over clips `[B, C, T, H, W]` that a step makes, its losses, and the labels behind the attribute vectors. These are `fixed`, or
    /// the given ones and for clips without any those that their frames vote for.
    ///
    /// # Errors
    /// As [`unroll`].
    pub fn losses(
        &self,
        clips: &Tensor,
        given: &Supervision,
        fixed: Option<&[Vec<u32>]>,
        draws: &Draws,
    ) -> Result<(Unrolled, Losses, Vec<Vec<u32>>)> {
        let (config, networks) = (&self.config, &self.networks);
        let targets = frames(clips)?;
        let joint = config.train.train_encoder;
        let known = match fixed {
            Some(labels) => Some(labels.to_vec()),
            None => given.labelled.iter().all(|labelled| *labelled).then(|| given.labels.clone()),
        };
        let still = || encode(networks, &targets, None, Mode::EVAL);
        let (vectors, labels) = match (joint, known) {
            (true, Some(labels)) => (None, labels),
            (true, None) => (None, self.voted(&still()?, given)?),
            (false, known) => {
                let vectors = still()?.detach();
                let labels = known.map_or_else(|| self.voted(&vectors, given), Ok)?;
                (Some(vectors), labels)
            }
        };
        let vectors = match vectors {
            Some(vectors) => vectors,
            None => encode(networks, &targets, draws.keep.as_ref(), Mode::TRAIN)?,
        };
        let attributes = one_hot(config, &labels, self.init.dtype, &self.init.device)?;
        let out = unroll(networks, config, &targets, &vectors, &attributes, &draws.eps, Mode::TRAIN)?;
        let told = if joint {
            let logits = networks.attributes.forward(&vectors, Mode::TRAIN)?;
            attribute_sum(&logits, given, targets.len())?
        } else {
            None
        };
        let weight = config.train.attribute_weight;
        let losses = Losses::new(&out.rec, &out.kl, config.train.beta, told.map(|loss| (loss, weight)))?;
        Ok((out, losses, labels))
    }

    /// Labels of all clips: the given ones, and for clips without any the vote of their frames, whose `vectors` are of evaluation mode.
    fn voted(&self, vectors: &Tensor, given: &Supervision) -> Result<Vec<Vec<u32>>> {
        let votes = infer(&self.networks.attributes, vectors, given.labelled.len())?;
        let group = |(labels, votes): (&Vec<u32>, Vec<u32>)| {
            let chosen = labels.iter().zip(votes).zip(&given.labelled);
            chosen.map(|((label, vote), labelled)| if *labelled { *label } else { vote }).collect()
        };
        Ok(given.labels.iter().zip(votes).map(group).collect())
    }

    /// One update; the losses are those before it.
    ///
    /// # Errors
    /// As [`VideoTrainer::losses`], and those of the backward pass.
    pub fn train(
        &mut self,
        clips: &Tensor,
        given: &Supervision,
        fixed: Option<&[Vec<u32>]>,
        draws: &Draws,
    ) -> Result<Losses> {
        // The decoder runs once a time step, in both directions.
        let _kept = keep_weights();
        let (out, losses, labels) = self.losses(clips, given, fixed, draws)?;
        drop(out);
        update([(&mut self.params, &losses.total)])?;
        for (buffer, labels) in self.frequencies.iter().zip(&labels) {
            let mut counts = buffer.to_vec()?;
            labels.iter().for_each(|label| counts[*label as usize] += 1.0);
            buffer.set(&Tensor::new(counts, &self.init.device)?)?;
        }
        Ok(losses)
    }
}

/// How often each class was seen in training, a tensor a label group.
pub(crate) fn frequencies(source: &vg_core::nn::ParamSource, config: &Config) -> Result<Vec<Buffer>> {
    let source = source.pp("frequencies");
    let groups = config.groups().into_iter();
    groups.map(|group| source.buffer(&group.name, &[group.classes], 0.0)).collect()
}

fn is_stage_1(name: &str) -> bool {
    name.split('.').next().is_some_and(|network| STAGE_1.contains(&network))
}

impl Trainer for VideoTrainer {
    fn needs(&self) -> BatchSpec {
        needs(&self.config)
    }

    /// Logs the losses divided by the number of clips.
    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        let (clip, count) = (self.config.clip_spec(), self.config.train.batch);
        let (channels, frames, height, width) = (clip.channels, clip.frames, clip.height, clip.width);
        expect_dims!("clips", batch.clips.dims(), [(count), (channels), (frames), (height), (width)])?;
        let given = Supervision::of(&self.config, batch)?;
        let draws = Draws::new(&self.config, &cx.rng, self.init.dtype, &self.init.device)?;
        self.params.set_lr(self.config.train.lr_at(cx.epoch()));
        let losses = self.train(&batch.clips, &given, None, &draws)?;
        let a_clip = |sum: &Tensor| sum.detach().to_dtype(DType::F64)? / count as f64;
        cx.log.loss("loss", &a_clip(&losses.total)?);
        cx.log.tensor("rec", &a_clip(&losses.rec)?);
        cx.log.tensor("kl", &a_clip(&losses.kl)?);
        if let Some(loss) = &losses.attributes {
            cx.log.tensor("attributes", &a_clip(loss)?);
        }
        Ok(())
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        Ok(Box::new(VideovaeSampler::of_video(&self.config, &self.networks, &self.frequencies, &self.init)))
    }

    /// Of the networks that are trained.
    fn parameters(&self) -> BTreeMap<String, usize> {
        let mut all = self.store.parameters();
        if !self.config.train.train_encoder {
            all.retain(|network, _| !STAGE_1.contains(&network.as_str()));
        }
        all
    }

    fn save(&self, to: &mut CheckpointWriter) -> Result<()> {
        self.store.save(to, &[])?;
        self.params.save(to)
    }

    fn load(&mut self, from: &CheckpointReader) -> Result<()> {
        self.store.load_from(from, &[])?;
        self.params.load(from)
    }

    /// Takes the encoder and the attribute heads from a run of stage 1, or of another VideoVAE.
    fn start_from(&mut self, from: &CheckpointReader) -> Result<()> {
        let found = from.model_tensors().iter().filter(|(name, _)| is_stage_1(name));
        let found: BTreeMap<String, Tensor> = found.map(|(name, t)| (name.clone(), t.clone())).collect();
        let what = from.path().display().to_string();
        if found.is_empty() {
            return Err(Error::Data(format!(
                "{what} has no attribute classifier (it is of {}); give a run of videovae with `variant = \"classifier\"`, such as preset weizmann-classifier",
                from.model()
            )));
        }
        let mut tensors = self.store.tensors("");
        tensors.retain(|name, _| !is_stage_1(name));
        tensors.extend(found);
        self.store.restore(&tensors, &what)
    }

    fn missing_start(&self) -> Option<&'static str> {
        let text = "encoder and attribute heads stay as they are in this stage, and these are random: train them first with a classifier \
                    preset, such as weizmann-classifier, and hand them over with `--from RUN`; or train all at once with \
                    `--set train.train_encoder=true`";
        (!self.config.train.train_encoder).then_some(text)
    }
}
