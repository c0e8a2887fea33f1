//! Our side and a PyTorch peer in turns, each in its own process.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use serde_json::json;

use super::ModelArgs;
use super::measure::Measurement;
use crate::failure::{Done, Failure};
use crate::report::median;
use crate::{console, registry, threads};

/// Times of both sides in one round.
struct Round {
    ours: Measurement,
    peer: Measurement,
}

/// Runs the command with a peer.
pub fn run(name: &str, args: &ModelArgs) -> Result<Done> {
    let model = registry::find(name)?;
    let preset = args.preset.clone().unwrap_or_else(|| model.default_preset().to_owned());
    let script = script(name, args)?;
    let ours = std::env::current_exe()?;
    let shared = shared_arguments(args, &preset);
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        let ours = measurement("our side", &ours, &our_arguments(name, &shared))?;
        let peer = measurement("the peer", &args.peer.python, &peer_arguments(&script, &shared))?;
        console::note(format!(
            "round {number}/{}: step {:.5} s against {:.5} s, sampling {:.5} s against {:.5} s",
            args.rounds, ours.step_secs, peer.step_secs, ours.sample_secs, peer.sample_secs
        ));
        rounds.push(Round { ours, peer });
    }
    report(name, args, &rounds)
}

fn script(model: &str, args: &ModelArgs) -> Result<PathBuf, Failure> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/pytorch");
    let path = args.script.clone().unwrap_or_else(|| repository.join(format!("{model}.py")));
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::new(format!("the peer {} does not exist", path.display()))
        .hint("name its script with `--peer FILE`"))
}

/// What both command lines share.
fn shared_arguments(args: &ModelArgs, preset: &str) -> Vec<OsString> {
    let threads = args.threads.unwrap_or_else(threads::available);
    let pairs = [
        ("--preset", preset.to_owned()),
        ("--threads", threads.to_string()),
        ("--steps", args.steps.to_string()),
    ];
    let batch = args.batch.map(|n| ("--batch", n.to_string()));
    pairs.into_iter().chain(batch).flat_map(|(k, v)| [k.into(), v.into()]).collect()
}

fn our_arguments(model: &str, shared: &[OsString]) -> Vec<OsString> {
    let head = ["bench", model, "--json"].map(OsString::from);
    head.into_iter().chain(shared.iter().cloned()).collect()
}

fn peer_arguments(script: &Path, shared: &[OsString]) -> Vec<OsString> {
    [script.as_os_str().to_owned(), "bench".into()].into_iter().chain(shared.iter().cloned()).collect()
}

/// Runs a program and reads the JSON object in its last line.
fn measurement(who: &str, program: &Path, arguments: &[OsString]) -> Result<Measurement> {
    let shown = format!("{who}, {}", program.display());
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| {
            Failure::new(format!("{shown} cannot be started"))
                .hint("name a Python with `--python`")
                .because(e)
        })?;
    if !output.status.success() {
        return Err(Failure::new(format!("{shown} failed ({})", output.status)).into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    Ok(serde_json::from_str(line)
        .map_err(|e| Failure::new(format!("{shown} printed no measurement")).because(e))?)
}

/// How many times as fast or as small we are: the ratio of medians, and the lowest and highest of the rounds.
struct Ratio {
    value: f64,
    low: f64,
    high: f64,
}

impl Ratio {
    fn of(rounds: &[Round], figure: impl Fn(&Measurement) -> f64) -> Self {
        let ours = median(rounds.iter().map(|r| figure(&r.ours)).collect());
        let peer = median(rounds.iter().map(|r| figure(&r.peer)).collect());
        let each = || rounds.iter().map(|r| figure(&r.peer) / figure(&r.ours));
        Self {
            value: peer / ours,
            low: each().fold(f64::INFINITY, f64::min),
            high: each().fold(0.0, f64::max),
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({ "ratio": self.value, "low": self.low, "high": self.high })
    }

    fn text(&self) -> String {
        format!("{:.2} times ({:.2} to {:.2})", self.value, self.low, self.high)
    }
}

fn report(model: &str, args: &ModelArgs, rounds: &[Round]) -> Result<Done> {
    let step = Ratio::of(rounds, |m| m.step_secs);
    let sample = Ratio::of(rounds, |m| m.sample_secs);
    let memory = Ratio::of(rounds, |m| m.step_rss_mib.unwrap_or(0) as f64);
    if args.json {
        let sides: Vec<_> = rounds.iter().map(|r| json!({ "ours": r.ours, "peer": r.peer })).collect();
        console::json(&json!({
            "model": model, "step": step.json(), "sample": sample.json(), "memory": memory.json(), "rounds": sides,
        }))?;
    } else {
        console::result(format!("training step  {} as fast as the peer", step.text()))?;
        console::result(format!("sampling       {} as fast", sample.text()))?;
        console::result(format!("memory         the peer takes {} as much in training", memory.text()))?;
    }
    let slow = args.at_least.filter(|wanted| step.value < *wanted);
    if let Some(wanted) = slow {
        console::note(format!(
            "the training step is {:.2} times as fast, {wanted} were asked for",
            step.value
        ));
    }
    Ok(if slow.is_some() { Done::Worse } else { Done::Good })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(step_secs: f64) -> Measurement {
        let json = json!({
            "model": "m", "preset": "p", "batch": 1, "threads": 1, "dtype": "f32", "device": "cpu", "load1": 0.1,
            "step_secs": step_secs, "sample_secs": 1.0, "steps": 5, "extra_secs": 3.0, "peak_rss_mib": 1, "step_rss_mib": 1,
            "import_rss_mib": 1, "parameters": {"total": 1}, "config": {}, "torch": "2.0",
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn ratios_are_of_medians_with_the_spread_of_the_rounds() {
        let round = |ours, peer| Round { ours: side(ours), peer: side(peer) };
        let ratio = Ratio::of(&[round(1.0, 2.0), round(2.0, 3.0), round(1.0, 4.0)], |m| m.step_secs);
        assert_eq!((ratio.value, ratio.low, ratio.high), (3.0, 1.5, 4.0));
    }
}
