//! Sets of feature vectors, one per clip or frame.

use crate::error::{Error, Result, expect_finite};

/// `N` feature vectors of `d` numbers, in f64: 8 N d bytes.
///
/// For Fréchet distances of large sets a [`crate::Gaussian`] needs no more than d² numbers; kernels and neighbour metrics need all vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    what: String,
    dim: usize,
    values: Vec<f64>,
}

impl Features {
    /// An empty set; `what` is its name in errors, such as `fake clips`.
    ///
    /// # Errors
    /// [`Error::Setting`] when `dim` is 0.
    pub fn new(what: impl Into<String>, dim: usize) -> Result<Self> {
        if dim == 0 {
            return Err(Error::setting("dimension of the features", dim, "1 or more"));
        }
        Ok(Self { what: what.into(), dim, values: Vec::new() })
    }

    /// A set from rows, `[N, dim]` in C order.
    ///
    /// # Errors
    /// As [`Features::push`].
    pub fn from_rows<T: Copy + Into<f64>>(what: impl Into<String>, dim: usize, rows: &[T]) -> Result<Self> {
        let mut set = Self::new(what, dim)?;
        set.push(rows)?;
        Ok(set)
    }

    /// Appends rows, `[n, dim]` in C order. Nothing is kept of a batch with an error.
    ///
    /// # Errors
    /// [`Error::Shape`] when the length is no multiple of `dim`, [`Error::Value`] with the number of the vector that is not finite.
    pub fn push<T: Copy + Into<f64>>(&mut self, rows: &[T]) -> Result<()> {
        let start = self.values.len();
        append_rows(&self.what, self.dim, start / self.dim, &mut self.values, rows)
            .inspect_err(|_| self.values.truncate(start))
    }

    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// Whether there are no vectors.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Numbers per vector.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Name of the set in errors.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Vector `i`.
    ///
    /// # Panics
    /// When `i` is out of range.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.dim..][..self.dim]
    }

    /// All vectors.
    pub fn rows(&self) -> std::slice::ChunksExact<'_, f64> {
        self.values.chunks_exact(self.dim)
    }

    /// All numbers, `[N, d]` in C order.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The vectors with the given numbers, in that order.
    ///
    /// # Panics
    /// When an index is out of range.
    pub fn select(&self, indices: &[usize]) -> Self {
        let values = indices.iter().flat_map(|&i| self.row(i)).copied().collect();
        Self { what: self.what.clone(), dim: self.dim, values }
    }

    /// Checks that two sets have one dimension and at least `needed` vectors each.
    pub(crate) fn expect_pair(&self, other: &Self, needed: usize) -> Result<()> {
        if self.dim != other.dim {
            let what = format!("features of {}", other.what);
            return Err(Error::shape(
                what,
                format!("[N, {}] as {}", self.dim, self.what),
                &[other.len(), other.dim],
            ));
        }
        for set in [self, other] {
            Error::at_least(format!("feature vectors of {}", set.what), set.len(), needed)?;
        }
        Ok(())
    }
}

/// Appends `[n, dim]` rows to `to` after checking them; the first new row has number `first`.
pub(crate) fn append_rows<T: Copy + Into<f64>>(
    what: &str,
    dim: usize,
    first: usize,
    to: &mut Vec<f64>,
    rows: &[T],
) -> Result<()> {
    if !rows.len().is_multiple_of(dim) {
        return Err(Error::shape(
            format!("features of {what}"),
            format!("rows of {dim} numbers"),
            &[rows.len()],
        ));
    }
    let start = to.len();
    to.extend(rows.iter().map(|&v| v.into()));
    for (i, row) in to[start..].chunks_exact(dim).enumerate() {
        expect_finite(&format!("feature vector of {what}"), first + i, row)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_rows_are_named_and_not_kept() {
        let mut set = Features::from_rows("fake clips", 2, &[1.0_f32, 2.0]).unwrap();
        let error = set.push(&[0.0, 1.0, f64::NAN, 0.0]).unwrap_err();
        assert!(error.to_string().starts_with("feature vector of fake clips 2: value 0 is NaN"), "{error}");
        assert!(set.push(&[0.0]).is_err());
        assert_eq!((set.len(), set.row(0)), (1, &[1.0, 2.0][..]));
        assert!(Features::new("none", 0).is_err());
    }

    #[test]
    fn selection_keeps_the_order_given() {
        let set = Features::from_rows("x", 1, &[0.0, 1.0, 2.0]).unwrap();
        assert_eq!(set.select(&[2, 0]).values(), &[2.0, 0.0]);
    }
}
