//! The repository, and a second checkout of it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use tempfile::TempDir;
use vg_core::Error;

use super::super::child;
use crate::failure::Failure;

/// Names of changed files in a message; more are counted.
const NAMED: usize = 3;

/// The repository of the current folder.
pub struct Repository {
    root: PathBuf,
}

impl Repository {
    /// Finds it.
    ///
    /// # Errors
    /// [`Failure`] outside of a repository and without git.
    pub fn here() -> Result<Self, Failure> {
        let output = git(Path::new("."), ["rev-parse", "--show-toplevel"])?;
        if !output.status.success() {
            let text = "the current folder is in no git repository";
            return Err(Failure::new(text).hint("run it in a clone; a comparison needs the base's sources"));
        }
        Ok(Self { root: PathBuf::from(line(&output)) })
    }

    /// Folder of the working tree.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The whole commit id of a revision.
    ///
    /// # Errors
    /// [`Failure`] for a name that git does not know.
    pub fn commit(&self, revision: &str) -> Result<String, Failure> {
        let peeled = format!("{revision}^{{commit}}");
        let output = git(&self.root, ["rev-parse", "--verify", "--quiet", &peeled])?;
        if output.status.success() {
            return Ok(line(&output));
        }
        Err(Failure::new(format!("{revision:?} is no commit of this repository"))
            .hint("name a branch, tag or commit as in `git log`; a shallow clone lacks older ones (`git fetch --unshallow`)"))
    }

    /// Files under version control that differ from the commit.
    ///
    /// # Errors
    /// [`Failure`] when git fails.
    pub fn changed(&self) -> Result<Vec<String>, Failure> {
        let output = git(&self.root, ["status", "--porcelain", "--untracked-files=no"])?;
        if !output.status.success() {
            return Err(failed("git status", &output));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        // Two letters and a blank stand before the name.
        Ok(text.lines().filter_map(|l| l.get(3..)).map(str::to_owned).collect())
    }

    /// Checks a commit out into a temporary folder, which is taken away with the returned value.
    ///
    /// # Errors
    /// [`Failure`] when git fails; errors of the disk; [`Interrupted`](child::Interrupted).
    pub fn checkout(&self, commit: &str, stop: &AtomicBool) -> Result<Checkout> {
        let parent = std::env::temp_dir();
        let folder = tempfile::Builder::new().prefix("vg-bench-").tempdir_in(&parent);
        let folder = folder.map_err(Error::io("creating a folder in", &parent))?;
        // Made before git runs, so that a half-made checkout is taken away, too.
        let checkout =
            Checkout { path: folder.path().join("base"), root: self.root.clone(), _folder: folder };
        let mut command = Command::new("git");
        command
            .arg("-C")
            .arg(&self.root)
            .args(["worktree", "add", "--detach", "--quiet"])
            .arg(&checkout.path);
        let ended = child::run(command.arg(commit).stdout(Stdio::null()).stderr(Stdio::piped()), stop)?;
        if !ended.status.success() {
            let text = format!("the base cannot be checked out into {}", checkout.path.display());
            return Err(Failure::new(text).because(ended.stderr.trim().to_owned()).into());
        }
        Ok(checkout)
    }
}

/// What a message says of changed files.
pub fn some_of(files: &[String]) -> String {
    let named = files.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match files.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// A commit in a folder of its own.
pub struct Checkout {
    path: PathBuf,
    root: PathBuf,
    _folder: TempDir,
}

impl Checkout {
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let remove = || {
            let mut command = Command::new("git");
            command
                .arg("-C")
                .arg(&self.root)
                .args(["worktree", "remove", "--force", "--force"])
                .arg(&self.path);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            apart(&mut command).status().is_ok_and(|s| s.success())
        };
        // A compiler that was killed a moment ago may still write into the folder.
        let _ = remove() || remove();
    }
}

/// Out of reach of the terminal's Ctrl-C.
#[cfg(unix)]
fn apart(command: &mut Command) -> &mut Command {
    std::os::unix::process::CommandExt::process_group(command, 0)
}

#[cfg(not(unix))]
fn apart(command: &mut Command) -> &mut Command {
    command
}

fn git<const N: usize>(folder: &Path, arguments: [&str; N]) -> Result<Output, Failure> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments.map(OsStr::new)).stdin(Stdio::null());
    command.output().map_err(|e| Failure::new("git cannot be started").hint("install git").because(e))
}

fn failed(what: &str, output: &Output) -> Failure {
    Failure::new(format!("{what} failed")).because(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_files_are_counted() {
        let files = |n: usize| (0..n).map(|i| format!("f{i}")).collect::<Vec<_>>();
        assert_eq!(some_of(&files(3)), "f0, f1, f2");
        assert_eq!(some_of(&files(5)), "f0, f1, f2 and 2 more");
    }
}
