//! One benchmark at a time: two at once would time each other.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::Result;
use vg_core::Error;

use crate::failure::Failure;

/// Waits until no other benchmark of this machine runs, as long as the returned file is open; the PyTorch peers of models wait for
/// the same file.
pub fn wait_until_alone() -> Option<File> {
    let path = std::env::temp_dir().join("video-peers-bench.lock");
    let file = File::options().create(true).append(true).open(path).ok()?;
    file.lock().ok()?;
    Some(file)
}

/// Keeps a second comparison from replacing the programs of the first, as long as the returned file is open.
///
/// # Errors
/// [`Failure`] when another one runs; errors of the disk.
pub fn only_comparison(target: &Path) -> Result<File> {
    fs::create_dir_all(target).map_err(Error::io("creating", target))?;
    let path = target.join("bench-compare.lock");
    let file = File::options().create(true).append(true).open(&path).map_err(Error::io("opening", &path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Failure::new("another comparison runs in this repository")
            .hint("wait until it has ended")
            .into()),
        // Systems that cannot lock files go without.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}
