//! `cargo xtask bench ops`: every operation beside PyTorch's, in turns.

mod cases;
mod ours;
mod peer;

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use self::cases::Case;
use self::ours::{Numbers, Operation};
use self::peer::Peer;
use super::PeerArgs;
use super::lock::wait_until_alone;
use crate::failure::{Done, Failure};
use crate::report::median;
use crate::{console, threads};

/// What the error says when `--only` leaves nothing; `compare` and `record` know it by that.
pub const NO_OPERATION: &str = "no operation matches `--only`";
/// Longest turn; a typing error should not take a day.
const LONGEST_TURN: f64 = 600.0;

/// Time single operations: layers of the models at their real sizes
///
/// Medians over turns; with `--against pytorch` both sides take turns, and the ratio is the median over pairs that ran next to
/// each other. With `--bf16` convolutions multiply in bf16: beside the same in f32, or beside PyTorch with tensors of bf16.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench ops --only conv3d\n  \
    cargo xtask bench ops --rounds 3 --turn 0.02 --json\n  \
    cargo xtask bench ops --against pytorch --python venv/bin/python --at-least 1\n  \
    cargo xtask bench ops --bf16 --threads 2\n\n\
    Exit codes: 0 good, 1 slower than `--at-least`, 2 error.")]
pub struct Args {
    /// Only the operations whose name contains TEXT
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Number of threads; all when absent
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Turns of each side
    #[arg(long, default_value_t = 9, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds of a turn; one call is made at least
    #[arg(long, default_value_t = 0.06, value_name = "SECS", value_parser = turn)]
    turn: f64,
    /// Convolutions with products in bf16, beside f32
    #[arg(long)]
    bf16: bool,
    /// Print one JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    peer: PeerArgs,
    /// The peer's script; bench/pytorch/ops.py of this repository when absent
    #[arg(long = "peer", requires = "against", value_name = "FILE")]
    script: Option<PathBuf>,
    /// Exit with 1 when any operation is not at least X times as fast
    #[arg(long, value_name = "X")]
    at_least: Option<f64>,
}

/// Whom an operation takes turns with.
enum Other<'a> {
    Nobody,
    PyTorch(&'a mut Peer),
    /// Our own in f32.
    Full,
}

impl Other<'_> {
    /// Name in texts for people.
    fn title(&self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::PyTorch(_) => "PyTorch",
            Self::Full => "f32",
        }
    }
}

/// Reads the seconds of a turn.
fn turn(text: &str) -> Result<f64, String> {
    let secs: f64 = text.parse().map_err(|e| format!("{e}"))?;
    if (0.0..=LONGEST_TURN).contains(&secs) { Ok(secs) } else { Err(format!("0 to {LONGEST_TURN} seconds")) }
}

/// Seconds per call of one operation.
struct Timed {
    case: Case,
    ours: Vec<f64>,
    peer: Vec<f64>,
    /// Who the peer is.
    against: &'static str,
}

impl Timed {
    /// How many times as fast we are: the median over pairs that ran next to each other.
    fn ratio(&self) -> Option<f64> {
        let ratios: Vec<f64> = self.ours.iter().zip(&self.peer).map(|(ours, peer)| peer / ours).collect();
        (!ratios.is_empty()).then(|| median(ratios))
    }

    fn gflops(&self, seconds: &[f64]) -> Option<f64> {
        let operations = self.case.operations().filter(|_| !seconds.is_empty())?;
        Some(operations / median(seconds.to_vec()) / 1e9)
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let threads = threads::fix(args.threads)?;
    let wanted = |only: Option<&str>| {
        // Only products have a precision.
        let all = cases::cases(only).into_iter();
        all.filter(|case| !args.bf16 || case.operations().is_some()).collect::<Vec<_>>()
    };
    let cases = wanted(args.only.as_deref());
    if cases.is_empty() {
        let names = wanted(None).iter().map(|c| c.name).collect::<std::collections::BTreeSet<_>>();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Failure::new(NO_OPERATION).hint(format!("there are {names}")).into());
    }
    if args.at_least.is_some() && args.peer.against.is_none() && !args.bf16 {
        return Err(Failure::new("`--at-least` needs someone to compare with")
            .hint("add `--against pytorch` or `--bf16`")
            .into());
    }
    let _alone = wait_until_alone();
    let mut peer = args.peer.against.map(|_| Peer::start(args, threads)).transpose()?;
    let mut all = Vec::new();
    for case in cases {
        let other = match &mut peer {
            Some(peer) => Other::PyTorch(peer),
            None if args.bf16 => Other::Full,
            None => Other::Nobody,
        };
        all.push(time(case, other, args)?);
    }
    let slow = all
        .iter()
        .filter(|t| args.at_least.zip(t.ratio()).is_some_and(|(wanted, ratio)| ratio < wanted))
        .count();
    if args.json {
        console::json(&all.iter().map(as_json).collect::<Vec<_>>())?;
    }
    Ok(if slow > 0 { Done::Worse } else { Done::Good })
}

fn time(case: Case, mut other: Other<'_>, args: &Args) -> Result<Timed> {
    let numbers = match (args.bf16, &other) {
        (false, _) => Numbers::F32,
        (true, Other::PyTorch(_)) => Numbers::Bf16,
        (true, _) => Numbers::F32TimesInBf16,
    };
    let operation = Operation::new(&case, numbers)?;
    let full = if matches!(other, Other::Full) { Some(Operation::new(&case, Numbers::F32)?) } else { None };
    let mut timed = Timed { case, ours: Vec::new(), peer: Vec::new(), against: other.title() };
    if let Other::PyTorch(peer) = &mut other {
        peer.time(&timed.case, numbers, args.turn)?;
    }
    for _ in 0..args.rounds {
        timed.ours.push(operation.time(args.turn)?);
        match &mut other {
            Other::Nobody => {}
            Other::PyTorch(peer) => timed.peer.push(peer.time(&timed.case, numbers, args.turn)?),
            Other::Full => timed.peer.extend(full.as_ref().map(|full| full.time(args.turn)).transpose()?),
        }
    }
    if !args.json {
        console::result(line(&timed))?;
    }
    Ok(timed)
}

fn line(timed: &Timed) -> String {
    let side = |seconds: &[f64]| {
        let rate = timed.gflops(seconds).map_or(String::new(), |g| format!(" {g:5.0} GFLOP/s"));
        format!("{:9.3} ms{rate}", median(seconds.to_vec()) * 1e3)
    };
    let name = format!("{:36} {:18}", timed.case.name, timed.case.pass.name());
    match timed.ratio() {
        None => format!("{name} {}", side(&timed.ours)),
        Some(ratio) => format!(
            "{name} {}   {} {}   {ratio:5.2} times as fast",
            side(&timed.ours),
            timed.against,
            side(&timed.peer)
        ),
    }
}

fn as_json(timed: &Timed) -> serde_json::Value {
    json!({
        "name": timed.case.name, "pass": timed.case.pass, "ours_secs": median(timed.ours.clone()),
        "against": (!timed.peer.is_empty()).then_some(timed.against), "ours_gflops": timed.gflops(&timed.ours), "peer_gflops": timed.gflops(&timed.peer), "ratio": timed.ratio(),
        "peer_secs": (!timed.peer.is_empty()).then(|| median(timed.peer.clone())),
        "ours": timed.ours, "peer": timed.peer,
    })
}
