//! The framing of TFRecord files: per record its length, a checksum of that, its data, a checksum of those.
//!
//! Source: TensorFlow, `tensorflow/core/lib/io/record_writer.h`: u64 length, u32 masked CRC-32C of the 8 bytes of the length, data,
//! u32 masked CRC-32C of the data, all little-endian.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use vg_core::{Error, Result};

/// Bytes before the data of a record.
pub const HEADER: u64 = 12;
/// Bytes after them.
pub const FOOTER: u64 = 4;

/// Where a record lies in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its first byte, that of its length.
    pub offset: u64,
    /// Bytes of its data.
    pub length: usize,
}

/// The records of a file that are whole, and what is wrong with the next one, if anything is; no data are read.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read.
pub fn places(path: &Path) -> Result<(Vec<Place>, Option<Error>)> {
    let failed = |e| Error::io("reading", path)(e);
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let mut reader = BufReader::with_capacity(1 << 12, file);
    let (mut places, mut offset) = (Vec::new(), 0);
    while offset < bytes {
        let left = bytes - offset;
        let mut header = [0; HEADER as usize];
        let problem = if left < HEADER {
            Err(format!("cut off: {left} bytes are left, a record has more than {HEADER}"))
        } else {
            reader.read_exact(&mut header).map_err(failed)?;
            length(&header, left - HEADER)
        };
        match problem {
            Ok(length) => {
                places.push(Place { offset, length });
                offset += HEADER + length as u64 + FOOTER;
                // In range: the record ends inside of the file.
                reader.seek_relative(length as i64 + FOOTER as i64).map_err(failed)?;
            }
            Err(problem) => {
                let error = error(path, places.len() + 1, offset, &problem);
                return Ok((places, Some(error)));
            }
        }
    }
    Ok((places, None))
}

/// The length in a header, if its checksum is right and data and footer fit into the `left` bytes after it.
fn length(header: &[u8; HEADER as usize], left: u64) -> std::result::Result<usize, String> {
    let [a, b, c, d, e, f, g, h, crc @ ..] = *header;
    let length = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    if u32::from_le_bytes(crc) != masked_crc(&header[..8]) {
        return Err(
            "the checksum of its length is wrong; the file is damaged, or no TFRecord file".to_owned()
        );
    }
    match length.checked_add(FOOTER) {
        Some(end) if end <= left => usize::try_from(length).map_err(|e| e.to_string()),
        _ => Err(format!("cut off: it has {length} bytes, and {} are left", left.saturating_sub(FOOTER))),
    }
}

/// The data of a record of `length` bytes without their checksum, if it is right.
pub fn checked(mut data: Vec<u8>, length: usize) -> std::result::Result<Vec<u8>, String> {
    match data.get(length..).and_then(|crc| <[u8; 4]>::try_from(crc).ok()) {
        None => Err(format!("cut off: it has {length} bytes, and {} are left", data.len())),
        Some(crc) if u32::from_le_bytes(crc) != masked_crc(&data[..length]) => {
            Err("the checksum of its data is wrong; the file is damaged".to_owned())
        }
        Some(_) => {
            data.truncate(length);
            Ok(data)
        }
    }
}

/// A record as it is written.
#[cfg(test)]
pub fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut out = length.to_vec();
    out.extend(masked_crc(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked_crc(data).to_le_bytes());
    out
}

/// What is wrong with record `number`, counted from 1.
pub fn error(path: &Path, number: usize, offset: u64, problem: &str) -> Error {
    Error::format(path, format!("record {number} at byte {offset}: {problem}"))
}

/// TensorFlow's mask over CRC-32C.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC with the Castagnoli polynomial, reflected (RFC 3720).
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut crc, mut bit) = (i as u32, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(masked_crc(b""), 0xa282_ead8);
    }

    fn scan(bytes: &[u8]) -> (Vec<Place>, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let (places, error) = places(file.path()).unwrap();
        (places, error.map(|e| e.to_string()).unwrap_or_default())
    }

    #[test]
    fn records_follow_each_other() {
        let bytes = [framed(b"one"), framed(b""), framed(&[7; 5000]), framed(b"last")].concat();
        let (places, problem) = scan(&bytes);
        let found: Vec<_> = places.iter().map(|p| (p.offset, p.length)).collect();
        assert_eq!((&found[..], &*problem), (&[(0, 3), (19, 0), (35, 5000), (5051, 4)][..], ""));
        assert_eq!(scan(&[]).0, []);
    }

    #[test]
    fn damage_is_named_with_its_record_and_byte() {
        let mut bytes = [framed(b"one"), framed(b"two")].concat();
        let (places, problem) = scan(&bytes[..30]);
        assert_eq!(places.len(), 1);
        assert!(problem.contains("record 2 at byte 19: cut off: 11 bytes are left"), "{problem}");
        assert!(scan(&bytes[..36]).1.contains("it has 3 bytes, and 1 are left"), "{}", scan(&bytes[..36]).1);
        bytes[19] = 4;
        assert!(scan(&bytes).1.contains("record 2 at byte 19: the checksum of its length is wrong"));
        let huge = [&u64::MAX.to_le_bytes()[..], &masked_crc(&[0xff; 8]).to_le_bytes(), b"x"].concat();
        assert!(scan(&huge).1.contains("cut off"));
        assert!(checked(framed(b"abc")[12..].to_vec(), 3).is_ok());
        assert!(checked(b"abd\0\0\0\0".to_vec(), 3).unwrap_err().contains("checksum of its data"));
        assert!(checked(b"ab".to_vec(), 3).unwrap_err().contains("cut off"));
    }

    proptest! {
        #[test]
        fn any_cut_leaves_the_whole_records(lengths in prop::collection::vec(0usize..40, 1..6), at in 0.0f64..1.0) {
            let records: Vec<Vec<u8>> = lengths.iter().map(|n| framed(&vec![9; *n])).collect();
            let bytes = records.concat();
            let cut = (at * bytes.len() as f64) as usize;
            let ends: Vec<usize> = records.iter().scan(0, |end, r| { *end += r.len(); Some(*end) }).collect();
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let (places, problem) = scan(&bytes[..cut]);
            prop_assert_eq!(places.len(), whole);
            prop_assert_eq!(problem.is_empty(), cut == 0 || ends.contains(&cut));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let (places, problem) = scan(&bytes);
            prop_assert!(bytes.is_empty() || !places.is_empty() || !problem.is_empty());
        }
    }
}
