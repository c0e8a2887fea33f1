//! Reads files of Torch7's serialisation (`torch.save`, binary, little-endian), without executing anything in them.

mod cursor;
mod network;
mod tensor;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use vg_core::{Error, Result};

use self::cursor::Cursor;
pub use self::network::read_network;

/// Deepest nesting of objects; networks need about twenty.
const DEEPEST: usize = 200;

/// Size of a `long` in a file: it is that of the machine that wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Long {
    /// 64-bit Linux and macOS.
    #[default]
    Eight,
    /// Windows and 32-bit machines.
    Four,
}

/// A value; tables and objects of classes are places in a [`File`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `nil`, and functions, which are skipped.
    Nil,
    /// A number.
    Number(f64),
    /// Bytes.
    Text(Vec<u8>),
    /// A truth value.
    Bool(bool),
    /// A table or an object, by its number in the file.
    Reference(i32),
}

/// What a reference leads to.
#[derive(Clone, Debug)]
enum Entry {
    /// Read at the moment.
    Open,
    Table(Vec<(Value, Value)>),
    /// An object of a class, such as `nn.Sequential`: most often a table of its fields.
    Object {
        class: String,
        content: Value,
    },
    Tensor(tensor::View),
    Storage(tensor::Storage),
    Function,
}

/// A file that has been read; the elements of its storages stay bytes until they are asked for.
pub struct File {
    path: PathBuf,
    bytes: Vec<u8>,
    entries: HashMap<i32, Entry>,
    root: Value,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] for a file that is cut short or of another format.
    pub fn open(path: &Path, long: Long) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("reading", path))?;
        Self::parse(path, bytes, long)
    }

    fn parse(path: &Path, bytes: Vec<u8>, long: Long) -> Result<Self> {
        let mut reader = Reader { at: Cursor::new(&bytes, long), entries: HashMap::new() };
        let root = reader.value(0).map_err(|problem| {
            Error::format(
                path,
                format!("not a Torch7 file, or cut short (byte {}: {problem})", reader.at.place()),
            )
        })?;
        let entries = reader.entries;
        Ok(Self { path: path.to_path_buf(), bytes, entries, root })
    }

    /// The object that was saved.
    pub fn root(&self) -> &Value {
        &self.root
    }

    /// Class of an object, such as `nn.Sequential`.
    pub fn class(&self, value: &Value) -> Option<&str> {
        match self.entry(value)? {
            Entry::Object { class, .. } => Some(class),
            _ => None,
        }
    }

    /// A field of a table or of an object's table.
    pub fn field(&self, value: &Value, name: &str) -> Option<&Value> {
        self.find(value, |key| matches!(key, Value::Text(t) if t == name.as_bytes()))
    }

    /// An element of an array, counted from 1.
    pub fn element(&self, value: &Value, index: usize) -> Option<&Value> {
        self.find(value, |key| matches!(key, Value::Number(n) if *n == index as f64))
    }

    fn find(&self, value: &Value, is_key: impl Fn(&Value) -> bool) -> Option<&Value> {
        let pairs = match self.entry(value)? {
            Entry::Table(pairs) => pairs,
            Entry::Object { content, .. } => match self.entry(content)? {
                Entry::Table(pairs) => pairs,
                _ => return None,
            },
            _ => return None,
        };
        pairs.iter().find(|(key, _)| is_key(key)).map(|(_, value)| value)
    }

    fn entry(&self, value: &Value) -> Option<&Entry> {
        match value {
            Value::Reference(index) => self.entries.get(index),
            _ => None,
        }
    }
}

/// What went wrong at a place.
type Parsed<T> = Result<T, String>;

struct Reader<'a> {
    at: Cursor<'a>,
    entries: HashMap<i32, Entry>,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Parsed<Value> {
        if depth > DEEPEST {
            return Err(format!("objects nested deeper than {DEEPEST}"));
        }
        match self.at.int()? {
            0 => Ok(Value::Nil),
            1 => Ok(Value::Number(self.at.double()?)),
            2 => Ok(Value::Text(self.at.text()?)),
            3 => self.shared(depth, Self::table),
            4 => self.shared(depth, Self::object),
            5 => Ok(Value::Bool(self.at.int()? == 1)),
            6 => {
                self.function(depth)?;
                Ok(Value::Nil)
            }
            7 | 8 => self.shared(depth, Self::function),
            other => Err(format!("there is no type {other}")),
        }
    }

    /// Something with a number, which is read once and referred to afterwards; it may refer to itself.
    fn shared(
        &mut self,
        depth: usize,
        read: impl FnOnce(&mut Self, usize) -> Parsed<Entry>,
    ) -> Parsed<Value> {
        let index = self.at.int()?;
        if !self.entries.contains_key(&index) {
            self.entries.insert(index, Entry::Open);
            let entry = read(self, depth + 1)?;
            self.entries.insert(index, entry);
        }
        Ok(Value::Reference(index))
    }

    fn table(&mut self, depth: usize) -> Parsed<Entry> {
        let count = self.at.int()?;
        // An entry takes eight bytes at least.
        if count < 0 || count as usize > self.at.left() / 8 {
            return Err(format!("a table of {count} entries"));
        }
        let pairs = (0..count).map(|_| Ok((self.value(depth)?, self.value(depth)?)));
        Ok(Entry::Table(pairs.collect::<Parsed<_>>()?))
    }

    fn object(&mut self, depth: usize) -> Parsed<Entry> {
        let mut class = self.at.string()?;
        if class.starts_with("V ") {
            class = self.at.string()?;
        }
        if let Some(kind) = class.strip_prefix("torch.").and_then(|c| c.strip_suffix("Tensor")) {
            return self.tensor(kind, depth);
        }
        if let Some(kind) = class.strip_prefix("torch.").and_then(|c| c.strip_suffix("Storage")) {
            return Ok(Entry::Storage(tensor::Storage::read(kind, &mut self.at)?));
        }
        Ok(Entry::Object { class, content: self.value(depth)? })
    }

    fn tensor(&mut self, kind: &str, depth: usize) -> Parsed<Entry> {
        tensor::Kind::of(kind)?;
        let rank = self.at.int()?;
        if !(0..=16).contains(&rank) {
            return Err(format!("a tensor of {rank} axes"));
        }
        let mut longs = || (0..rank).map(|_| self.at.long()).collect::<Parsed<Vec<i64>>>();
        let (sizes, strides) = (longs()?, longs()?);
        let start = self.at.long()?;
        let storage = self.value(depth)?;
        Ok(Entry::Tensor(tensor::View { sizes, strides, start, storage }))
    }

    /// Bytecode is skipped; its values may hold objects that others refer to.
    fn function(&mut self, depth: usize) -> Parsed<Entry> {
        self.at.text()?;
        // Those of old files have no number, so that nothing else counts how deep they lie in each other.
        self.value(depth + 1)?;
        Ok(Entry::Function)
    }
}

#[cfg(test)]
mod tests;
