//! Time that a run has trained.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use vg_core::train::{StatsLine, read_stats};

/// Shortest and longest time that a run may be given.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// A run with less of its time left than this share has used it: samples and checkpoints take time, too.
const LEFT: f64 = 0.1;

/// A time such as `10m`, for an argument.
///
/// # Errors
/// A sentence for anything else, or a time that no run can have.
pub fn budget(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|e| format!("{e}; write it as 90s, 10m or 1h30m"))?;
    match (SHORTEST..=LONGEST).contains(&time) {
        true => Ok(time),
        false => Err("expected 1ms to 366days".to_owned()),
    }
}

/// The statistics of a run folder; none where there are none yet.
///
/// # Errors
/// Those of the disk.
pub fn stats(folder: &Path) -> Result<Vec<StatsLine>> {
    let path = folder.join("stats.jsonl");
    Ok(if path.exists() { read_stats(&path)? } else { Vec::new() })
}

/// Seconds of training of the steps after `first` up to `last`. A line stands for all steps since the line before it.
pub fn seconds(stats: &[StatsLine], first: u64, last: u64) -> f64 {
    let mut before = 0;
    let mut sum = 0.0;
    for line in stats.iter().take_while(|line| line.step <= last) {
        let steps = line.step.saturating_sub(before.max(first));
        sum += steps as f64 * (line.data_secs + line.step_secs);
        before = line.step;
    }
    sum
}

/// Seconds that are left of a budget; none when it is used up.
pub fn left(budget: f64, used: f64) -> Option<f64> {
    let left = budget - used;
    (left >= LEFT * budget).then_some(left)
}

/// A time for people.
pub fn in_words(secs: f64) -> String {
    let whole = if secs < 10.0 { (1e3 * secs).round() / 1e3 } else { secs.round() };
    humantime::format_duration(Duration::from_secs_f64(whole.max(0.0))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_no_run_can_have_are_refused() {
        assert_eq!(budget("1h 30m").unwrap().as_secs(), 5400);
        for text in ["0s", "10us", "400days", "99999999999999999999h"] {
            assert!(budget(text).is_err(), "{text}");
        }
        assert!(budget("ten").unwrap_err().contains("write it as"));
        assert_eq!((in_words(1.23456), in_words(754.3)), ("1s 235ms".into(), "12m 34s".into()));
    }

    #[test]
    fn a_line_stands_for_the_steps_before_it() {
        let line = |step| StatsLine {
            step,
            clips_seen: 0,
            data_secs: 0.5,
            step_secs: 1.5,
            scalars: Default::default(),
        };
        let stats = [line(2), line(4), line(6)];
        assert_eq!(seconds(&stats, 0, 6), 12.0);
        assert_eq!(seconds(&stats, 0, 5), 8.0);
        assert_eq!(seconds(&stats, 3, 6), 6.0);
        assert_eq!((left(100.0, 40.0), left(100.0, 95.0)), (Some(60.0), None));
    }
}
