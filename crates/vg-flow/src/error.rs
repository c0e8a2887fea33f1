//! Everything that can go wrong in this crate.

use std::path::PathBuf;

/// Result with this crate's [`FlowError`].
pub type Result<T, E = FlowError> = std::result::Result<T, E>;

/// What can go wrong with flows, pictures and their files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlowError {
    /// Two things that lie over each other have different sizes.
    #[error("{what}: expected {} x {} (height x width), got {} x {}", .expected.0, .expected.1, .got.0, .got.1)]
    Size {
        /// The thing with the wrong size.
        what: &'static str,
        /// Height and width that were expected.
        expected: (usize, usize),
        /// Height and width that were found.
        got: (usize, usize),
    },
    /// A picture that is too small for a method.
    #[error(
        "{method} needs at least {least} pixels on each side, got {height} x {width}; enlarge the frames or take no flow for them"
    )]
    TooSmall {
        /// The method.
        method: &'static str,
        /// Its smallest side.
        least: usize,
        /// Height of the picture.
        height: usize,
        /// Width of the picture.
        width: usize,
    },
    /// A buffer whose length does not follow from the sizes.
    #[error("{what}: expected {expected} values for {shape}, got {got}")]
    Length {
        /// The buffer.
        what: &'static str,
        /// The shape in words or symbols.
        shape: String,
        /// Number of values that follows from the shape.
        expected: usize,
        /// Number of values found.
        got: usize,
    },
    /// A value out of its range.
    #[error("{what}: expected {expected}, got {got}")]
    Value {
        /// The thing with the value.
        what: &'static str,
        /// The accepted range.
        expected: &'static str,
        /// The value found.
        got: f32,
    },
    /// A file that is damaged or of another format.
    #[error("{}: {problem}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The operating system refused a file operation.
    #[error("{action} {}: {source}", .path.display())]
    Io {
        /// The attempted action: `reading`, `writing`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}
