//! The one error type of all libraries.

use std::path::{Path, PathBuf};

/// Result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong below the command line.
///
/// Messages name the thing, what was expected and what was found; [`Error::hint`] says the way out where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor has the wrong rank or size.
    #[error("{what}: expected {expected}, got {got:?}")]
    Shape {
        /// The tensor's role, such as `video`.
        what: &'static str,
        /// The accepted shape in words or symbols.
        expected: String,
        /// The shape found.
        got: Vec<usize>,
    },
    /// A name that is not in a closed list: model, preset, data set, configuration key.
    #[error("there is no {kind} {name:?}{}; known: {known}", suggestion_text(.suggestion))]
    Unknown {
        /// What the name should have named, such as `preset of tgan`.
        kind: String,
        /// The name as given.
        name: String,
        /// The nearest known name, if any is near.
        suggestion: Option<String>,
        /// All known names, separated by commas.
        known: String,
    },
    /// A configuration value of the wrong type or out of range.
    #[error("configuration {key}: {problem}")]
    Config {
        /// Dotted path of the value, such as `train.lr`.
        key: String,
        /// What is wrong and what is accepted.
        problem: String,
    },
    /// The operating system refused a file operation.
    #[error("{action} {}: {source}", .path.display())]
    Io {
        /// The attempted action, as a verb: `reading`, `writing`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file that is damaged or of another format or version.
    #[error("{}: {problem}", .path.display())]
    Format {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Tensors of a checkpoint or weight file that do not fit the model.
    #[error("{what} do not fit the model: {problems}")]
    Weights {
        /// Where the tensors come from.
        what: String,
        /// All missing, unexpected and misshapen tensors.
        problems: String,
    },
    /// A loss that is NaN or infinite.
    #[error("loss {loss:?} is {value} at step {step}")]
    NonFinite {
        /// Name of the loss as logged.
        loss: String,
        /// Its value.
        value: f64,
        /// The step, counted from 1.
        step: u64,
    },
    /// A data set that is missing, empty or not what the model needs.
    #[error("{0}")]
    Data(String),
    /// A request that the model or data cannot serve.
    #[error("{0}")]
    Unsupported(String),
    /// An error of the tensor library.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// An [`Error::Unknown`] with the nearest of `known` as its suggestion.
    pub fn unknown<'a>(
        kind: impl Into<String>,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let suggestion = known
            .iter()
            .map(|k| (strsim::damerau_levenshtein(k, name), *k))
            .min()
            .filter(|(distance, k)| *distance <= k.len().max(name.len()).div_ceil(3))
            .map(|(_, k)| k.to_owned());
        Self::Unknown { kind: kind.into(), name: name.to_owned(), suggestion, known: known.join(", ") }
    }

    /// An [`Error::Config`].
    pub fn config(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Config { key: key.into(), problem: problem.into() }
    }

    /// An [`Error::Io`] as a closure for `map_err`.
    pub fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// An [`Error::Format`].
    pub fn format(path: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self::Format { path: path.as_ref().to_path_buf(), problem: problem.into() }
    }

    /// An [`Error::Shape`] for a tensor.
    pub fn shape(what: &'static str, expected: impl Into<String>, got: &[usize]) -> Self {
        Self::Shape { what, expected: expected.into(), got: got.to_vec() }
    }

    /// The way out, in one sentence, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NonFinite { .. } => Some(
                "the last checkpoint is intact; resume from it with a lower learning rate (`--set train.lr=...`) or another seed"
                    .to_owned(),
            ),
            Self::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("free some space on that disk, then run the same command again; finished files are intact".to_owned())
            }
            _ => None,
        }
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Tensor(inner) => inner,
            other => candle_core::Error::wrap(other),
        }
    }
}

fn suggestion_text(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|s| format!(" (did you mean {s:?}?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested_and_a_far_one_is_not() {
        let near = Error::unknown("model", "tgna", ["tgan", "vgan"]);
        assert_eq!(near.to_string(), r#"there is no model "tgna" (did you mean "tgan"?); known: tgan, vgan"#);
        let far = Error::unknown("model", "stylegan", ["tgan", "svg"]);
        assert!(!far.to_string().contains("did you mean"), "{far}");
    }
}
