//! Results over time: `docs/benchmarks.jsonl`, one JSON object a line, only ever appended to.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use vg_core::Error;

use super::Peer;
use crate::failure::Failure;

/// Version of the format.
pub const VERSION: u32 = 1;

/// Where results are kept when no file is named.
pub fn default_path() -> PathBuf {
    in_docs("benchmarks.jsonl")
}

/// A file below `docs/` of the repository that this program was built in.
pub fn in_docs(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    root.join("docs").join(name)
}

/// One entry of one recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// [`VERSION`].
    pub version: u32,
    /// As `2025-01-31T12:00:00Z`; the same for all lines of a recording.
    pub date: String,
    /// Commit of the program, `-dirty` with local changes.
    pub revision: Option<String>,
    /// Name of the processor.
    pub cpu: Option<String>,
    /// Cores that a process may use.
    pub cores: usize,
    /// Average number of running programs over the minute before.
    pub load: Option<f64>,
    /// Threads that were used.
    pub threads: usize,
    /// Operation or model, and which part of it.
    pub entry: String,
    /// Seconds a call, median.
    pub secs: f64,
    /// Where the number of floating-point operations is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gflops: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<Peer>,
    /// Seconds of the peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_secs: Option<f64>,
    /// How many times as fast as the peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

impl Line {
    /// Whether both were measured alike: the same processor, cores and threads.
    pub fn is_comparable(&self, other: &Self) -> bool {
        (&self.cpu, self.cores, self.threads) == (&other.cpu, other.cores, other.threads)
    }

    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!(
                "version {} of the format is not {VERSION}, which this program knows",
                self.version
            ));
        }
        let numbers = [Some(self.secs), self.gflops, self.peer_secs, self.ratio];
        match numbers.into_iter().flatten().find(|x| !(x.is_finite() && *x > 0.0)) {
            Some(x) => Err(format!("{x} is not greater than 0")),
            None => Ok(()),
        }
    }
}

/// Appends lines, all or none of them as far as the system can.
///
/// # Errors
/// Those of the disk.
pub fn append(path: &Path, lines: &[Line]) -> Result<()> {
    let mut text = String::new();
    for line in lines {
        text += &serde_json::to_string(line)?;
        text.push('\n');
    }
    let file = File::options().create(true).append(true).open(path);
    let written = file.and_then(|mut f| f.write_all(text.as_bytes()));
    Ok(written.map_err(Error::io("writing", path))?)
}

/// All lines, as they stand in the file.
///
/// # Errors
/// [`Failure`] with the number of a line that is no result, and without a file; errors of the disk.
pub fn read(path: &Path) -> Result<Vec<Line>> {
    let text = match fs::read_to_string(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let hint = "`cargo xtask bench record --against pytorch` makes it";
            return Err(Failure::new(format!("{} does not exist", path.display())).hint(hint).into());
        }
        other => other.map_err(Error::io("reading", path))?,
    };
    let numbered = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
    numbered.map(|(i, line)| parse(line).map_err(|e| no_result(path, i + 1, e).into())).collect()
}

fn parse(line: &str) -> Result<Line, String> {
    let line: Line = serde_json::from_str(line).map_err(|e| e.to_string())?;
    line.check().map(|()| line)
}

fn no_result(path: &Path, number: usize, why: String) -> Failure {
    Failure::new(format!("{}, line {number}, is no result", path.display())).because(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(entry: &str) -> Line {
        Line {
            version: VERSION,
            date: "2001-01-01T00:00:00Z".into(),
            revision: None,
            cpu: Some("a processor".into()),
            cores: 2,
            load: None,
            threads: 1,
            entry: entry.into(),
            secs: 0.5,
            gflops: None,
            peer: Some(Peer::Pytorch),
            peer_secs: Some(1.0),
            ratio: Some(2.0),
        }
    }

    #[test]
    fn lines_are_appended_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.jsonl");
        append(&path, &[line("a")]).unwrap();
        append(&path, &[line("b"), Line { gflops: Some(3.0), ..line("c") }]).unwrap();
        assert_eq!(read(&path).unwrap(), [line("a"), line("b"), Line { gflops: Some(3.0), ..line("c") }]);
    }

    #[test]
    fn lines_of_another_version_or_without_sense_are_refused() {
        let text = |line: &Line| serde_json::to_string(line).unwrap();
        assert!(parse(&text(&line("a"))).is_ok());
        assert!(parse(&text(&Line { version: 2, ..line("a") })).unwrap_err().contains("version 2"));
        assert!(parse(&text(&Line { ratio: Some(-1.0), ..line("a") })).unwrap_err().contains("-1"));
        assert!(parse(r#"{"version": 1}"#).unwrap_err().contains("date"));
    }

    #[test]
    fn only_like_machines_compare() {
        assert!(line("a").is_comparable(&line("b")));
        assert!(!line("a").is_comparable(&Line { threads: 2, ..line("a") }));
    }
}
