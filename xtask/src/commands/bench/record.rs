//! `cargo xtask bench record`: results for later.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::child::Interrupted;
use super::history::{self, Line};
use super::suite::{Benchmark, Entry, Program, Settings};
use super::{Peer, PeerArgs};
use crate::failure::{Done, Failure};
use crate::machine::{self, Machine};
use crate::{console, interrupt, threads};

/// Append results to docs/benchmarks.jsonl: operations, and training steps and sampling of models
///
/// A line an entry: date, revision, machine, seconds, GFLOP/s where the number of operations is known, and with `--against pytorch`
/// the peer's seconds and how many times as fast we are. All lines are written at the end, or none.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench record --against pytorch --python venv/bin/python\n  \
    cargo xtask bench record --only conv3d --json /tmp/results.jsonl\n\n\
    Exit codes: 0 good, 2 error, 130 interrupted.")]
pub struct Args {
    /// File to append to; docs/benchmarks.jsonl of this repository when absent
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only the operations and models whose name contains TEXT
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Number of threads; all when absent
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    peer: PeerArgs,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let stop = interrupt::flag("nothing is recorded")?;
    let threads = threads::fix(args.threads)?;
    let path = args.json.clone().unwrap_or_else(history::default_path);
    let program = Program { path: std::env::current_exe()?, who: "this program".to_owned() };
    let settings = Settings { threads, only: args.only.clone(), ops: Vec::new() };
    let recording = Recording::now(threads);
    let mut lines = Vec::new();
    let measured = program.benchmarks(args.only.as_deref(), stop).and_then(|benchmarks| {
        for benchmark in benchmarks {
            let peer = args.peer.against.filter(|_| has_peer(&benchmark));
            let load = machine::load();
            let entries = program.run(&benchmark, &settings, &peer_arguments(&args.peer, peer), stop)?;
            lines.extend(entries.into_iter().map(|e| recording.line(e, peer, load)));
            console::note(format!("{} entries", lines.len()));
        }
        Ok(())
    });
    match measured {
        Err(e) if e.is::<Interrupted>() => return Ok(Done::Interrupted),
        other => other?,
    }
    if lines.is_empty() {
        return Err(Failure::new("nothing matches `--only`")
            .hint("`cargo xtask bench ops` lists the operations")
            .into());
    }
    history::append(&path, &lines)?;
    console::result(format!("{} lines appended to {}", lines.len(), path.display()))?;
    Ok(Done::Good)
}

/// Whether the repository has a PyTorch side of it.
fn has_peer(benchmark: &Benchmark) -> bool {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/pytorch");
    match benchmark {
        Benchmark::Ops => true,
        Benchmark::Model { model, .. } => scripts.join(format!("{model}.py")).is_file(),
    }
}

fn peer_arguments(args: &PeerArgs, peer: Option<Peer>) -> Vec<String> {
    let python = args.python.to_string_lossy().into_owned();
    peer.map_or(Vec::new(), |Peer::Pytorch| {
        ["--against", "pytorch", "--python", &python].map(str::to_owned).into()
    })
}

/// What all lines of a recording share.
struct Recording {
    date: String,
    revision: Option<String>,
    machine: Machine,
    threads: usize,
}

impl Recording {
    fn now(threads: usize) -> Self {
        Self { date: machine::now(), revision: machine::commit(), machine: Machine::this(), threads }
    }

    fn line(&self, entry: Entry, peer: Option<Peer>, load: Option<f64>) -> Line {
        Line {
            version: history::VERSION,
            date: self.date.clone(),
            revision: self.revision.clone(),
            cpu: self.machine.cpu.clone(),
            cores: self.machine.threads,
            load,
            threads: self.threads,
            entry: entry.name,
            secs: entry.secs,
            gflops: entry.gflops,
            peer: peer.filter(|_| entry.peer_secs.is_some()),
            peer_secs: entry.peer_secs,
            ratio: entry.ratio,
        }
    }
}
