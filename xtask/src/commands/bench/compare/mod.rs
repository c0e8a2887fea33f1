//! `cargo xtask bench compare`: this revision beside another one.

mod build;
mod git;
mod table;
mod turns;
mod verdict;

pub use table::{cell, time};

use std::sync::atomic::AtomicBool;

use anyhow::Result;

use self::git::Repository;
use self::table::Report;
use self::turns::Sides;
use super::child::Interrupted;
use super::lock::only_comparison;
use super::suite::{Program, Settings};
use crate::failure::{Done, Failure};
use crate::machine::{self, Machine};
use crate::{console, interrupt, threads};

/// Turns of `bench ops` in one process: short, since the rounds repeat it.
const OPS: [&str; 4] = ["--rounds", "3", "--turn", "0.06"];
/// Digits of a commit in texts.
const SHORT: usize = 12;

/// Compare this revision with another one: operations, and training steps and sampling of models
///
/// Checks BASE_REV out into a temporary folder, builds both sides for release (target/bench-base and target/bench-head, kept between
/// calls), and runs them in turns, each process alone, the base twice to find the noise. Prints a Markdown table. An entry is slower
/// when the ratio of medians is beyond the largest difference of the base to itself, and beyond 3 %. Ctrl-C leaves nothing behind
/// but the builds.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask bench compare main\n  \
    cargo xtask bench compare HEAD~1 --only conv3d --rounds 3\n  \
    cargo xtask bench compare v0.1.0 --json\n\n\
    Exit codes: 0 good, 1 an entry is slower, 2 error, 130 interrupted.")]
pub struct Args {
    /// Branch, tag or commit to compare with
    #[arg(value_name = "BASE_REV")]
    base: String,
    /// Times that each side is run
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    rounds: u32,
    /// Only the operations and models whose name contains TEXT
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Number of threads; all when absent
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Measure the working tree although it differs from its commit
    #[arg(long)]
    allow_dirty: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Done> {
    let stop = interrupt::flag("taking the base's checkout away")?;
    let report = match compare(args, stop) {
        Ok(report) => report,
        Err(e) if e.is::<Interrupted>() => return Ok(Done::Interrupted),
        Err(e) => return Err(e),
    };
    if args.json {
        console::json(&report.json())?;
    } else {
        console::result(report.markdown())?;
    }
    Ok(if report.slower().is_empty() { Done::Good } else { Done::Worse })
}

fn compare(args: &Args, stop: &AtomicBool) -> Result<Report> {
    let threads = threads::fix(args.threads)?;
    let repository = Repository::here()?;
    let base = repository.commit(&args.base)?;
    head_name(&repository, args.allow_dirty)?;
    let target = repository.root().join("target");
    let _only = only_comparison(&target)?;
    let checkout = repository.checkout(&base, stop)?;
    let base_name = format!("{} ({})", args.base, short(&base));
    let base =
        build::build(&format!("the base, {base_name}"), checkout.path(), &target.join("bench-base"), stop)?;
    let settings = settings(args, threads, &base, stop)?;
    let who = format!("head, {}", head_name(&repository, args.allow_dirty)?);
    let head = build::build(&who, repository.root(), &target.join("bench-head"), stop)?;
    // Builds take minutes, in which somebody may have gone on working.
    let head_name = head_name(&repository, args.allow_dirty)?;
    let load = machine::load();
    let only = args.only.as_deref();
    let sides = Sides {
        base: (base.clone(), base.benchmarks(only, stop)?),
        head: (head.clone(), head.benchmarks(only, stop)?),
    };
    let all = sides.time(args.rounds, &settings, stop)?;
    let mut report = Report {
        base: base_name,
        head: head_name,
        machine: Machine::this(),
        threads,
        rounds: args.rounds,
        load,
        compared: Vec::new(),
        only_base: Vec::new(),
        only_head: Vec::new(),
    };
    report.sort(all);
    Ok(report)
}

/// How head is called.
fn head_name(repository: &Repository, allow_dirty: bool) -> Result<String, Failure> {
    let commit = short(&repository.commit("HEAD")?).to_owned();
    match repository.changed()? {
        files if files.is_empty() => Ok(commit),
        _ if allow_dirty => Ok(format!("{commit}-dirty")),
        files => {
            Err(Failure::new(format!("the working tree differs from its commit: {}", git::some_of(&files)))
                .hint("commit or stash the changes, or measure them as they are with `--allow-dirty`"))
        }
    }
}

fn short(commit: &str) -> &str {
    commit.get(..SHORT).unwrap_or(commit)
}

/// Both sides are given the same arguments, so the base decides which are understood.
fn settings(args: &Args, threads: usize, base: &Program, stop: &AtomicBool) -> Result<Settings> {
    let help = base.good(&["bench", "ops", "--help"].map(str::to_owned), stop)?;
    if !help.split(|c: char| !c.is_alphanumeric()).any(|word| word == "ops") {
        return Err(Failure::new(format!("{} has no `bench ops`", base.who))
            .hint("compare with a newer base")
            .into());
    }
    let short_turns = help.contains("--turn ");
    let ops = if short_turns { OPS.map(str::to_owned).into() } else { Vec::new() };
    Ok(Settings { threads, only: args.only.clone(), ops })
}
