//! A running PyTorch process that times an operation when it is asked to.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Result;
use serde_json::json;

use super::Args;
use super::cases::Case;
use super::ours::Numbers;
use crate::failure::Failure;

/// The process with its pipes.
pub struct Peer {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts `bench/pytorch/ops.py` or the script of `--peer`.
    pub fn start(args: &Args, threads: usize) -> Result<Self> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/pytorch/ops.py");
        let script: PathBuf = args.script.clone().unwrap_or(own);
        if !script.is_file() {
            let text = format!("the peer {} does not exist", script.display());
            return Err(Failure::new(text).hint("name its script with `--peer FILE`").into());
        }
        let failed = |e| {
            Failure::new(format!("the peer, {}, cannot be started", args.peer.python.display()))
                .hint("name a Python with `--python`")
                .because(e)
        };
        let mut child = Command::new(&args.peer.python)
            .arg(&script)
            .args(["--threads", &threads.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Failure::new("the peer has no pipes").into());
        };
        Ok(Self { child, to, from: BufReader::new(from) })
    }

    /// Seconds per call, over at least `seconds` seconds.
    pub fn time(&mut self, case: &Case, numbers: Numbers, seconds: f64) -> Result<f64> {
        let ended = |e: &dyn std::fmt::Display| {
            Failure::new(format!("the peer ended at {}: {e}", case.name)).hint("its message stands above")
        };
        writeln!(self.to, "{}", json!({ "case": case, "numbers": numbers, "seconds": seconds }))
            .map_err(|e| ended(&e))?;
        let mut line = String::new();
        self.from.read_line(&mut line).map_err(|e| ended(&e))?;
        Ok(line.trim().parse().map_err(|e| ended(&e))?)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
