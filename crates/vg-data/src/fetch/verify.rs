//! Lengths and checksums.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};

use sha2::{Digest, Sha256};
use vg_core::{Error, Result};

use super::open_plain;
use crate::manifest::FileEntry;

/// Copies `from` (unpacked if it is gzipped) to `folder` and checks what arrives; returns name and length.
pub(super) fn copy(from: &Path, file: &FileEntry, folder: &Path) -> Result<(String, u64)> {
    let mut reader = open_plain(from)?;
    let (bytes, sha256) = save(&mut reader, &folder.join(&file.name), from, file.bytes)?;
    check(from, (file.bytes, &file.sha256), (bytes, &sha256))?;
    Ok((file.name.clone(), bytes))
}

/// Writes everything (at most one byte more than `limit`) to a new file; returns its length and SHA-256.
pub(super) fn save(reader: &mut dyn Read, to: &Path, from: &Path, limit: u64) -> Result<(u64, String)> {
    let mut out = File::create(to).map_err(Error::io("writing", to))?;
    let (mut hash, mut bytes) = (Sha256::new(), 0_u64);
    let mut buffer = vec![0; 1 << 16];
    while bytes <= limit {
        let n =
            reader.read(&mut buffer).map_err(|e| Error::format(from, format!("damaged archive ({e})")))?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        bytes += n as u64;
        out.write_all(&buffer[..n]).map_err(Error::io("writing", to))?;
    }
    out.sync_all().map_err(Error::io("writing", to))?;
    Ok((bytes, format!("{:x}", hash.finalize())))
}

/// Refuses a file of another length or content.
pub(super) fn check(path: &Path, expected: (u64, &str), got: (u64, &str)) -> Result<()> {
    if expected.0 != got.0 {
        return Err(Error::format(
            path,
            format!("the length differs (expected {} bytes, got {})", expected.0, got.0),
        ));
    }
    if expected.1 != got.1 {
        return Err(Error::format(
            path,
            format!("the checksum differs (expected {}, got {})", expected.1, got.1),
        ));
    }
    Ok(())
}

/// Length and SHA-256 of a file.
pub(super) fn measure(path: &Path) -> Result<(u64, String)> {
    let mut file = File::open(path).map_err(Error::io("reading", path))?;
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer).map_err(Error::io("reading", path))?;
        if n == 0 {
            return Ok((bytes, format!("{:x}", hash.finalize())));
        }
        hash.update(&buffer[..n]);
        bytes += n as u64;
    }
}
