//! The program under test, run in a folder of its own.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A fresh folder to run in.
pub struct Place(TempDir);

/// How a call ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Place {
    pub fn new() -> Self {
        Self(TempDir::new().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// The program with arguments separated by blanks.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments.split_whitespace()).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Runs to the end.
    pub fn run(&self, arguments: &str) -> Ended {
        let output = self.command(arguments).output().expect("the program starts");
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs to the end, which must be a good one.
    pub fn good(&self, arguments: &str) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments}: {ended:?}");
        ended
    }

    /// Runs into an error whose text holds all of `parts`, without a panic.
    pub fn error(&self, arguments: &str, parts: &[&str]) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments}: {ended:?}");
        assert!(ended.stderr.contains("error: "), "{ended:?}");
        for part in parts {
            assert!(ended.stderr.contains(part), "{arguments}: {part:?} is not in {}", ended.stderr);
        }
        ended
    }

    /// Starts without waiting.
    pub fn spawn(&self, arguments: &str) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts")
    }

    /// Waits for a file or folder that a running child makes; false when the child ended without it.
    pub fn wait_for(&self, name: &str, child: &mut Child) -> bool {
        loop {
            if self.join(name).exists() {
                return true;
            }
            if child.try_wait().expect("a child of ours").is_some() {
                return self.join(name).exists();
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// Names in a folder, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
        let mut names: Vec<String> =
            entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Lines of a JSON-lines text.
    pub fn json(text: &str) -> Vec<serde_json::Value> {
        text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{l}: {e}"))).collect()
    }
}
