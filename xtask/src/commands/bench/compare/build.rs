//! Builds of both sides.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::Result;

use super::super::child;
use super::super::suite::Program;
use crate::console;
use crate::failure::Failure;

/// Builds the `xtask` of a source folder for release. `target` is kept, so that the dependencies are built once.
///
/// # Errors
/// [`Failure`] when it cannot be built; [`Interrupted`](child::Interrupted).
pub fn build(who: &str, source: &Path, target: &Path, stop: &AtomicBool) -> Result<Program> {
    console::note(format!("building {who} into {}", target.display()));
    let started = Instant::now();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--package", "xtask", "--bin", "xtask", "--target-dir"]);
    let ended = child::run(command.arg(target).current_dir(source).stdout(Stdio::null()), stop)?;
    let path = target.join("release").join(format!("xtask{}", std::env::consts::EXE_SUFFIX));
    if !ended.status.success() {
        let text = format!("{who} cannot be built ({})", ended.status);
        return Err(Failure::new(text).hint("the compiler's message stands above").into());
    }
    if !path.is_file() {
        let text = format!("{who} was built, but {} does not exist", path.display());
        return Err(Failure::new(text).hint("unset `build.target` in cargo's configuration").into());
    }
    console::note(format!("built in {:.0} s", started.elapsed().as_secs_f64()));
    Ok(Program { path, who: who.to_owned() })
}
