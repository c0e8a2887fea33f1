//! Numbers and strings one after the other.

use super::{Long, Parsed};

/// A place in the bytes of a file.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    long: Long,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8], long: Long) -> Self {
        Self { bytes, at: 0, long }
    }

    pub(super) fn place(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn long_bytes(&self) -> usize {
        match self.long {
            Long::Eight => 8,
            Long::Four => 4,
        }
    }

    /// The next `n` bytes.
    pub(super) fn take(&mut self, n: usize) -> Parsed<&'a [u8]> {
        if n > self.left() {
            return Err(format!("{n} bytes expected, {} are left", self.left()));
        }
        self.at += n;
        Ok(&self.bytes[self.at - n..self.at])
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were asked for"))
    }

    pub(super) fn int(&mut self) -> Parsed<i32> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub(super) fn long(&mut self) -> Parsed<i64> {
        match self.long {
            Long::Eight => Ok(i64::from_le_bytes(self.array()?)),
            Long::Four => Ok(i64::from(self.int()?)),
        }
    }

    pub(super) fn double(&mut self) -> Parsed<f64> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A length and as many bytes.
    pub(super) fn text(&mut self) -> Parsed<Vec<u8>> {
        let n = self.int()?;
        let n = usize::try_from(n).map_err(|_| format!("a string of {n} bytes"))?;
        Ok(self.take(n)?.to_vec())
    }

    pub(super) fn string(&mut self) -> Parsed<String> {
        String::from_utf8(self.text()?).map_err(|_| "a class name that is no text".to_owned())
    }
}
