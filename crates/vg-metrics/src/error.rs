//! The one error type of the crate.

/// Result with this crate's [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong in a measurement.
///
/// Messages name the thing, what was expected and what was found; [`Error::hint`] says the way out where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Sizes that do not fit: clips of another length, feature vectors of another dimension, images of another size.
    #[error("{what}: expected {expected}, got {got:?}")]
    Shape {
        /// The thing, such as `clip 3`.
        what: String,
        /// The accepted sizes in words or symbols.
        expected: String,
        /// The sizes found.
        got: Vec<usize>,
    },
    /// Fewer samples than the metric is defined for.
    #[error("{what}: {got} given, at least {needed} needed")]
    TooFew {
        /// What is counted, such as `feature vectors of the fake set`.
        what: String,
        /// How many there are.
        got: usize,
        /// How many there must be.
        needed: usize,
    },
    /// A pixel, feature or probability that is NaN, infinite or out of range.
    #[error("{what} {index}: value {position} is {value}; expected {expected}")]
    Value {
        /// The kind of thing, such as `clip` or `feature vector`.
        what: String,
        /// Which one, counted from 0.
        index: usize,
        /// Position of the first bad value in it, counted from 0.
        position: usize,
        /// The bad value.
        value: f64,
        /// The accepted range in words.
        expected: &'static str,
    },
    /// A setting that the metric is not defined for.
    #[error("{what} is {got}; expected {expected}")]
    Setting {
        /// The setting, such as `k`.
        what: &'static str,
        /// The value given.
        got: String,
        /// The accepted values in words.
        expected: String,
    },
    /// Two results that must not be compared.
    #[error("results of {left} and {right} are not comparable: {differences}")]
    NotComparable {
        /// Name of the first result's metric.
        left: String,
        /// Name of the second result's metric.
        right: String,
        /// All differing fields with both values.
        differences: String,
    },
    /// Stored statistics or results that are damaged or of another version.
    #[error("{what}: {problem}")]
    Format {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// An iteration of the linear algebra that did not converge.
    #[error("{0} did not converge")]
    NoConvergence(&'static str),
    /// A value that overflowed on the way: features that are finite, but too large for their squares.
    #[error("{what} is not finite")]
    NotFinite {
        /// The value, such as `the Fréchet distance of a and b`.
        what: String,
    },
    /// An error of `vg-core`, such as an unknown name.
    #[error(transparent)]
    Core(#[from] vg_core::Error),
    /// An error of the tensor library.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Error {
    /// An [`Error::Shape`].
    pub fn shape(what: impl Into<String>, expected: impl Into<String>, got: &[usize]) -> Self {
        Self::Shape { what: what.into(), expected: expected.into(), got: got.to_vec() }
    }

    /// An [`Error::Setting`].
    pub fn setting(what: &'static str, got: impl ToString, expected: impl Into<String>) -> Self {
        Self::Setting { what, got: got.to_string(), expected: expected.into() }
    }

    /// Checks that there are at least `needed` of something.
    pub(crate) fn at_least(what: impl Into<String>, got: usize, needed: usize) -> Result<()> {
        if got < needed {
            return Err(Self::TooFew { what: what.into(), got, needed });
        }
        Ok(())
    }

    /// The value, unless it is NaN or infinite.
    pub(crate) fn finite(value: f64, what: impl FnOnce() -> String) -> Result<f64> {
        if value.is_finite() { Ok(value) } else { Err(Self::NotFinite { what: what() }) }
    }

    /// The way out, in one sentence, where one is known.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Shape { .. } => {
                "give both sides clips of one size and length, and features of one network; cut or resize them first"
            }
            Self::TooFew { .. } => "give more clips, or choose a metric whose protocol takes fewer",
            Self::Value { .. } => {
                "look at the clip named: a model that diverged, or values scaled to another range, are the usual causes"
            }
            Self::NotComparable { .. } => "measure both sides again under one protocol",
            Self::Format { .. } => "delete the stored file; it will be computed again",
            Self::NoConvergence(_) => "check the features for values of very different magnitude",
            Self::NotFinite { .. } => {
                "check the features: values of more than about 1e75 cannot be squared twice"
            }
            Self::Core(inner) => return inner.hint(),
            Self::Setting { .. } | Self::Tensor(_) => return None,
        };
        Some(hint.to_owned())
    }
}

/// Checks that all values are finite.
pub(crate) fn expect_finite(what: &str, index: usize, values: &[f64]) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(position) => Err(Error::Value {
            what: what.to_owned(),
            index,
            position,
            value: values[position],
            expected: "a finite number",
        }),
    }
}
