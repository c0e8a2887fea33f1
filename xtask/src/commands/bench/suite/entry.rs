//! One timed thing, read from what a benchmark prints.

use serde::Deserialize;

use crate::failure::Failure;
use crate::report::median;

/// Why a text is no result.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Seconds of one timed thing.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The operation or model, and which part of it.
    pub name: String,
    /// Seconds a call, median.
    pub secs: f64,
    /// Where the number of floating-point operations is known.
    pub gflops: Option<f64>,
    /// Seconds of the peer, where there was one.
    pub peer_secs: Option<f64>,
    /// How many times as fast as the peer, from neighbouring measurements.
    pub ratio: Option<f64>,
}

/// Names of a model's two entries.
pub fn model_names(model: &str, preset: &str) -> [String; 2] {
    ["training step", "sampling"].map(|part| format!("{model} {preset}, {part}"))
}

/// An element of what `bench ops --json` prints.
#[derive(Deserialize)]
struct Operation {
    name: String,
    pass: String,
    ours_secs: f64,
    ours_gflops: Option<f64>,
    #[serde(default)]
    peer: Vec<f64>,
    ratio: Option<f64>,
}

/// Entries of `bench ops --json`, with or without a peer.
pub fn of_ops(text: &str) -> Result<Vec<Entry>, Error> {
    let all: Vec<Operation> = serde_json::from_str(last_line(text))?;
    let entry = |o: Operation| Entry {
        name: format!("{}, {}", o.name, o.pass.replace('-', " ")),
        secs: o.ours_secs,
        gflops: o.ours_gflops,
        peer_secs: (!o.peer.is_empty()).then(|| median(o.peer)),
        ratio: o.ratio,
    };
    all.into_iter().map(|o| sound(entry(o))).collect()
}

/// The figures of a side in what `bench MODEL --json` prints.
#[derive(Deserialize)]
struct Side {
    step_secs: f64,
    sample_secs: f64,
}

/// What `bench MODEL --against pytorch --json` prints.
#[derive(Deserialize)]
struct Pair {
    step: Ratio,
    sample: Ratio,
    rounds: Vec<Round>,
}

#[derive(Deserialize)]
struct Ratio {
    ratio: f64,
}

#[derive(Deserialize)]
struct Round {
    ours: Side,
    peer: Side,
}

/// Either, told apart by its fields.
#[derive(Deserialize)]
#[serde(untagged)]
enum Printed {
    Alone(Side),
    Pair(Pair),
}

/// Entries of `bench MODEL --json`, with or without a peer.
pub fn of_model(model: &str, preset: &str, text: &str) -> Result<Vec<Entry>, Error> {
    let [step, sample] = model_names(model, preset);
    let entries = match serde_json::from_str(last_line(text))? {
        Printed::Alone(side) => [alone(step, side.step_secs), alone(sample, side.sample_secs)],
        Printed::Pair(pair) => [
            pair_entry(step, &pair, |s| s.step_secs, pair.step.ratio),
            pair_entry(sample, &pair, |s| s.sample_secs, pair.sample.ratio),
        ],
    };
    entries.into_iter().map(sound).collect()
}

fn alone(name: String, secs: f64) -> Entry {
    Entry { name, secs, gflops: None, peer_secs: None, ratio: None }
}

fn pair_entry(name: String, pair: &Pair, figure: fn(&Side) -> f64, ratio: f64) -> Entry {
    let secs = |of: fn(&Round) -> &Side| median(pair.rounds.iter().map(|r| figure(of(r))).collect());
    Entry { peer_secs: Some(secs(|r| &r.peer)), ratio: Some(ratio), ..alone(name, secs(|r| &r.ours)) }
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

/// Everything later divides by these.
fn sound(entry: Entry) -> Result<Entry, Error> {
    let all = [Some(entry.secs), entry.peer_secs, entry.ratio];
    if all.into_iter().flatten().all(|x| x.is_finite() && x > 0.0) {
        return Ok(entry);
    }
    Err(Failure::new(format!("{} took no time", entry.name)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_with_and_without_a_peer() {
        let text = r#"[{"name": "conv", "pass": "input-grad", "ours_secs": 2.0, "ours_gflops": 5.0, "ratio": null, "peer": []},
            {"name": "norm", "pass": "training", "ours_secs": 1.0, "ours_gflops": null, "ratio": 1.5, "peer": [1.0, 3.0, 2.0]}]"#;
        let entries = of_ops(&text.replace('\n', "")).unwrap();
        assert_eq!(entries[0], Entry { gflops: Some(5.0), ..alone("conv, input grad".into(), 2.0) });
        assert_eq!(entries[1].name, "norm, training");
        assert_eq!((entries[1].peer_secs, entries[1].ratio), (Some(2.0), Some(1.5)));
    }

    #[test]
    fn models_with_and_without_a_peer() {
        let entries = of_model("m", "tiny", r#"{"step_secs": 2.0, "sample_secs": 1.0, "steps": 3}"#).unwrap();
        assert_eq!(
            entries,
            [alone("m tiny, training step".into(), 2.0), alone("m tiny, sampling".into(), 1.0)]
        );
        let round = r#"{"ours": {"step_secs": 2.0, "sample_secs": 1.0}, "peer": {"step_secs": 3.0, "sample_secs": 4.0}}"#;
        let text =
            format!(r#"{{"step": {{"ratio": 1.5}}, "sample": {{"ratio": 4.0}}, "rounds": [{round}]}}"#);
        let entries = of_model("m", "tiny", &text).unwrap();
        assert_eq!((entries[0].secs, entries[0].peer_secs, entries[0].ratio), (2.0, Some(3.0), Some(1.5)));
        assert_eq!((entries[1].secs, entries[1].peer_secs, entries[1].ratio), (1.0, Some(4.0), Some(4.0)));
    }

    #[test]
    fn what_is_no_result_is_refused() {
        assert!(of_ops("").is_err());
        assert!(of_model("m", "tiny", "{}").is_err());
        let error = of_model("m", "tiny", r#"{"step_secs": 0.0, "sample_secs": 1.0}"#).unwrap_err();
        assert_eq!(error.to_string(), "m tiny, training step took no time");
    }
}
