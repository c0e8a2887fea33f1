//! Files of `torch.save`: the zip archives of today and the sequence of pickles before version 1.6.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use candle_core::{DType, Device, Tensor};
use zip::{CompressionMethod, ZipArchive};

use super::numpy::Tensors;
use super::pickle::{Call, Node, Pickle, Value};
use super::shape::{RANK, elements};

/// What the first pickle of an old file holds.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
/// Version of the old layout.
const PROTOCOL: i128 = 1001;
/// How many times the length of a file is read from its storages at most.
const READS: usize = 64;

/// How an old file begins.
pub(super) const LEGACY: &[u8] = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19";

/// The floating-point tensors of an old file; names in nested dictionaries are joined with dots.
pub(super) fn read_legacy(data: &[u8]) -> Result<Tensors, String> {
    let mut rest = data;
    let mut next = || {
        let pickle = Pickle::read(rest)?;
        rest = &rest[pickle.length..];
        Ok::<_, String>(pickle)
    };
    if next()?.root != Value::Int(MAGIC) {
        return Err("it does not begin like a file of torch".to_owned());
    }
    let version = next()?.root;
    if version != Value::Int(PROTOCOL) {
        return Err(format!("its layout has version {version:?}, {PROTOCOL} is read"));
    }
    let (_system, objects, keys) = (next()?, next()?, next()?);
    let Some(Node::List(keys)) = keys.node(keys.root) else {
        return Err("the list of storages is missing".to_owned());
    };
    let widths = widths(&objects)?;
    let mut storages = BTreeMap::new();
    for key in keys {
        let Value::Text(key) = key else { return Err("a storage without name".to_owned()) };
        let width = *widths.get(key).ok_or_else(|| format!("storage {key} of an unknown type"))?;
        let (count, after) = rest.split_first_chunk().ok_or_else(|| format!("storage {key} is cut short"))?;
        let bytes = usize::try_from(i64::from_le_bytes(*count)).ok().and_then(|n| n.checked_mul(width));
        let parts = bytes.and_then(|bytes| after.split_at_checked(bytes));
        let (content, after) = parts.ok_or_else(|| format!("storage {key} is cut short"))?;
        storages.insert((*key).to_owned(), content);
        rest = after;
    }
    collect(&objects, data.len(), |key| {
        storages.get(key).map(|s| s.to_vec()).ok_or("its storage is missing".to_owned())
    })
}

/// The floating-point tensors of an archive.
pub(super) fn read_zip(data: &[u8]) -> Result<Tensors, String> {
    let mut zip = ZipArchive::new(Cursor::new(data)).map_err(|e| e.to_string())?;
    let root = zip.file_names().find_map(|name| name.ok()?.strip_suffix("data.pkl").map(str::to_owned));
    let root = root.ok_or("the archive has no data.pkl")?;
    let index = entry(&mut zip, &format!("{root}data.pkl"), data.len())?;
    let objects = Pickle::read(&index)?;
    collect(&objects, data.len(), |key| entry(&mut zip, &format!("{root}data/{key}"), data.len()))
}

/// An entry, which torch does not compress: it cannot be longer than the file.
fn entry(zip: &mut ZipArchive<Cursor<&[u8]>>, name: &str, most: usize) -> Result<Vec<u8>, String> {
    let entry = zip.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    if entry.compression() != CompressionMethod::Stored {
        return Err(format!("{name} is compressed, which torch never does"));
    }
    let mut bytes = Vec::new();
    entry.take(most as u64).read_to_end(&mut bytes).map_err(|e| format!("{name}: {e}"))?;
    Ok(bytes)
}

/// Bytes of an element, of the types that torch knows.
fn width(storage: &str) -> Option<usize> {
    match storage {
        "DoubleStorage" | "LongStorage" => Some(8),
        "FloatStorage" | "IntStorage" => Some(4),
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => Some(2),
        "ByteStorage" | "CharStorage" | "BoolStorage" => Some(1),
        _ => None,
    }
}

/// Bytes of the elements of each storage that a pickle refers to.
fn widths<'a>(objects: &Pickle<'a>) -> Result<BTreeMap<&'a str, usize>, String> {
    let storages = objects.persistent().map(|id| storage(objects, id));
    storages
        .map(|storage| {
            let (kind, key) = storage?;
            Ok((key, width(kind).ok_or_else(|| format!("a storage of type {kind}"))?))
        })
        .collect()
}

