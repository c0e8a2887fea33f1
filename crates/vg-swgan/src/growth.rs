//! The schedule of growth: level of detail, batch and learning rate by clips shown.

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::sizes::{SMALLEST, split};

/// What holds at a point of the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Level of detail: 0 is full size, fractions fade.
    pub lod: f64,
    /// r: clips are 2^r pixels high and wide.
    pub size: usize,
    /// Weight of the size below.
    pub fade: f64,
    /// Clips a step.
    pub batch: usize,
    /// Learning rate.
    pub lr: f64,
}

impl Stage {
    /// The stage at a level of detail.
    pub fn at(config: &Config, lod: f64) -> Self {
        let (size, fade) = split(config.levels(), lod);
        let (g, k) = (&config.growth, size - SMALLEST);
        Self { lod, size, fade, batch: g.batch[k], lr: g.lr[k] }
    }
}

/// Level of detail after `clips` clips of a run that starts at `growth.start_lod`.
///
/// Source: specification, section 4: a stable phase and a fade for each size but the last, which is stable for good.
pub fn lod(config: &Config, clips: u64) -> f64 {
    let (g, smallest) = (&config.growth, config.levels() - SMALLEST);
    let (stable, fade) = (&g.stable_clips, &g.fade_clips);
    let mut clips = clips as f64;
    let mut whole = (g.start_lod.ceil() as usize).min(smallest);
    // A run that starts within a fade has its first part behind it, and the stable phase before.
    let mut skipped = whole as f64 - g.start_lod;
    while whole > 0 {
        let k = smallest - whole;
        let (still, fading) =
            if skipped > 0.0 { (0.0, fade[k] as f64) } else { (stable[k] as f64, fade[k] as f64) };
        let done = match clips - still {
            _ if fading == 0.0 => {
                if clips < still {
                    0.0
                } else {
                    1.0
                }
            }
            shown => skipped + shown.max(0.0) / fading,
        };
        if done < 1.0 {
            return whole as f64 - done;
        }
        clips -= still + fading * (1.0 - skipped);
        skipped = 0.0;
        whole -= 1;
    }
    0.0
}

/// Where a run stands in the schedule; saved with it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Clips shown to the critic.
    pub clips: u64,
    /// Steps made.
    pub steps: u64,
    /// Level of detail since the last look at the schedule.
    pub lod: f64,
}

impl Position {
    /// Before the first step.
    pub fn start(config: &Config) -> Self {
        Self { clips: 0, steps: 0, lod: lod(config, 0) }
    }

    /// After a step that showed `clips` clips: the schedule is looked at every [`refresh_steps`](crate::config::Growth::refresh_steps) steps.
    pub fn advance(&mut self, config: &Config, clips: usize) {
        self.clips += clips as u64;
        self.steps += 1;
        if self.steps.is_multiple_of(config.growth.refresh_steps) {
            self.lod = lod(config, self.clips);
        }
    }
}

/// Whether the optimizers start afresh between two levels of detail: at the start and the end of each fade.
pub fn resets(before: f64, after: f64) -> bool {
    before.floor() != after.floor() || before.ceil() != after.ceil()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vg_core::config::ModelConfig;

    /// The table of section 4.
    #[test]
    fn the_papers_schedule() {
        let config = Config::preset("paper").unwrap();
        let table = [
            (0, 6.0, 4),
            (600, 6.0, 4),
            (900, 5.5, 8),
            (1200, 5.0, 8),
            (1800, 5.0, 8),
            (2400, 4.0, 16),
            (3600, 3.0, 32),
            (4800, 2.0, 64),
            (6000, 1.0, 128),
            (6600, 1.0, 128),
            (6900, 0.5, 256),
            (7200, 0.0, 256),
            (12000, 0.0, 256),
        ];
        for (thousands, want, side) in table {
            let found = lod(&config, thousands * 1000);
            assert!((found - want).abs() < 1e-9, "{thousands}: {found}, not {want}");
            let stage = Stage::at(&config, found);
            assert_eq!(1 << stage.size, side, "{thousands}");
            assert_eq!(stage.lr, if side == 128 { 1.5e-3 } else { 1e-3 });
        }
    }

    #[test]
    fn a_run_may_start_anywhere() {
        let mut config = Config::preset("paper").unwrap();
        config.growth.start_lod = 2.25;
        assert_eq!(lod(&config, 0), 2.25);
        assert!((lod(&config, 75_000) - 2.125).abs() < 1e-12);
        assert_eq!(lod(&config, 150_000), 2.0);
        assert_eq!(lod(&config, 750_000), 2.0);
        assert!((lod(&config, 1_050_000) - 1.5).abs() < 1e-12);
        config.growth.start_lod = 0.0;
        assert_eq!(lod(&config, 9), 0.0);
    }

    #[test]
    fn optimizers_are_reset_at_both_ends_of_a_fade() {
        assert!(resets(2.0, 1.9) && resets(1.1, 1.0) && resets(2.0, 1.0));
        assert!(!resets(1.9, 1.8) && !resets(1.0, 1.0));
    }
}
