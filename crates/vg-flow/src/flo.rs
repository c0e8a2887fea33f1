//! `.flo` files, the format of the Middlebury flow benchmark.
//!
//! Little-endian: the number 202021.25 as f32 (the letters "PIEH"), width and height as i32, then `u, v` of each pixel as f32, row by row.
//! There is no version in it; the number at its beginning is what tells it from other files.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{FlowError, Result};
use crate::flow::Flow;

const MAGIC: [u8; 4] = 202021.25f32.to_le_bytes();
const HEADER: usize = 12;

/// A flow as the bytes of a `.flo` file.
///
/// # Errors
/// [`FlowError::Length`] when `data` does not fit the flow's height and width.
pub fn to_bytes(flow: &Flow) -> Result<Vec<u8>> {
    let area = flow.height * flow.width;
    if flow.data.len() != 2 * area {
        let (shape, got) = (format!("[2, {}, {}]", flow.height, flow.width), flow.data.len());
        return Err(FlowError::Length { what: "flow", shape, expected: 2 * area, got });
    }
    let mut bytes = Vec::with_capacity(HEADER + 8 * area);
    bytes.extend(MAGIC);
    bytes.extend((flow.width as i32).to_le_bytes());
    bytes.extend((flow.height as i32).to_le_bytes());
    for (u, v) in flow.u().iter().zip(flow.v()) {
        bytes.extend(u.to_le_bytes());
        bytes.extend(v.to_le_bytes());
    }
    Ok(bytes)
}

/// The flow in the bytes of a `.flo` file; `Err` says what is wrong with them.
fn from_bytes(bytes: &[u8]) -> std::result::Result<Flow, String> {
    let Some((header, values)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(format!("too short for a .flo file: {} bytes, its header has {HEADER}", bytes.len()));
    };
    let (words, _) = header.as_chunks::<4>();
    if words[0] != MAGIC {
        return Err(format!("not a .flo file: it begins with {:?} instead of \"PIEH\"", words[0]));
    }
    let (width, height) = (i32::from_le_bytes(words[1]), i32::from_le_bytes(words[2]));
    let area = u128::try_from(width).ok().zip(u128::try_from(height).ok()).map(|(w, h)| w * h);
    let Some(area) = area.filter(|a| *a > 0) else {
        return Err(format!("a .flo file of {width} x {height} (width x height)"));
    };
    if values.len() as u128 != 8 * area {
        let expected = 8 * area + HEADER as u128;
        return Err(format!("{width} x {height} flows take {expected} bytes, this file has {}", bytes.len()));
    }
    let (words, _) = values.as_chunks::<4>();
    let one = |component: usize| words.iter().skip(component).step_by(2).map(|w| f32::from_le_bytes(*w));
    let data = one(0).chain(one(1)).collect();
    Ok(Flow { height: height as usize, width: width as usize, data })
}

/// Reads a `.flo` file.
///
/// # Errors
/// [`FlowError::Io`] when it cannot be read, [`FlowError::Format`] when its first bytes, size or length are not those of a flow.
pub fn read(path: impl AsRef<Path>) -> Result<Flow> {
    let path = path.as_ref();
    let bytes = std::fs::read(path).map_err(|source| io("reading", path, source))?;
    from_bytes(&bytes).map_err(|problem| FlowError::Format { path: path.to_path_buf(), problem })
}

/// Writes a `.flo` file, whole or not at all: the file appears under its name when it is complete.
///
/// # Errors
/// [`FlowError::Io`] when it cannot be written, [`FlowError::Length`] when the flow's values do not fit its size.
pub fn write(path: impl AsRef<Path>, flow: &Flow) -> Result<()> {
    let path = path.as_ref();
    let bytes = to_bytes(flow)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    write().map_err(|source| io("writing", path, source))
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> FlowError {
    FlowError::Io { action, path: PathBuf::from(path), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_by_hand() {
        let flow = Flow::new(1, 2, vec![1.0, 2.0, -0.5, 0.0]).unwrap();
        let bytes = to_bytes(&flow).unwrap();
        assert_eq!(bytes[..12], *b"PIEH\x02\0\0\0\x01\0\0\0");
        let values: Vec<f32> = bytes[12..].as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        assert_eq!(values, [1.0, -0.5, 2.0, 0.0]);
        assert_eq!(from_bytes(&bytes).unwrap(), flow);
    }

    #[test]
    fn damage_is_named() {
        let bytes = to_bytes(&Flow::zeros(2, 3)).unwrap();
        let problem = |bytes: &[u8]| from_bytes(bytes).unwrap_err();
        assert!(problem(&bytes[..11]).contains("too short"));
        assert_eq!(problem(&bytes[..20]), "3 x 2 flows take 60 bytes, this file has 20");
        assert!(problem(&[&bytes[..], &[0]].concat()).contains("this file has 61"));
        let mut other = bytes.clone();
        other[0] = b'Q';
        assert!(problem(&other).contains("not a .flo file"));
        let mut negative = bytes.clone();
        negative[7] = 0xff;
        assert!(problem(&negative).contains("-16777213 x 2"));
        let mut huge = bytes;
        huge[4..12].copy_from_slice(&[0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0x7f]);
        assert!(problem(&huge).contains("this file has 60"));
    }
}
