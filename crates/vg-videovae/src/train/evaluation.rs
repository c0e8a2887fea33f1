//! The classifier that scores generated clips.

use std::collections::BTreeMap;

use candle_core::Tensor;
use vg_core::checkpoint::{CheckpointReader, CheckpointWriter};
use vg_core::loss::cross_entropy;
use vg_core::model::Init;
use vg_core::nn::{Mode, ParamStore};
use vg_core::ops::upsample::{Interpolation, upsample};
use vg_core::optim::{ParamGroup, update};
use vg_core::sample::Sampler;
use vg_core::train::{StepCx, Trainer};
use vg_core::{Batch, BatchSpec, Result, Rng, expect_dims};

use super::{needs, pick, select, share};
use crate::attributes::arg_max;
use crate::config::Config;
use crate::draws::Supervision;
use crate::evaluation::EvaluationClassifier;
use crate::sample::VideovaeSampler;

/// The network and optimizer of a run.
pub struct EvaluationTrainer {
    config: Config,
    store: ParamStore,
    network: EvaluationClassifier,
    params: ParamGroup,
    init: Init,
}

impl EvaluationTrainer {
    /// The network over a store of parameters.
    pub(crate) fn over(store: ParamStore, config: &Config, init: &Init) -> Result<Self> {
        let network = EvaluationClassifier::new(&store.source(), config)?;
        store.finish()?;
        let params = ParamGroup::new("classifier", store.vars(""), config.train.adam())?;
        Ok(Self { config: config.clone(), store, network, params, init: init.clone() })
    }

    /// Labels of all groups as one.
    fn joint(&self, given: &Supervision) -> Vec<u32> {
        let mut joint = vec![0; given.labelled.len()];
        let mut stride = 1;
        for (labels, classes) in given.labels.iter().zip(&self.config.attributes.classes) {
            joint.iter_mut().zip(labels).for_each(|(joint, label)| *joint += stride * label);
            stride *= *classes as u32;
        }
        joint
    }

    fn checked(&self, batch: &Batch) -> Result<()> {
        let clip = self.config.clip_spec();
        let (channels, frames, height, width) = (clip.channels, clip.frames, clip.height, clip.width);
        expect_dims!("clips", batch.clips.dims(), [B, (channels), (frames), (height), (width)])
    }
}

/// Rows and columns at which the crops of clips start, from 0 to `crop`.
fn draw_corners(clips: usize, crop: usize, rng: &Rng) -> Vec<[usize; 2]> {
    let mut stream = rng.stream("crop");
    (0..clips).map(|_| [stream.below(crop + 1), stream.below(crop + 1)]).collect()
}

/// Cuts each clip of `[B, C, T, S, S]` down by `crop` rows and columns and enlarges what remains to its old size.
fn cropped(clips: &Tensor, corners: &[[usize; 2]], crop: usize) -> Result<Tensor> {
    if crop == 0 {
        return Ok(clips.clone());
    }
    let (_, channels, frames, height, width) = clips.dims5()?;
    let one = |(k, [y, x]): (usize, &[usize; 2])| {
        let part = clips.get(k)?.narrow(2, *y, height - crop)?.narrow(3, *x, width - crop)?.contiguous()?;
        upsample(&part, &[height, width], Interpolation::Linear { align_corners: false })
    };
    let all = corners.iter().enumerate().map(one).collect::<Result<Vec<_>>>()?;
    Ok(Tensor::stack(&all, 0)?.reshape((corners.len(), channels, frames, height, width))?)
}

impl Trainer for EvaluationTrainer {
    fn needs(&self) -> BatchSpec {
        needs(&self.config)
    }

    /// Learns from the clips that have labels; a batch without any changes nothing.
    fn step(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        self.checked(batch)?;
        let given = Supervision::of(&self.config, batch)?;
        let crop = self.config.evaluation.crop;
        let corners = draw_corners(given.labelled.len(), crop, &cx.rng);
        let rows = given.rows();
        if rows.is_empty() {
            return Ok(());
        }
        self.params.set_lr(self.config.train.lr_at(cx.epoch()));
        let clips = select(&cropped(&batch.clips, &corners, crop)?, &rows)?;
        let labels = pick(&self.joint(&given), &rows);
        let logits = self.network.forward(&clips, Mode::TRAIN)?;
        let loss = cross_entropy(&logits, &Tensor::new(labels.as_slice(), logits.device())?)?;
        let right = share(&arg_max(&logits)?, &labels);
        update([(&mut self.params, &loss)])?;
        cx.log.loss("classifier", &loss);
        cx.log.number("accuracy", right);
        Ok(())
    }

    fn evaluate(&mut self, batch: &Batch, cx: &mut StepCx<'_>) -> Result<()> {
        self.checked(batch)?;
        let labels = self.joint(&Supervision::of(&self.config, batch)?);
        let logits = self.network.forward(&batch.clips, Mode::EVAL)?;
        cx.log
            .loss("classifier", &cross_entropy(&logits, &Tensor::new(labels.as_slice(), logits.device())?)?);
        cx.log.number("accuracy", share(&arg_max(&logits)?, &labels));
        Ok(())
    }

    fn sampler(&self) -> Result<Box<dyn Sampler + '_>> {
        Ok(Box::new(VideovaeSampler::of_evaluation(&self.config, &self.network, &self.init)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    #[test]
    fn crops_keep_the_size_and_show_a_part() {
        let ramp = Tensor::arange(0f32, 64.0, &Device::Cpu).unwrap().reshape((1, 1, 1, 8, 8)).unwrap();
        let clips = ramp.broadcast_as((2, 3, 4, 8, 8)).unwrap().contiguous().unwrap();
        let part = cropped(&clips, &[[0, 0], [2, 2]], 2).unwrap();
        assert_eq!(part.dims(), [2, 3, 4, 8, 8]);
        let pixel = |clip: usize, y: usize, x: usize| {
            let frame = part.get(clip).unwrap().get(0).unwrap().get(3).unwrap();
            frame.get(y).unwrap().get(x).unwrap().to_scalar::<f32>().unwrap()
        };
        assert_eq!([pixel(0, 0, 0), pixel(0, 7, 7), pixel(1, 0, 0), pixel(1, 7, 7)], [0.0, 45.0, 18.0, 63.0]);
        assert_eq!(part.dtype(), DType::F32);
        let corners = draw_corners(1000, 5, &Rng::new(1));
        assert!((0..=5).all(|k| corners.iter().any(|c| c[0] == k)) && corners.iter().all(|c| c[1] <= 5));
    }
}
