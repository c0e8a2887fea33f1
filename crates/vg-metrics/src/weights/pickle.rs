//! Reads Python pickles as data: nothing is imported, called or built but the values below.
//!
//! Containers lie in an arena, so that neither cycles nor deep nesting can exhaust the stack, and byte strings are borrowed from the
//! file, so that memory is bounded by its length.

use std::collections::{BTreeMap, BTreeSet};

/// Levels of dictionaries.
const DEPTH: usize = 8;

/// What a pickle holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Something to import, by module and name.
    Global(&'a str, &'a str),
    /// A container, by its place in the arena.
    Node(usize),
}

#[derive(Debug)]
pub(super) enum Node<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// A call that was not made, and what was to be done with its result.
    Call {
        callable: Value<'a>,
        args: Value<'a>,
        state: Option<Value<'a>>,
        items: Vec<(Value<'a>, Value<'a>)>,
    },
    /// An object that is stored outside of the pickle.
    Persistent(Value<'a>),
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    arena: Vec<Node<'a>>,
    pub root: Value<'a>,
    /// Bytes that it takes.
    pub length: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the beginning of `data`.
    pub(super) fn read(data: &'a [u8]) -> Result<Self, String> {
        let mut machine =
            Machine { data, at: 0, arena: vec![], stack: vec![], marks: vec![], memo: BTreeMap::new() };
        let root = machine.run()?;
        Ok(Self { root, length: machine.at, arena: machine.arena })
    }

    /// The container behind a value.
    pub(super) fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        match value {
            Value::Node(at) => self.arena.get(at),
            _ => None,
        }
    }

    /// The names of all objects that are stored outside.
    pub(super) fn persistent(&self) -> impl Iterator<Item = Value<'a>> {
        self.arena.iter().filter_map(|node| if let Node::Persistent(id) = node { Some(*id) } else { None })
    }

    /// The elements of a tuple.
    pub(super) fn tuple(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.node(value)? {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The elements of a list or tuple.
    fn elements(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.node(value)? {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// The pairs of a dictionary, ordered ones included.
    fn pairs(&self, value: Value<'a>) -> Option<Vec<(Value<'a>, Value<'a>)>> {
        match self.node(value)? {
            Node::Dict(pairs) => Some(pairs.clone()),
            Node::Call { callable: Value::Global("collections", "OrderedDict"), args, items, .. } => {
                // Python 2 hands the pairs over in the call.
                let given =
                    self.tuple(*args).and_then(|args| self.elements(*args.first()?)).unwrap_or_default();
                let pair = |value: &Value<'a>| match self.elements(*value) {
                    Some([key, value]) => Some((*key, *value)),
                    _ => None,
                };
                Some(given.iter().filter_map(pair).chain(items.iter().copied()).collect())
            }
            _ => None,
        }
    }

    /// Everything in nested dictionaries that is none, with its keys joined by `separator`; keys that are no texts are passed over.
    pub(super) fn leaves(&self, separator: &str) -> Result<Vec<(String, Value<'a>)>, String> {
        let (mut leaves, mut seen) = (Vec::new(), BTreeSet::new());
        let mut open = vec![(String::new(), self.root, 0)];
        while let Some((path, value, depth)) = open.pop() {
            let Some(pairs) = self.pairs(value) else {
                leaves.push((path, value));
                continue;
            };
            // A dictionary in many places would be looked at in each of them.
            if let Value::Node(at) = value
                && !seen.insert(at)
            {
                return Err(format!("a dictionary that is in two places, at {path:?}"));
            }
            if depth == DEPTH {
                return Err(format!("dictionaries are nested too deeply at {path:?}"));
            }
            for (key, value) in pairs {
                let Value::Text(key) = key else { continue };
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}{separator}{key}") };
                open.push((path, value, depth + 1));
            }
        }
        Ok(leaves)
    }
}

struct Machine<'a> {
    data: &'a [u8],
    at: usize,
    arena: Vec<Node<'a>>,
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    /// A map, because its keys are whatever the file says.
    memo: BTreeMap<usize, Value<'a>>,
}

