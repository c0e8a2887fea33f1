//! Both sides in turns, and the base twice.

use std::sync::atomic::AtomicBool;

use anyhow::Result;

use super::super::suite::{Benchmark, Program, Settings};
use super::verdict::Samples;
use crate::console;
use crate::failure::Failure;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Base,
    /// The base once more.
    Again,
    Head,
}

/// The turns of a round. Every one comes first, second and last equally often: whatever drifts on the machine meets all.
fn order(round: u32) -> [Turn; 3] {
    let mut turns = [Turn::Base, Turn::Head, Turn::Again];
    turns.rotate_left(round as usize % 3);
    turns
}

/// The two builds with what each can run.
pub struct Sides {
    pub base: (Program, Vec<Benchmark>),
    pub head: (Program, Vec<Benchmark>),
}

impl Sides {
    fn of(&self, turn: Turn) -> &(Program, Vec<Benchmark>) {
        match turn {
            Turn::Base | Turn::Again => &self.base,
            Turn::Head => &self.head,
        }
    }

    /// Benchmarks of either side, the base's first.
    fn benchmarks(&self) -> Vec<&Benchmark> {
        let new = self.head.1.iter().filter(|b| !self.base.1.contains(b));
        self.base.1.iter().chain(new).collect()
    }

    /// Runs all benchmarks `rounds` times: the turns of one benchmark next to each other, each process alone.
    ///
    /// # Errors
    /// Those of [`Program::run`]; [`Failure`] when nothing was timed.
    pub fn time(
        &self,
        rounds: u32,
        settings: &Settings,
        stop: &AtomicBool,
    ) -> Result<Vec<(String, Samples)>> {
        let mut all = Vec::new();
        for round in 0..rounds {
            console::note(format!("round {} of {rounds}", round + 1));
            for benchmark in self.benchmarks() {
                for turn in order(round) {
                    let (program, known) = self.of(turn);
                    if known.contains(benchmark) {
                        let entries = program.run(benchmark, settings, &[], stop)?;
                        entries.into_iter().for_each(|e| samples_of(&mut all, e.name, turn).push(e.secs));
                    }
                }
            }
        }
        if all.is_empty() {
            let hint =
                "`cargo xtask bench ops` lists the operations; models are \"NAME PRESET, training step\"";
            return Err(Failure::new("nothing matches `--only`").hint(hint).into());
        }
        Ok(all)
    }
}

/// Where the seconds of an entry go; entries stay in the order in which they came up.
fn samples_of(all: &mut Vec<(String, Samples)>, name: String, turn: Turn) -> &mut Vec<f64> {
    let at = all.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
        all.push((name, Samples::default()));
        all.len() - 1
    });
    let samples = &mut all[at].1;
    match turn {
        Turn::Base => &mut samples.base,
        Turn::Again => &mut samples.again,
        Turn::Head => &mut samples.head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_takes_every_place() {
        for place in 0..3 {
            let there: Vec<Turn> = (0..3).map(|round| order(round)[place]).collect();
            for turn in [Turn::Base, Turn::Again, Turn::Head] {
                assert!(there.contains(&turn), "{turn:?} never comes at {place}");
            }
        }
    }

    #[test]
    fn entries_keep_their_order_and_sides() {
        let mut all = Vec::new();
        for (name, turn, secs) in [("b", Turn::Base, 1.0), ("a", Turn::Head, 2.0), ("b", Turn::Again, 3.0)] {
            samples_of(&mut all, name.to_owned(), turn).push(secs);
        }
        assert_eq!(all[0], ("b".to_owned(), Samples { base: vec![1.0], again: vec![3.0], head: vec![] }));
        assert_eq!(all[1], ("a".to_owned(), Samples { head: vec![2.0], ..Default::default() }));
    }
}
