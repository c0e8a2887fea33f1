//! Ctrl-C: the first finishes the step and saves, the second ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::console;
use crate::failure::Failure;

static RAISED: AtomicBool = AtomicBool::new(false);

/// Exit code of an interrupted program.
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C and a polite kill raise the flag that is returned instead of ending the program.
///
/// # Errors
/// [`Failure`] when the system refuses the handler.
pub fn flag() -> Result<&'static AtomicBool, Failure> {
    let handler = || {
        if RAISED.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED);
        }
        console::note("stopping: finishing the step and saving (once more to stop at once)");
    };
    ctrlc::set_handler(handler).map_err(|e| Failure::new("Ctrl-C cannot be handled").because(e))?;
    Ok(&RAISED)
}
