//! How much is read in the course of one file of weights.

use std::io::Read;

/// Bytes that the parts of one file of weights have together at most: compressed parts can pretend to hold more than any memory does.
pub(super) const MOST: u64 = 2 << 30;

/// Bytes that may still be read.
pub(super) struct Budget {
    left: u64,
    most: u64,
}

impl Budget {
    pub(super) fn new(most: u64) -> Self {
        Self { left: most, most }
    }

    /// Everything that `from` has.
    pub(super) fn read(&mut self, from: impl Read) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let read =
            from.take(self.left.saturating_add(1)).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        let left = self.left.checked_sub(read as u64);
        self.left = left.ok_or_else(|| format!("all parts together have more than {} bytes", self.most))?;
        Ok(bytes)
    }
}