/// Type and key of `("storage", type, key, place, length, ...)`.
fn storage<'a>(objects: &Pickle<'a>, id: Value<'a>) -> Result<(&'a str, &'a str), String> {
    match objects.tuple(id) {
        Some([Value::Text("storage"), Value::Global("torch", kind), Value::Text(key), ..]) => Ok((kind, key)),
        _ => Err("a reference to something that is no storage".to_owned()),
    }
}

/// The tensors of a file of `length` bytes. Views may share a storage, but not so often that a small file fills the memory or is read
/// for hours.
fn collect(
    objects: &Pickle<'_>,
    length: usize,
    mut fetch: impl FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<Tensors, String> {
    let (mut elements, mut read) = (length, length.saturating_mul(READS));
    let mut tensors = Tensors::new();
    for (name, value) in objects.leaves(".")? {
        let problem = |problem: String| format!("{name}: {problem}");
        // Numbers and texts beside the tensors say nothing about weights.
        let Some(args) = arguments(objects, value).map_err(problem)? else { continue };
        let view = View::new(objects, args).map_err(problem)?;
        let bytes = fetch(view.key).map_err(problem)?;
        let too_many = || problem("the file's tensors share their storages too often".to_owned());
        read = read.checked_sub(bytes.len()).ok_or_else(too_many)?;
        elements = view.count().and_then(|count| elements.checked_sub(count)).ok_or_else(too_many)?;
        if let Some(tensor) = view.read(&bytes).map_err(problem)? {
            tensors.insert(name, tensor);
        }
    }
    Ok(tensors)
}

/// What a tensor is rebuilt from; none for other values, and an error for other calls.
fn arguments<'p, 'a>(objects: &'p Pickle<'a>, value: Value<'a>) -> Result<Option<&'p [Value<'a>]>, String> {
    let Some(call) = objects.call(value) else { return Ok(None) };
    let args = objects.tuple(call.args).unwrap_or_default();
    match (call.callable, args) {
        (Value::Global("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor"), args) => Ok(Some(args)),
        (Value::Global("torch._utils", "_rebuild_parameter"), [tensor, ..]) => match objects.call(*tensor) {
            // A parameter of a parameter would be looked into without end.
            Some(Call { callable: Value::Global("torch._utils", name), args, .. })
                if *name != "_rebuild_parameter" =>
            {
                Ok(objects.tuple(*args))
            }
            _ => Err("a parameter without a tensor".to_owned()),
        },
        (Value::Global(module, function), _) => {
            Err(format!("a call of {module}.{function}, which is not made"))
        }
        _ => Err("a call of something unknown".to_owned()),
    }
}

/// A tensor as a view of a storage.
struct View<'a> {
    kind: &'a str,
    key: &'a str,
    offset: usize,
    size: Vec<usize>,
    stride: Vec<usize>,
}

impl<'a> View<'a> {
    fn new(objects: &Pickle<'a>, args: &[Value<'a>]) -> Result<Self, String> {
        let [id, Value::Int(offset), size, stride, ..] = args else {
            return Err("a tensor of an unknown form".to_owned());
        };
        let Some(Node::Persistent(id)) = objects.node(*id) else {
            return Err("a tensor without storage".to_owned());
        };
        let (kind, key) = storage(objects, **id)?;
        let sizes = |value| -> Option<Vec<usize>> {
            let number = |v: &Value<'_>| if let Value::Int(n) = v { usize::try_from(*n).ok() } else { None };
            objects.tuple(value).filter(|sizes| sizes.len() <= RANK)?.iter().map(number).collect()
        };
        let (Some(size), Some(stride), Ok(offset)) = (sizes(*size), sizes(*stride), usize::try_from(*offset))
        else {
            return Err("a tensor without shape".to_owned());
        };
        Ok(Self { kind, key, offset, size, stride })
    }

    /// Number of elements, if there is one.
    fn count(&self) -> Option<usize> {
        elements(&self.size)
    }

    /// None for whole numbers, such as counts of batches.
    fn read(&self, bytes: &[u8]) -> Result<Option<Tensor>, String> {
        let dtype = match self.kind {
            "FloatStorage" => DType::F32,
            "DoubleStorage" => DType::F64,
            "HalfStorage" => DType::F16,
            "BFloat16Storage" => DType::BF16,
            kind if width(kind).is_some() => return Ok(None),
            kind => return Err(format!("a storage of type {kind}")),
        };
        let length = bytes.len() / dtype.size_in_bytes();
        let storage =
            Tensor::from_raw_buffer(&bytes[..length * dtype.size_in_bytes()], dtype, &[length], &Device::Cpu);
        let storage =
            storage.and_then(|s| s.to_dtype(DType::F32)?.to_vec1::<f32>()).map_err(|e| e.to_string())?;
        let values = self.gather(&storage).ok_or("the tensor reaches beyond its storage")?;
        Tensor::from_vec(values, self.size.as_slice(), &Device::Cpu).map(Some).map_err(|e| e.to_string())
    }

    /// The elements in order; none when they do not all lie in the storage, or are more than it has.
    fn gather(&self, storage: &[f32]) -> Option<Vec<f32>> {
        let count = self.count()?;
        if self.size.len() != self.stride.len() || count > storage.len() {
            return None;
        }
        if count == 0 {
            return Some(Vec::new());
        }
        let mut dense = 1;
        let in_order = self.size.iter().zip(&self.stride).rev().all(|(size, stride)| {
            let fits = *size == 1 || *stride == dense;
            dense *= size;
            fits
        });
        if in_order {
            return storage.get(self.offset..self.offset.checked_add(count)?).map(<[f32]>::to_vec);
        }
        let mut at = vec![self.offset];
        for (size, stride) in self.size.iter().zip(&self.stride) {
            let steps: Vec<usize> = (0..*size).map(|i| i.checked_mul(*stride)).collect::<Option<_>>()?;
            at = at
                .iter()
                .flat_map(|a| steps.iter().map(move |s| a.checked_add(*s)))
                .collect::<Option<_>>()?;
        }
        at.into_iter().map(|i| storage.get(i).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(offset: usize, size: &[usize], stride: &[usize]) -> View<'static> {
        View { kind: "FloatStorage", key: "0", offset, size: size.to_vec(), stride: stride.to_vec() }
    }

    #[test]
    fn views_are_gathered_within_their_storage() {
        let storage = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(view(1, &[2, 2], &[2, 1]).gather(&storage).unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(view(0, &[3, 2], &[1, 3]).gather(&storage).unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(view(5, &[], &[]).gather(&storage).unwrap(), [5.0]);
        assert_eq!(view(9, &[usize::MAX, 0], &[1, 1]).gather(&storage).unwrap(), [0.0; 0]);
        for (offset, size, stride) in [
            (4, [3, 1], [1, 1]),
            (0, [2, 2], [5, 1]),
            (0, [usize::MAX, 2], [1, 1]),
            (0, [7, 1], [0, 0]),
            (0, [2, 2], [usize::MAX, 3]),
            (usize::MAX, [2, 1], [1, 1]),
        ] {
            assert!(view(offset, &size, &stride).gather(&storage).is_none(), "{offset} {size:?} {stride:?}");
        }
        // An empty tensor whose strides overflow.
        assert!(view(0, &[0, usize::MAX, usize::MAX], &[1, 1, 1]).read(&[0; 24]).is_err());
    }

    #[test]
    fn many_views_of_one_storage_are_refused() {
        let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        let views = |count: usize| {
            let id = [
                &b"("[..],
                &text("storage"),
                b"ctorch\nFloatStorage\n",
                &text("0"),
                &text("cpu"),
                b"K\x08tQ",
            ];
            let head = [&b"\x80\x02}("[..], &text("0"), b"ctorch._utils\n_rebuild_tensor_v2\n("].concat();
            let mut data = [&head[..], &id.concat(), b"K\x00K\x08\x85K\x01\x85\x89}tRq\x01"].concat();
            (1..count).for_each(|i| data.extend([&text(&i.to_string())[..], b"h\x01"].concat()));
            data.extend(b"u.");
            data
        };
        let read = |count| {
            let data = views(count);
            collect(&Pickle::read(&data).unwrap(), 64, |_| Ok(vec![0; 32]))
        };
        assert_eq!(read(8).unwrap().len(), 8);
        assert!(read(9).unwrap_err().contains("too often"));
    }
}
