//! Scores of futures.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use rayon::prelude::*;
use serde::Serialize;
use vg_core::Pixels;
use vg_metrics::best_of::{BestOf, BestScores};
use vg_metrics::similarity::{Psnr, Ssim};
use vg_metrics::{Better, Image};

use super::Task;

/// Names of the metrics; for all of them more is better.
pub(super) const METRICS: [&str; 3] = ["psnr", "ssim", "ssim-svg"];

/// A contestant's scores.
#[derive(Serialize)]
pub(super) struct Result {
    pub model: String,
    pub samples: u64,
    /// By metric; entry k of a curve is the k-th predicted frame.
    pub metrics: BTreeMap<&'static str, BestScores>,
}

/// Scores while they come in.
pub(super) struct Scores {
    model: String,
    samples: u64,
    metrics: Vec<BestOf>,
}

impl Scores {
    pub(super) fn new(model: &str, samples: u64, frames: usize) -> anyhow::Result<Self> {
        let one = |_| BestOf::new(Better::Higher, samples as usize, frames);
        let metrics = METRICS.iter().map(one).collect::<std::result::Result<_, _>>()?;
        Ok(Self { model: model.to_owned(), samples, metrics })
    }

    /// Takes in all futures of some clips.
    pub(super) fn take(&mut self, chunk: &Chunk) -> anyhow::Result<()> {
        for (values, scores) in chunk.values.iter().zip(&mut self.metrics) {
            values.iter().try_for_each(|of_clip| scores.push(of_clip))?;
        }
        Ok(())
    }

    /// The metric that chooses what is shown.
    pub(super) fn first(&self) -> &BestOf {
        &self.metrics[0]
    }

    pub(super) fn finish(&self) -> anyhow::Result<Result> {
        let named = METRICS.iter().zip(&self.metrics);
        let metrics =
            named.map(|(name, scores)| Ok((*name, scores.scores()?))).collect::<anyhow::Result<_>>()?;
        Ok(Result { model: self.model.clone(), samples: self.samples, metrics })
    }
}

/// Futures of some clips, of which only the scores are kept.
pub(super) struct Chunk<'a> {
    task: &'a Task,
    /// Predicted frames of each clip as they really were.
    truth: Vec<Vec<Image>>,
    /// `[metrics][clips]`, each the frames of one future after the other.
    values: Vec<Vec<Vec<f64>>>,
}

impl<'a> Chunk<'a> {
    pub(super) fn new(truth: &Tensor, task: &'a Task) -> anyhow::Result<Self> {
        let truth =
            (0..truth.dim(0)?).map(|clip| images(truth, clip, task)).collect::<anyhow::Result<Vec<_>>>()?;
        let values = vec![vec![Vec::new(); truth.len()]; METRICS.len()];
        Ok(Self { task, truth, values })
    }

    /// Scores one future of every clip, `[B, C, T, H, W]`.
    pub(super) fn push(&mut self, future: &Tensor) -> anyhow::Result<()> {
        for (clip, real) in self.truth.iter().enumerate() {
            let made = images(future, clip, self.task)?;
            let pairs: Vec<(&Image, &Image)> = real.iter().zip(&made).collect();
            for (metric, values) in METRICS.iter().zip(&mut self.values) {
                let value = |(a, b): &(&Image, &Image)| similarity(metric, a, b);
                let frames = pairs.par_iter().map(value).collect::<vg_metrics::Result<Vec<f64>>>()?;
                values[clip].extend(frames);
            }
        }
        Ok(())
    }
}

fn similarity(metric: &str, truth: &Image, made: &Image) -> vg_metrics::Result<f64> {
    match metric {
        "psnr" => Psnr::Channel.value(truth, made, 1.0),
        "ssim" => Ssim::FINN.value(truth, made),
        _ => Ssim::SVG.value(truth, made),
    }
}

/// The predicted frames of a clip, in [0, 1] and not rounded to bytes, as in the official code.
fn images(clips: &Tensor, clip: usize, task: &Task) -> anyhow::Result<Vec<Image>> {
    let (c, h, w) = (task.clip.channels, task.clip.height, task.clip.width);
    let clip = clips.get(clip)?.to_dtype(DType::F64)?;
    let clip = match task.pixels {
        Pixels::Unit => clip,
        Pixels::Symmetric => clip.affine(0.5, 0.5)?,
        Pixels::Centered128 => clip.affine(128.0 / 255.0, 128.0 / 255.0)?,
    };
    let frame = |t: usize| Ok(Image::new([c, h, w], clip.narrow(1, t, 1)?.flatten_all()?.to_vec1::<f64>()?)?);
    (task.past..task.clip.frames).map(frame).collect()
}
