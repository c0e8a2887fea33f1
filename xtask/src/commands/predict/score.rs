//! Scores of futures.

use std::collections::BTreeMap;

use candle_core::Tensor;
use serde::Serialize;
use vg_metrics::best_of::{BestOf, BestScores, CurvePoint};

use super::metric::{Future, Metric};
use super::{Task, turns};

/// A contestant's scores.
#[derive(Serialize)]
pub(super) struct Result {
    pub model: String,
    pub samples: u64,
    /// By metric; entry k of a curve is the k-th predicted frame.
    pub metrics: BTreeMap<&'static str, BestScores>,
    /// By metric, of the same futures: mean over the predicted frames right behind turns, see [`turns::BEHIND`]. Empty where none is known.
    pub behind_turns: BTreeMap<&'static str, CurvePoint>,
}

/// Scores while they come in.
pub(super) struct Scores {
    model: String,
    samples: u64,
    metrics: Vec<(&'static str, BestOf)>,
    /// For each clip, which of its predicted frames are right behind a turn.
    behind: Vec<Vec<bool>>,
}

impl Scores {
    pub(super) fn new(model: &str, samples: u64, frames: usize, metrics: &[Metric]) -> anyhow::Result<Self> {
        let one = |metric: &Metric| -> anyhow::Result<_> {
            Ok((metric.name, BestOf::new(metric.better, samples as usize, frames)?))
        };
        let metrics = metrics.iter().map(one).collect::<anyhow::Result<_>>()?;
        Ok(Self { model: model.to_owned(), samples, metrics, behind: Vec::new() })
    }

    /// Takes in all futures of some clips, with the clips' turns.
    pub(super) fn take(&mut self, chunk: &Chunk<'_>, turns: &[Vec<usize>]) -> anyhow::Result<()> {
        for (values, (_, scores)) in chunk.values.iter().zip(&mut self.metrics) {
            values.iter().try_for_each(|of_clip| scores.push(of_clip))?;
        }
        self.behind.extend(turns.iter().map(|turns| turns::behind(turns, chunk.task)));
        Ok(())
    }

    /// The metric that chooses what is shown.
    pub(super) fn first(&self) -> &BestOf {
        &self.metrics[0].1
    }

    pub(super) fn finish(&self) -> anyhow::Result<Result> {
        let of = |(name, scores): &(&'static str, BestOf)| Ok((*name, scores.scores()?));
        let metrics = self.metrics.iter().map(of).collect::<anyhow::Result<_>>()?;
        let behind = self.metrics.iter().map(|(name, scores)| (*name, marked(scores, &self.behind)));
        let behind_turns = if self.behind.iter().flatten().any(|behind| *behind) {
            behind.collect()
        } else {
            BTreeMap::new()
        };
        Ok(Result { model: self.model.clone(), samples: self.samples, metrics, behind_turns })
    }
}

/// Over the marked frames of the chosen futures; `marks` are those of each clip.
fn marked(scores: &BestOf, marks: &[Vec<bool>]) -> CurvePoint {
    let marked = scores.best_samples().zip(marks).flat_map(|((_, values), marks)| {
        values.iter().zip(marks).filter(|(_, mark)| **mark).map(|(value, _)| *value)
    });
    CurvePoint::of(marked.collect::<Vec<f64>>().into_iter())
}

/// Futures of some clips, of which only the scores are kept.
pub(super) struct Chunk<'a> {
    task: &'a Task,
    metrics: &'a [Metric],
    truth: Vec<Future>,
    /// `[metrics][clips]`, each the frames of one future after the other.
    values: Vec<Vec<Vec<f64>>>,
}

impl<'a> Chunk<'a> {
    pub(super) fn new(truth: &Tensor, task: &'a Task, metrics: &'a [Metric]) -> anyhow::Result<Self> {
        let truth =
            (0..truth.dim(0)?).map(|n| Future::of(truth, n, task)).collect::<anyhow::Result<Vec<_>>>()?;
        let values = vec![vec![Vec::new(); truth.len()]; metrics.len()];
        Ok(Self { task, metrics, truth, values })
    }

    /// Scores one future of every clip, `[B, C, T, H, W]`.
    pub(super) fn push(&mut self, future: &Tensor) -> anyhow::Result<()> {
        for (clip, real) in self.truth.iter().enumerate() {
            let made = Future::of(future, clip, self.task)?;
            for (metric, values) in self.metrics.iter().zip(&mut self.values) {
                values[clip].extend(metric.values(real, &made)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vg_metrics::Better;

    #[test]
    fn marked_frames_are_those_of_the_future_that_is_best_over_all_frames() {
        let mut scores = BestOf::new(Better::Higher, 2, 3).unwrap();
        // The second future is better where it is marked, but not on the whole.
        scores.push(&[9.0, 1.0, 9.0, 2.0, 8.0, 2.0]).unwrap();
        scores.push(&[1.0, 1.0, 1.0, 4.0, 5.0, 6.0]).unwrap();
        let of = |marks: [[bool; 3]; 2]| marked(&scores, &marks.map(|m| m.to_vec())).mean;
        assert_eq!(of([[false, true, false], [false, true, true]]), Some((1.0 + 5.0 + 6.0) / 3.0));
        assert_eq!(of([[false; 3]; 2]), None);
    }
}
