//! Programs that are run to their end, or until Ctrl-C.

use std::fmt;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;

use crate::failure::Failure;

/// Between two looks at a running child; rare enough to cost it nothing.
const POLL: Duration = Duration::from_millis(50);

/// The error of a child that was stopped by Ctrl-C.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// How a child ended, with what it wrote where that was piped.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program without input. When `stop` is raised it is killed.
///
/// # Errors
/// [`Interrupted`]; [`Failure`] when it cannot be started.
pub fn run(command: &mut Command, stop: &AtomicBool) -> Result<Ended> {
    let name = command.get_program().to_string_lossy().into_owned();
    let failed = |e| Failure::new(format!("{name} cannot be started")).because(e);
    let mut child = command.stdin(Stdio::null()).spawn().map_err(failed)?;
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let status = wait(&mut child, stop)?;
    Ok(Ended { status, stdout: text(stdout), stderr: text(stderr) })
}

fn wait(child: &mut Child, stop: &AtomicBool) -> Result<ExitStatus> {
    loop {
        let status = child.try_wait()?;
        if status.is_some_and(|s| !s.success()) {
            // Ctrl-C reaches the child, too, and may end it before the flag is up.
            thread::sleep(POLL);
        }
        if stop.load(Ordering::SeqCst) {
            // Fails only when the child has ended already.
            let _ = child.kill();
            child.wait()?;
            return Err(Interrupted.into());
        }
        match status {
            Some(status) => return Ok(status),
            None => thread::sleep(POLL),
        }
    }
}

/// Reads beside the running child, which would stop at a full pipe.
fn collect(pipe: Option<impl Read + Send + 'static>) -> Option<JoinHandle<io::Result<Vec<u8>>>> {
    let mut pipe = pipe?;
    Some(thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).map(|_| bytes)
    }))
}

fn text(reader: Option<JoinHandle<io::Result<Vec<u8>>>>) -> String {
    let bytes = reader.and_then(|r| r.join().ok()?.ok()).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
