//! What goes to the terminal: results to stdout, everything else to stderr, bars and colour only where a person looks.

use std::fmt::Display;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::LazyLock;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// All bars; lines are written around them.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Whether stderr is a terminal, so that bars make sense.
pub fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// A line of results on stdout. A reader that has gone away is no error: `cargo xtask models | head -1` is fine.
///
/// # Errors
/// Those of the disk when stdout is a file.
pub fn result(line: impl Display) -> io::Result<()> {
    let written = BARS.suspend(|| {
        let mut out = io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush())
    });
    match written {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// A JSON object as a line of results.
///
/// # Errors
/// As [`result`].
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    Ok(result(serde_json::to_string(value)?)?)
}

/// Something worth knowing.
pub fn note(line: impl Display) {
    line_to_stderr("", "", &line);
}

/// Something that may be wrong.
pub fn warn(line: impl Display) {
    line_to_stderr("warning: ", "\x1b[33;1m", &line);
}

/// What went wrong.
pub fn error(line: impl Display) {
    line_to_stderr("error: ", "\x1b[31;1m", &line);
}

/// The way out.
pub fn hint(line: impl Display) {
    line_to_stderr("hint: ", "\x1b[36;1m", &line);
}

/// A bar on stderr; it shows nothing when stderr is no terminal.
///
/// # Panics
/// When `template` is not one of indicatif's, which is a mistake in the source.
pub fn bar(total: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("a template written in this crate");
    BARS.add(ProgressBar::new(total).with_style(style.progress_chars("=> ")))
}

fn line_to_stderr(label: &str, colour: &str, line: &dyn Display) {
    let coloured = !label.is_empty() && is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let text = if coloured { format!("{colour}{label}\x1b[0m{line}\n") } else { format!("{label}{line}\n") };
    // Nobody is left to be told when stderr is gone.
    BARS.suspend(|| {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    });
}
