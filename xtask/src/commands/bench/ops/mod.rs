//! `cargo xtask bench ops`: every operation beside PyTorch's, in turns.

mod cases;
mod ours;
mod peer;

use anyhow::Result;
use serde_json::json;

use self::cases::Case;
use self::ours::Operation;
use self::peer::Peer;
use super::Args;
use crate::failure::{Done, Failure};
use crate::report::median;
use crate::{console, threads};

/// Seconds that one side runs before it is the other's turn.
const TURN: f64 = 0.06;
/// Turns of each side.
const PAIRS: usize = 9;

/// Seconds per call of one operation.
struct Timed {
    case: Case,
    ours: Vec<f64>,
    peer: Vec<f64>,
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
    let cases = cases::cases(args.only.as_deref());
    if cases.is_empty() {
        let names = cases::cases(None).iter().map(|c| c.name).collect::<std::collections::BTreeSet<_>>();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Failure::new("no operation matches `--only`").hint(format!("there are {names}")).into());
    }
    let mut peer = args.against.map(|_| Peer::start(args, threads)).transpose()?;
    let mut all = Vec::new();
    for case in cases {
        all.push(time(case, peer.as_mut(), args)?);
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

fn time(case: Case, mut peer: Option<&mut Peer>, args: &Args) -> Result<Timed> {
    let operation = Operation::new(&case)?;
    let mut timed = Timed { case, ours: Vec::new(), peer: Vec::new() };
    if let Some(peer) = &mut peer {
        peer.time(&timed.case, TURN)?;
    }
    for _ in 0..PAIRS {
        timed.ours.push(operation.time(TURN)?);
        if let Some(peer) = &mut peer {
            timed.peer.push(peer.time(&timed.case, TURN)?);
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
            "{name} {}   PyTorch {}   {ratio:5.2} times as fast",
            side(&timed.ours),
            side(&timed.peer)
        ),
    }
}

fn as_json(timed: &Timed) -> serde_json::Value {
    json!({
        "name": timed.case.name, "pass": timed.case.pass, "ours_secs": median(timed.ours.clone()),
        "ours_gflops": timed.gflops(&timed.ours), "peer_gflops": timed.gflops(&timed.peer), "ratio": timed.ratio(),
        "ours": timed.ours, "peer": timed.peer,
    })
}
