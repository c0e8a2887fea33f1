//! Ctrl-C: the first lets a command end in order, the second ends the program at once.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::console;
use crate::failure::Failure;

static RAISED: AtomicBool = AtomicBool::new(false);

/// Exit code of an interrupted program.
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C and a polite kill raise the flag that is returned instead of ending the program; `note` says what happens now.
///
/// # Errors
/// [`Failure`] when the system refuses the handler.
pub fn flag(note: &'static str) -> Result<&'static AtomicBool, Failure> {
    let handler = move || {
        if RAISED.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED);
        }
        console::note(format!("stopping: {note} (once more to stop at once)"));
    };
    ctrlc::set_handler(handler).map_err(|e| Failure::new("Ctrl-C cannot be handled").because(e))?;
    Ok(&RAISED)
}
