//! Arrays of numpy: inside pickles, in `.npy` files and in `.npz` archives.

use std::collections::BTreeMap;
use std::io::Cursor;

use candle_core::{Device, Tensor};
use zip::ZipArchive;

use super::budget::{Budget, MOST};
use super::pickle::{Pickle, Value};
use super::shape::{RANK, elements};

pub(super) type Tensors = BTreeMap<String, Tensor>;

/// Arrays in nested dictionaries; their keys are joined with `/`. All else is refused.
pub(super) fn read_pickle(data: &[u8]) -> Result<Tensors, String> {
    let pickle = Pickle::read(data)?;
    let mut tensors = Tensors::new();
    // Arrays may share their bytes; a small file must not fill the memory that way.
    let mut left = data.len();
    for (path, value) in pickle.leaves("/")? {
        let tensor = array(&pickle, value).map_err(|problem| format!("{problem} at {path:?}"))?;
        left =
            left.checked_sub(tensor.elem_count()).ok_or("the file's arrays share their bytes too often")?;
        tensors.insert(path, tensor);
    }
    Ok(tensors)
}

/// An array as `numpy.ndarray.__reduce__` writes it.
fn array(pickle: &Pickle<'_>, value: Value<'_>) -> Result<Tensor, String> {
    let call = pickle.call(value).ok_or("something other than an array")?;
    match call.callable {
        Value::Global("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {}
        Value::Global(module, name) => return Err(format!("a call of {module}.{name}, which is not made,")),
        _ => return Err("a call of something unknown".to_owned()),
    }
    let state = call.state.and_then(|state| pickle.tuple(state)).ok_or("an array without content")?;
    let [_, shape, dtype, Value::Bool(fortran), Value::Bytes(bytes)] = state else {
        return Err("an array of an unknown form".to_owned());
    };
    let shape = pickle.tuple(*shape).filter(|shape| shape.len() <= RANK).ok_or("an array without shape")?;
    let size = |v: &Value<'_>| match v {
        Value::Int(n) => usize::try_from(*n).map_err(|e| e.to_string()),
        _ => Err("an array without shape".to_owned()),
    };
    let shape: Vec<usize> = shape.iter().map(size).collect::<Result<_, _>>()?;
    tensor(&element(pickle, *dtype)?, &shape, *fortran, bytes)
}

/// Element type, such as `<f4`, of `numpy.dtype("f4")` with the byte order in its state.
fn element(pickle: &Pickle<'_>, dtype: Value<'_>) -> Result<String, String> {
    let unknown = || "an array of an unknown element type".to_owned();
    let call = pickle.call(dtype).filter(|call| call.callable == Value::Global("numpy", "dtype"));
    let call = call.ok_or_else(unknown)?;
    let Some([Value::Text(kind), ..]) = pickle.tuple(call.args) else { return Err(unknown()) };
    match call.state.and_then(|state| pickle.tuple(state)) {
        Some([_, Value::Text(order), ..]) => Ok(format!("{order}{kind}")),
        _ => Err(unknown()),
    }
}

fn tensor(element: &str, shape: &[usize], fortran: bool, bytes: &[u8]) -> Result<Tensor, String> {
    let width = match element {
        "<f4" => 4,
        "<f8" => 8,
        _ => return Err(format!("elements of type {element:?}; <f4 and <f8 are read")),
    };
    if elements(shape).and_then(|n| n.checked_mul(width)) != Some(bytes.len()) {
        return Err(format!("{} bytes for an array {shape:?} of {element}", bytes.len()));
    }
    if fortran && shape.len() > 1 {
        return Err("an array in Fortran's order".to_owned());
    }
    let values: Vec<f32> = match width {
        4 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        _ => {
            let wide = |b: &[u8]| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
            bytes.chunks_exact(8).map(|b| wide(b) as f32).collect()
        }
    };
    Tensor::from_vec(values, shape, &Device::Cpu).map_err(|e| e.to_string())
}

/// The arrays of an archive, by name.
pub(super) fn read_npz(data: &[u8]) -> Result<Tensors, String> {
    read_within(data, Budget::new(MOST))
}

