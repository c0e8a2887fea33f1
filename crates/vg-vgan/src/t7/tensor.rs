//! Tensors: views of storages.

use std::ops::Range;

use candle_core::{Device, Tensor};
use vg_core::{Error, Result};

use super::cursor::Cursor;
use super::{Entry, File, Parsed, Value};

/// Type of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Double,
    Long,
    Int,
    Short,
    Byte,
    Char,
}

impl Kind {
    /// The type in a class name; tensors of a GPU lie in files like those of the CPU, plain ones as floats.
    pub(super) fn of(name: &str) -> Parsed<Self> {
        Ok(match name.strip_prefix("Cuda").unwrap_or(name) {
            "" if name == "Cuda" => Self::Float,
            "Float" => Self::Float,
            "Double" => Self::Double,
            "Long" => Self::Long,
            "Int" => Self::Int,
            "Short" => Self::Short,
            "Byte" => Self::Byte,
            "Char" => Self::Char,
            _ => return Err(format!("elements of type {name:?} are not known")),
        })
    }
}

/// Elements in the bytes of the file.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    kind: Kind,
    width: usize,
    bytes: Range<usize>,
}

impl Storage {
    pub(super) fn read(kind: &str, at: &mut Cursor<'_>) -> Parsed<Self> {
        let kind = Kind::of(kind)?;
        let n = at.long()?;
        let width = match kind {
            Kind::Double => 8,
            Kind::Long => at.long_bytes(),
            Kind::Float | Kind::Int => 4,
            Kind::Short => 2,
            Kind::Byte | Kind::Char => 1,
        };
        let bytes = usize::try_from(n).ok().and_then(|n| n.checked_mul(width));
        let bytes = bytes.ok_or_else(|| format!("a storage of {n} elements"))?;
        let start = at.place();
        at.take(bytes)?;
        Ok(Self { kind, width, bytes: start..start + bytes })
    }

    fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    /// One element; `index` is below the length.
    fn get(&self, file: &[u8], index: usize) -> f64 {
        let start = self.bytes.start + index * self.width;
        let b = &file[start..start + self.width];
        match (self.kind, b) {
            (Kind::Float, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (Kind::Int | Kind::Long, &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
            (Kind::Double, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            (_, &[a, b, c, d, e, f, g, h]) => i64::from_le_bytes([a, b, c, d, e, f, g, h]) as f64,
            (_, &[a, b]) => f64::from(i16::from_le_bytes([a, b])),
            (Kind::Char, &[a]) => f64::from(a as i8),
            (_, other) => f64::from(other[0]),
        }
    }
}

/// A tensor as written: sizes, strides, first element counted from 1.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub sizes: Vec<i64>,
    pub strides: Vec<i64>,
    pub start: i64,
    pub storage: Value,
}

impl File {
    /// A tensor in f32, on the CPU; one without axes is empty, `[0]`.
    ///
    /// # Errors
    /// [`Error::Format`] for a value that is no tensor, or one that reaches beyond its storage; `what` names it.
    pub fn tensor(&self, value: &Value, what: &str) -> Result<Tensor> {
        let problem = |text: &str| Error::format(&self.path, format!("{what}: {text}"));
        let Some(Entry::Tensor(view)) = self.entry(value) else { return Err(problem("not a tensor")) };
        if view.sizes.is_empty() {
            return Ok(Tensor::from_vec(Vec::<f32>::new(), 0, &Device::Cpu)?);
        }
        let Some(Entry::Storage(storage)) = self.entry(&view.storage) else {
            return Err(problem("a tensor without elements"));
        };
        let outside = || problem("reaches beyond its storage");
        let sizes: Vec<usize> = view
            .sizes
            .iter()
            .map(|n| usize::try_from(*n))
            .collect::<Result<_, _>>()
            .map_err(|_| outside())?;
        // Strides are products of sizes, which must not overflow either where another size is 0.
        sizes.iter().try_fold(1usize, |n, d| n.checked_mul((*d).max(1))).ok_or_else(outside)?;
        let count: usize = sizes.iter().product();
        let first = view.start.checked_sub(1).ok_or_else(outside)?;
        // Views of a storage may repeat its elements, but no network of ours does.
        if count > storage.len() {
            return Err(outside());
        }
        let places = (0..count).map(|i| place(i, &sizes, &view.strides).and_then(|p| p.checked_add(first)));
        let values = places.map(|place| {
            let index = place.and_then(|p| usize::try_from(p).ok()).filter(|p| *p < storage.len());
            index.map(|p| storage.get(&self.bytes, p) as f32)
        });
        let values: Vec<f32> = values.collect::<Option<_>>().ok_or_else(outside)?;
        Ok(Tensor::from_vec(values, sizes, &Device::Cpu)?)
    }
}

/// Distance of element `i`, in the order of rows, from the first.
fn place(mut i: usize, sizes: &[usize], strides: &[i64]) -> Option<i64> {
    let mut sum = 0i64;
    for (size, stride) in sizes.iter().zip(strides).rev() {
        sum = sum.checked_add(stride.checked_mul((i % size) as i64)?)?;
        i /= size;
    }
    Some(sum)
}
