//! How a command ends, and the one place that prints errors.

use std::error::Error as StdError;
use std::fmt;
use std::process::ExitCode;

use crate::console;

/// Exit code of an error.
pub const ERROR: u8 = 2;

/// How a command ended without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// As asked.
    Good,
    /// The figures are worse than asked for.
    Worse,
    /// By Ctrl-C; everything is saved.
    Interrupted,
}

impl From<Done> for ExitCode {
    fn from(done: Done) -> Self {
        Self::from(match done {
            Done::Good => 0,
            Done::Worse => 1,
            Done::Interrupted => 130,
        })
    }
}

/// An error of the command line itself, with the way out where there is one.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// What went wrong.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, cause: None }
    }

    /// The way out, in one sentence.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The error below this one.
    pub fn because(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause.as_ref().map(|c| &**c as &(dyn StdError + 'static))
    }
}

/// Prints `error: ...` with all causes, and `hint: ...` where one is known.
pub fn print(error: &anyhow::Error) {
    console::error(text(error));
    if let Some(hint) = hint(error) {
        console::hint(hint);
    }
}

/// All causes in one line; a cause that its parent quotes already is not repeated.
pub fn text(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text {
        text if text.contains(&cause) => text,
        text if text.is_empty() => cause,
        text => format!("{text}: {cause}"),
    })
}

/// The outermost hint.
fn hint(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| match cause.downcast_ref::<Failure>() {
        Some(failure) => failure.hint.clone(),
        None => match cause.downcast_ref::<vg_metrics::Error>() {
            Some(error) => error.hint(),
            None => cause.downcast_ref::<vg_core::Error>().and_then(vg_core::Error::hint),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_joined_once_and_the_outer_hint_wins() {
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let core = vg_core::Error::io("writing", "a.bin")(io);
        let error = anyhow::Error::from(Failure::new("the run stopped").because(core));
        let shown = text(&error);
        assert!(shown.starts_with("the run stopped: writing a.bin: "), "{shown}");
        assert_eq!(shown.matches("no storage space").count(), 1, "{shown}");
        assert!(hint(&error).is_some_and(|h| h.contains("free some space")));
        let error = anyhow::Error::from(Failure::new("outer").hint("do this").because(error));
        assert_eq!(hint(&error).as_deref(), Some("do this"));
    }
}
