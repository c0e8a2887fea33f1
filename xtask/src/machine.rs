//! What is known of the machine and the program, for records and benchmarks.

use std::fs;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::threads;

/// Version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The machine of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system and architecture.
    pub system: String,
    /// Name of the processor, where the system tells.
    pub cpu: Option<String>,
    /// Threads that a process may use.
    pub threads: usize,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        Self { system, cpu: cpu(), threads: threads::available() }
    }
}

fn cpu() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Commit of the sources that this program was built from, `-dirty` with local changes; none without git or the sources.
pub fn commit() -> Option<String> {
    let output = Command::new("git")
        .args([
            "-C",
            env!("CARGO_MANIFEST_DIR"),
            "describe",
            "--always",
            "--dirty",
            "--abbrev=12",
            "--exclude=*",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// The time now, as `2025-01-31T12:00:00Z`.
pub fn now() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

/// The command as it was typed, with the alias instead of the program's path.
pub fn command_line() -> Vec<String> {
    let arguments = std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned());
    ["cargo".to_owned(), "xtask".to_owned()].into_iter().chain(arguments).collect()
}

/// Average number of running programs over the last minute, where the system tells.
pub fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// Largest resident memory of this process so far in MiB, where the system tells.
pub fn peak_rss_mib() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some((kib + 512) / 1024)
}
