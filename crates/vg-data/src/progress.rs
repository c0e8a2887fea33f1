//! How long work tells its caller where it stands.

/// Receives the progress of downloads and of decoding; the libraries print nothing themselves.
///
/// Methods are called from worker threads.
pub trait Progress: Send + Sync {
    /// A task begins: `what` in words, `total` units of `unit` (0: unknown).
    fn start(&self, what: &str, total: u64, unit: Unit) {
        let _ = (what, total, unit);
    }
    /// `by` more units are done.
    fn advance(&self, by: u64) {
        let _ = by;
    }
    /// The task that began last is over.
    fn finish(&self) {}
    /// Something worth a line, such as a source that failed before the next is tried.
    fn message(&self, text: &str) {
        let _ = text;
    }
}

/// What a task counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes of a transfer.
    Bytes,
    /// Files of a data set.
    Files,
    /// Videos of any length.
    Videos,
}

/// Ignores everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {}
