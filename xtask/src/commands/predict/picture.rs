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
const OTHERS: usize = 4;

/// A row for each of the first clips: the truth, the best future by `scores`, other futures. Frames that were given have a bright border
/// in all of them.
pub(super) fn rows(
    truth: &Tensor,
    futures: &[Tensor],
    scores: &BestOf,
    task: &Task,
) -> Result<Vec<Vec<Frames>>> {
    let chosen = scores.scores()?.chosen;
    let mut rows = Vec::new();
    for (clip, best) in chosen.into_iter().enumerate().take(CLIPS) {
        let others = (0..futures.len()).filter(|n| *n != best).take(OTHERS);
        let shown = std::iter::once(truth).chain(std::iter::once(best).chain(others).map(|n| &futures[n]));
        let frames = |all: &Tensor| {
            let mut frames = Frames::from_tensor(&all.narrow(0, clip, 1)?, task.pixels)?.remove(0);
            clips::mark_given(&mut frames, task.past);
            Ok(frames)
        };
        rows.push(shown.map(frames).collect::<Result<_>>()?);
    }
    Ok(rows)
}