type Step<T> = Result<T, String>;

impl<'a> Machine<'a> {
    fn run(&mut self) -> Step<Value<'a>> {
        if self.data.first() != Some(&0x80) {
            return Err("it does not begin like a pickle of protocol 2 or later".to_owned());
        }
        loop {
            let at = self.at;
            let code = self.bytes(1)?[0];
            if code == b'.' {
                return self.pop();
            }
            self.step(code).map_err(|problem| format!("{problem} (byte {at} of the pickle)"))?;
        }
    }

    fn step(&mut self, code: u8) -> Step<()> {
        match code {
            0x80 => {
                let protocol = self.byte()?;
                if !(2..=5).contains(&protocol) {
                    return Err(format!("pickle protocol {protocol} is not known"));
                }
            }
            0x95 => drop(self.bytes(8)?), // a frame's length
            b'N' => self.stack.push(Value::None),
            0x88 | 0x89 => self.stack.push(Value::Bool(code == 0x88)),
            b'K' | b'M' | b'J' | 0x8a | 0x8b | b'G' => self.number(code)?,
            b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | b'T' | b'U' => self.string(code)?,
            b'c' | 0x93 => self.global(code)?,
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.make(Node::Tuple(vec![])),
            b']' => self.make(Node::List(vec![])),
            b'}' => self.make(Node::Dict(vec![])),
            0x85..=0x87 => {
                let first = self.depth(usize::from(code - 0x84))?;
                let items = self.stack.split_off(first);
                self.make(Node::Tuple(items));
            }
            b't' => {
                let items = self.since_mark()?;
                self.make(Node::Tuple(items));
            }
            b'l' => {
                let items = self.since_mark()?;
                self.make(Node::List(items));
            }
            b'a' | b'e' | b's' | b'u' => self.extend(code)?,
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.memory(code)?,
            b'0' => drop(self.pop()?),
            b'2' => {
                let top = *self.stack.last().ok_or("an empty stack")?;
                self.stack.push(top);
            }
            b'R' | 0x81 => {
                let (args, callable) = (self.pop()?, self.pop()?);
                self.make(Node::Call { callable, args, state: None, items: vec![] });
            }
            b'b' => {
                let value = self.pop()?;
                match self.top()? {
                    Node::Call { state, .. } => *state = Some(value),
                    _ => return Err("state for something that is no object".to_owned()),
                }
            }
            b'Q' => {
                let id = self.pop()?;
                self.make(Node::Persistent(id));
            }
            _ => return Err(format!("operation {code:#04x} has no place in a file of weights")),
        }
        Ok(())
    }

    fn number(&mut self, code: u8) -> Step<()> {
        let value = match code {
            b'K' => Value::Int(self.byte()?.into()),
            b'M' => Value::Int(u16::from_le_bytes(self.array()?).into()),
            b'J' => Value::Int(i32::from_le_bytes(self.array()?).into()),
            b'G' => Value::Float(f64::from_be_bytes(self.array()?)),
            _ => {
                let length = if code == 0x8a { self.byte()?.into() } else { self.length(4)? };
                let bytes = self.bytes(length)?;
                let negative = bytes.last().is_some_and(|b| *b >= 0x80);
                let mut all = [if negative { 0xff } else { 0 }; 16];
                all.get_mut(..length).ok_or("a number of more than 16 bytes")?.copy_from_slice(bytes);
                Value::Int(i128::from_le_bytes(all))
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn string(&mut self, code: u8) -> Step<()> {
        let length = match code {
            0x8c | b'C' | b'U' => self.byte()?.into(),
            0x8d | 0x8e => self.length(8)?,
            _ => self.length(4)?,
        };
        let bytes = self.bytes(length)?;
        let text = std::str::from_utf8(bytes);
        self.stack.push(match (code, text) {
            (b'B' | b'C' | 0x8e, _) => Value::Bytes(bytes),
            (_, Ok(text)) => Value::Text(text),
            // Python 2 had one type for both.
            (b'T' | b'U', Err(_)) => Value::Bytes(bytes),
            (_, Err(_)) => return Err("a text that is not UTF-8".to_owned()),
        });
        Ok(())
    }

    fn global(&mut self, code: u8) -> Step<()> {
        let (module, name) = if code == b'c' {
            (self.line()?, self.line()?)
        } else {
            match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => (module, name),
                _ => return Err("an import without a name".to_owned()),
            }
        };
        self.stack.push(Value::Global(module, name));
        Ok(())
    }

    /// Adds to the list or dictionary on the stack.
    fn extend(&mut self, code: u8) -> Step<()> {
        let items = match code {
            b'a' => vec![self.pop()?],
            b's' => {
                let first = self.depth(2)?;
                self.stack.split_off(first)
            }
            _ => self.since_mark()?,
        };
        let pairs = || items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        match (code, self.top()?) {
            (b'a' | b'e', Node::List(list)) => list.extend(&items),
            (b's' | b'u', Node::Dict(to) | Node::Call { items: to, .. }) => to.extend(pairs()),
            _ => return Err("elements for something that is no container".to_owned()),
        }
        Ok(())
    }

    fn memory(&mut self, code: u8) -> Step<()> {
        let at = match code {
            b'q' | b'h' => self.byte()?.into(),
            b'r' | b'j' => self.length(4)?,
            _ => self.memo.len(),
        };
        if matches!(code, b'h' | b'j') {
            let value = *self.memo.get(&at).ok_or("a reference to nothing")?;
            self.stack.push(value);
            return Ok(());
        }
        let top = *self.stack.last().ok_or("an empty stack")?;
        self.memo.insert(at, top);
        Ok(())
    }

    fn make(&mut self, node: Node<'a>) {
        self.arena.push(node);
        self.stack.push(Value::Node(self.arena.len() - 1));
    }

    /// The container on top of the stack.
    fn top(&mut self) -> Step<&mut Node<'a>> {
        match self.stack.last() {
            Some(Value::Node(at)) => self.arena.get_mut(*at).ok_or_else(|| "an empty stack".to_owned()),
            _ => Err("a container is missing".to_owned()),
        }
    }

    fn pop(&mut self) -> Step<Value<'a>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("an empty stack".to_owned());
        }
        self.stack.pop().ok_or_else(|| "an empty stack".to_owned())
    }

    /// Where the last `count` values begin.
    fn depth(&self, count: usize) -> Step<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack
            .len()
            .checked_sub(count)
            .filter(|at| *at >= floor)
            .ok_or_else(|| "an empty stack".to_owned())
    }

    fn since_mark(&mut self) -> Step<Vec<Value<'a>>> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    fn bytes(&mut self, count: usize) -> Step<&'a [u8]> {
        let data: &'a [u8] = self.data;
        let end = self.at.checked_add(count).filter(|end| *end <= data.len());
        let end = end.ok_or("the file is cut short")?;
        let bytes = &data[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.bytes(1)?[0])
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        self.bytes(N)?.try_into().map_err(|_| "the file is cut short".to_owned())
    }

    /// A length of so many bytes.
    fn length(&mut self, bytes: usize) -> Step<usize> {
        let mut all = [0; 8];
        all[..bytes].copy_from_slice(self.bytes(bytes)?);
        usize::try_from(u64::from_le_bytes(all)).map_err(|e| e.to_string())
    }

    fn line(&mut self) -> Step<&'a str> {
        let length = self.data[self.at..].iter().position(|b| *b == b'\n').ok_or("the file is cut short")?;
        let line = self.bytes(length + 1)?;
        std::str::from_utf8(&line[..length]).map_err(|_| "a name that is not UTF-8".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_numbers_and_texts_are_read() {
        // pickle.dumps({"a": [1, -2, 300, 1.5], "b": (None, True, b"x")}, 2) with byte strings as protocol 3 writes them.
        let data = b"\x80\x03}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffM\x2c\x01G\x3f\xf8\x00\x00\x00\x00\x00\x00e\
            X\x01\x00\x00\x00bq\x03N\x88C\x01xq\x04\x87q\x05u.rest";
        let pickle = Pickle::read(data).unwrap();
        assert_eq!(&data[pickle.length..], b"rest");
        let pairs = pickle.pairs(pickle.root).unwrap();
        assert_eq!((pairs[0].0, pairs[1].0), (Value::Text("a"), Value::Text("b")));
        let Some(Node::List(list)) = pickle.node(pairs[0].1) else { panic!("no list") };
        assert_eq!(list[..], [Value::Int(1), Value::Int(-2), Value::Int(300), Value::Float(1.5)]);
        let tuple = pickle.tuple(pairs[1].1).unwrap();
        assert_eq!(tuple[..], [Value::None, Value::Bool(true), Value::Bytes(b"x")]);
    }

    #[test]
    fn dictionaries_are_flattened_once() {
        fn leaves(data: &[u8]) -> Result<Vec<(String, Value<'_>)>, String> {
            Pickle::read(data).unwrap().leaves(".")
        }
        // collections.OrderedDict([["a", 1]]) as Python 2 writes it, with "b": 2 added after it.
        let data =
            b"\x80\x02ccollections\nOrderedDict\n]](X\x01\x00\x00\x00aK\x01ea\x85RX\x01\x00\x00\x00bK\x02s.";
        let mut found = leaves(data).unwrap();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, [("a".to_owned(), Value::Int(1)), ("b".to_owned(), Value::Int(2))]);
        let itself = b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.";
        assert!(leaves(itself).unwrap_err().contains("two places, at \"a\""));
        let mut deep = b"\x80\x02".to_vec();
        (0..9).for_each(|_| deep.extend(b"}X\x01\x00\x00\x00a"));
        deep.extend(b"N");
        (0..9).for_each(|_| deep.extend(b"s"));
        deep.push(b'.');
        assert!(leaves(&deep).unwrap_err().contains("too deeply"));
    }

    #[test]
    fn calls_are_kept_and_not_made() {
        let pickle = Pickle::read(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00lsq\x00\x85R.").unwrap();
        let Some(Node::Call { callable, .. }) = pickle.node(pickle.root) else { panic!("no call") };
        assert_eq!(*callable, Value::Global("os", "system"));
    }

    #[test]
    fn damage_is_an_error_wherever_it_is() {
        let whole = b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x01\x8a\x02\x01\x02\x85tcos\nx\n)R}b0u.";
        for cut in 0..whole.len() {
            assert!(Pickle::read(&whole[..cut]).is_err(), "cut at {cut}");
        }
        for (place, value) in (0..whole.len()).flat_map(|p| (0..=255_u8).map(move |v| (p, v))) {
            let mut data = whole.to_vec();
            data[place] = value;
            // Either outcome is right; a panic is not.
            let _ = Pickle::read(&data);
        }
        assert!(Pickle::read(b"\x80\x02B\xff\xff\xff\x7f.").unwrap_err().contains("cut short"));
        assert_eq!(Pickle::read(b"\x80\x02Nr\xff\xff\xff\x7f.").unwrap().root, Value::None);
        assert!(Pickle::read(b"\x80\x02i").unwrap_err().contains("no place"));
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        let mut data = b"\x80\x02N".to_vec();
        data.extend(std::iter::repeat_n(0x85, 1 << 20));
        data.push(b'.');
        assert!(Pickle::read(&data).is_ok());
    }
}
