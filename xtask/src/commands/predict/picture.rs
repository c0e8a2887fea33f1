//! Given frames, truth and futures side by side.

use anyhow::Result;
use candle_core::Tensor;
use vg_data::Frames;
use vg_metrics::best_of::BestOf;

use super::Task;
use crate::clips;

/// Clips that are shown, a row each.
const CLIPS: usize = 8;
/// Futures beside the best one.
pub(super) const OTHERS: usize = 4;

/// A row for each of the first clips: the truth, the best future by `scores`, other futures. Frames that were given have a bright border
/// in all of them. `future` gives the futures of a number; those up to [`OTHERS`] are wanted often.
pub(super) fn rows(
    truth: &Tensor,
    future: impl Fn(usize) -> Result<Tensor>,
    scores: &BestOf,
    samples: usize,
    task: &Task,
) -> Result<Vec<Vec<Frames>>> {
    let frames = |all: &Tensor, clip: usize| {
        let mut frames = Frames::from_tensor(&all.narrow(0, clip, 1)?, task.pixels)?.remove(0);
        clips::mark_given(&mut frames, task.past);
        Ok(frames)
    };
    let row = |(clip, best): (usize, usize)| {
        let others = (0..samples).filter(|n| *n != best).take(OTHERS);
        let made = std::iter::once(best).chain(others).map(|n| frames(&future(n)?, clip));
        std::iter::once(frames(truth, clip)).chain(made).collect::<Result<Vec<_>>>()
    };
    scores.scores()?.chosen.into_iter().enumerate().take(CLIPS).map(row).collect()
}
