//! The stack machine whose program a pickle is.

use std::collections::BTreeMap;

use super::{Call, Node, Value};

/// Most operations of a pickle. Each adds at most one value to the stack, one container to the arena and one entry to the memo; a file
/// of weights takes some tens of them for a tensor.
const OPERATIONS: usize = 1 << 21;

pub(super) struct Machine<'a> {
    data: &'a [u8],
    pub at: usize,
    pub arena: Vec<Node<'a>>,
    stack: Vec<Value<'a>>,
    marks: Vec<usize>,
    /// A map, because its keys are whatever the file says.
    memo: BTreeMap<usize, Value<'a>>,
}

type Step<T> = Result<T, String>;

impl<'a> Machine<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, arena: vec![], stack: vec![], marks: vec![], memo: BTreeMap::new() }
    }

    /// Runs to the pickle's end and gives its value.
    pub(super) fn run(&mut self) -> Step<Value<'a>> {
        if self.data.first() != Some(&0x80) {
            return Err("it does not begin like a pickle of protocol 2 or later".to_owned());
        }
        for _ in 0..OPERATIONS {
            let at = self.at;
            let code = self.bytes(1)?[0];
            if code == b'.' {
                return self.pop();
            }
            self.step(code).map_err(|problem| format!("{problem} (byte {at} of the pickle)"))?;
        }
        Err(format!("it has more operations than any file of weights, {OPERATIONS}"))
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
                self.make(Node::Call(Box::new(Call { callable, args, state: None, items: vec![] })));
            }
            b'b' => {
                let value = self.pop()?;
                match self.top()? {
                    Node::Call(call) => call.state = Some(value),
                    _ => return Err("state for something that is no object".to_owned()),
                }
            }
            b'Q' => {
                let id = self.pop()?;
                self.make(Node::Persistent(Box::new(id)));
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
            (b's' | b'u', Node::Dict(to)) => to.extend(pairs()),
            (b's' | b'u', Node::Call(call)) => call.items.extend(pairs()),
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
