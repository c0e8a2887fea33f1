//! From the seconds of all rounds to a verdict.

use serde::Serialize;

use crate::report::median;

/// A difference below this is never called one, however quiet the machine was.
pub const LEAST: f64 = 0.03;

/// Seconds of one entry, a number a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Samples {
    pub base: Vec<f64>,
    /// The base once more, which is how the noise is found.
    pub again: Vec<f64>,
    pub head: Vec<f64>,
}

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Slower,
    Faster,
    /// The difference is within the noise.
    Same,
}

/// One entry on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub name: String,
    /// Median over both runs of the base.
    pub base_secs: f64,
    pub head_secs: f64,
    /// Head's seconds over the base's, of the medians: above 1, head is slower.
    pub ratio: f64,
    /// Lowest ratio of a round.
    pub low: f64,
    /// Highest ratio of a round.
    pub high: f64,
    /// Largest difference of the base to itself in a round, as a part of 1.
    pub noise: f64,
    pub verdict: Verdict,
    pub samples: Samples,
}

impl Comparison {
    /// None when one side lacks the entry.
    pub fn of(name: &str, samples: &Samples) -> Option<Self> {
        let Samples { base, again, head } = samples;
        if base.is_empty() || head.is_empty() {
            return None;
        }
        let base_secs = median(base.iter().chain(again).copied().collect());
        let head_secs = median(head.clone());
        let ratio = head_secs / base_secs;
        let noise = ratios(base, again).map(|r| (r - 1.0).abs()).fold(0.0, f64::max);
        let both: Vec<f64> = base.iter().zip(again).map(|(a, b)| (a + b) / 2.0).collect();
        Some(Self {
            name: name.to_owned(),
            base_secs,
            head_secs,
            ratio,
            low: ratios(&both, head).fold(f64::INFINITY, f64::min),
            high: ratios(&both, head).fold(0.0, f64::max),
            noise,
            verdict: verdict(ratio, noise),
            samples: samples.clone(),
        })
    }
}

/// The second over the first, round by round.
fn ratios(first: &[f64], second: &[f64]) -> impl Iterator<Item = f64> {
    first.iter().zip(second).map(|(first, second)| second / first)
}

fn verdict(ratio: f64, noise: f64) -> Verdict {
    let difference = ratio - 1.0;
    match noise.max(LEAST) {
        least if difference > least => Verdict::Slower,
        least if difference < -least => Verdict::Faster,
        _ => Verdict::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(base: &[f64], again: &[f64], head: &[f64]) -> Comparison {
        let samples = Samples { base: base.into(), again: again.into(), head: head.into() };
        Comparison::of("x", &samples).unwrap()
    }

    #[test]
    fn ratios_are_of_medians_with_the_spread_of_the_rounds() {
        let c = of(&[1.0, 2.0, 1.0], &[1.0, 2.0, 1.0], &[3.0, 3.0, 2.0]);
        assert_eq!((c.base_secs, c.head_secs, c.ratio), (1.0, 3.0, 3.0));
        assert_eq!((c.low, c.high, c.noise), (1.5, 3.0, 0.0));
        assert_eq!(c.verdict, Verdict::Slower);
    }

    #[test]
    fn a_slowdown_counts_only_above_the_noise() {
        // The base differs from itself by 20 % once: 15 % more say nothing, 25 % more do.
        let (base, again) = ([1.0, 1.0, 1.0], [1.0, 1.2, 1.0]);
        assert_eq!(of(&base, &again, &[1.15; 3]).verdict, Verdict::Same);
        assert_eq!(of(&base, &again, &[1.25; 3]).verdict, Verdict::Slower);
        assert_eq!(of(&base, &again, &[0.85; 3]).verdict, Verdict::Same);
        assert_eq!(of(&base, &again, &[0.75; 3]).verdict, Verdict::Faster);
        assert!((of(&base, &again, &[1.0; 3]).noise - 0.2).abs() < 1e-12);
    }

    #[test]
    fn three_per_cent_are_never_a_difference() {
        assert_eq!(of(&[1.0; 2], &[1.0; 2], &[1.02; 2]).verdict, Verdict::Same);
        assert_eq!(of(&[1.0; 2], &[1.0; 2], &[1.04; 2]).verdict, Verdict::Slower);
        assert_eq!(of(&[1.0; 2], &[1.0; 2], &[0.96; 2]).verdict, Verdict::Faster);
    }

    #[test]
    fn entries_of_one_side_are_not_compared() {
        let base = Samples { base: vec![1.0], again: vec![1.0], head: Vec::new() };
        assert_eq!(Comparison::of("x", &base), None);
        assert_eq!(Comparison::of("x", &Samples { head: vec![1.0], ..Default::default() }), None);
    }
}