fn read_within(data: &[u8], mut budget: Budget) -> Result<Tensors, String> {
    let mut zip = ZipArchive::new(Cursor::new(data)).map_err(|e| e.to_string())?;
    let mut tensors = Tensors::new();
    for index in 0..zip.len() {
        let entry = zip.by_index(index).map_err(|e| e.to_string())?;
        let name = entry.name().map_err(|e| e.to_string())?.into_owned();
        let Some(key) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        let bytes = budget.read(entry).map_err(|e| format!("{name}: {e}"))?;
        tensors.insert(key, read_npy(&bytes).map_err(|e| format!("{name}: {e}"))?);
    }
    Ok(tensors)
}

fn read_npy(data: &[u8]) -> Result<Tensor, String> {
    let cut = || "the file is cut short".to_owned();
    let rest = data.strip_prefix(b"\x93NUMPY").ok_or("it does not begin like an .npy file")?;
    let (version, rest) = rest.split_at_checked(2).ok_or_else(cut)?;
    let (length, rest) = match (version[0], rest) {
        (1, [a, b, rest @ ..]) => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        (2 | 3, [a, b, c, d, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(format!("version {} of the format is not known", version[0])),
    };
    let (header, bytes) = rest.split_at_checked(length).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| "its header is no text")?;
    let field = |name: &str| {
        let (_, after) =
            header.split_once(&format!("'{name}':")).ok_or(format!("its header has no {name}"))?;
        Ok::<_, String>(after.trim_start())
    };
    let element = field("descr")?.split('\'').nth(1).ok_or("its header has no element type")?.to_owned();
    let fortran = field("fortran_order")?.starts_with("True");
    let shape =
        field("shape")?.strip_prefix('(').and_then(|s| s.split_once(')')).ok_or("its header has no shape")?.0;
    let sizes = shape.split(',').map(str::trim).filter(|s| !s.is_empty());
    let shape: Vec<usize> =
        sizes.map(str::parse).collect::<Result<_, _>>().map_err(|_| "its header has no shape")?;
    tensor(&element, &shape, fortran, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, bytes: &[u8]) -> Vec<u8> {
        let mut data = b"\x93NUMPY\x01\x00".to_vec();
        data.extend((header.len() as u16).to_le_bytes());
        data.extend(header.as_bytes());
        data.extend(bytes);
        data
    }

    #[test]
    fn arrays_are_checked_against_their_header() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n";
        let data = npy(header, &[0, 0, 128, 63, 0, 0, 0, 64]);
        let x = read_npy(&data).unwrap();
        assert_eq!(x.to_vec2::<f32>().unwrap(), [[1.0], [2.0]]);
        for cut in 0..data.len() {
            assert!(read_npy(&data[..cut]).is_err());
        }
        let message = |h: &str| read_npy(&npy(h, &[0; 8])).unwrap_err();
        assert!(message(&header.replace("(2, 1)", "(3,)")).contains("8 bytes for an array [3]"));
        assert!(message(&header.replace("(2, 1)", "(4294967296, 4294967296, 9)")).contains("8 bytes"));
        let empty = header.replace("(2, 1)", &format!("(0, {0}, {0})", usize::MAX));
        assert!(read_npy(&npy(&empty, &[])).unwrap_err().contains("0 bytes for an array"));
        assert!(message(&header.replace("<f4", "|O")).contains("|O"));
        assert!(message(&header.replace("False", "True")).contains("Fortran"));
    }

    #[test]
    fn the_arrays_of_an_archive_share_one_budget() {
        let data = include_bytes!("../../tests/fixtures/weights/compressed.npz");
        let whole: u64 = {
            let mut zip = ZipArchive::new(Cursor::new(&data[..])).unwrap();
            (0..zip.len()).map(|i| zip.by_index(i).unwrap().size()).sum()
        };
        assert_eq!(read_within(data, Budget::new(whole)).unwrap().len(), 2);
        let problem = read_within(data, Budget::new(whole - 1)).unwrap_err();
        assert!(problem.contains(&format!("together have more than {} bytes", whole - 1)), "{problem}");
    }

    #[test]
    fn only_arrays_are_accepted_in_pickles() {
        let call = b"\x80\x02}X\x01\x00\x00\x00acos\nsystem\nX\x02\x00\x00\x00ls\x85Rs.";
        assert!(read_pickle(call).unwrap_err().contains("os.system"));
        assert!(
            read_pickle(b"\x80\x02}X\x01\x00\x00\x00aK\x01s.").unwrap_err().contains("other than an array")
        );
    }
}
