//! Where clips go on in a way that nothing before tells: the bounces of `digits`.

use anyhow::Result;
use vg_core::{Batch, batch};
use vg_data::{Dataset, Start};

use super::Task;

/// Predicted frames behind a turn that are scored apart.
pub(super) const BEHIND: usize = 3;

/// The turns of each clip of a batch, which has the labels [`batch::CLIP_NUMBER`]: see [`Dataset::turns`]. None of sets that know of none.
pub(super) fn of(batch: &Batch, dataset: &dyn Dataset, task: &Task) -> Result<Vec<Vec<usize>>> {
    // They are counted from the clip's first frame, and one by one.
    let known = dataset.start() == Start::First && task.stride == 1;
    let numbers = batch.label(batch::CLIP_NUMBER)?.to_vec1::<u32>()?;
    let of = |number: u32| if known { dataset.turns(number as usize) } else { Vec::new() };
    Ok(numbers.into_iter().map(of).collect())
}

/// For each predicted frame, whether it is one of the first [`BEHIND`] that show what came of a turn.
pub(super) fn behind(turns: &[usize], task: &Task) -> Vec<bool> {
    let shows = |frame: usize| turns.iter().any(|turn| (1..=BEHIND).contains(&frame.saturating_sub(*turn)));
    (task.past..task.clip.frames).map(shows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vg_core::{ClipSpec, Pixels};

    #[test]
    fn frames_behind_a_turn_are_those_that_show_it() {
        let clip = ClipSpec { frames: 12, height: 8, width: 8, channels: 1 };
        let task = Task { clip, past: 4, pixels: Pixels::Unit, stride: 1 };
        let mut want = vec![false; 8];
        want[0] = true; // frame 4, the third behind the turn at frame 1
        want[6..8].fill(true); // frames 10 and 11, behind the turn at frame 9
        assert_eq!(behind(&[1, 9], &task), want);
        assert_eq!(behind(&[], &task), [false; 8]);
    }
}
