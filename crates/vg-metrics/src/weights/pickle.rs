//! Reads Python pickles as data: nothing is imported, called or built but the values below.
//!
//! Containers lie in an arena, so that neither cycles nor deep nesting can exhaust the stack, and byte strings are borrowed from the
//! file. The number of operations is capped, and so is what flattening may write for each byte of the file: a small file cannot fill
//! the memory.

mod machine;

use std::collections::{BTreeMap, BTreeSet};

use self::machine::Machine;

/// Levels of dictionaries.
const DEPTH: usize = 8;
/// Bytes of names, for each byte of the file, that flattening writes at most.
const SPREAD: usize = 16;
/// What a pair costs beside its name, in bytes of names.
const PAIR: usize = 16;

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
    Call(Box<Call<'a>>),
    /// An object that is stored outside of the pickle.
    Persistent(Box<Value<'a>>),
}

/// A call that was not made, and what was to be done with its result.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub callable: Value<'a>,
    pub args: Value<'a>,
    pub state: Option<Value<'a>>,
    items: Vec<(Value<'a>, Value<'a>)>,
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
        let mut machine = Machine::new(data);
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
        self.arena.iter().filter_map(|node| if let Node::Persistent(id) = node { Some(**id) } else { None })
    }

    /// A call.
    pub(super) fn call(&self, value: Value<'a>) -> Option<&Call<'a>> {
        match self.node(value)? {
            Node::Call(call) => Some(call),
            _ => None,
        }
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
    fn pairs(&self, value: Value<'a>) -> Option<impl Iterator<Item = (Value<'a>, Value<'a>)>> {
        let (given, items): (&[Value<'a>], &[_]) = match self.node(value)? {
            Node::Dict(pairs) => (&[], pairs),
            Node::Call(call) if call.callable == Value::Global("collections", "OrderedDict") => {
                // Python 2 hands the pairs over in the call.
                let given = self.tuple(call.args).and_then(|args| self.elements(*args.first()?));
                (given.unwrap_or_default(), &call.items)
            }
            _ => return None,
        };
        let pair = |value: &Value<'a>| match self.elements(*value) {
            Some([key, value]) => (*key, *value),
            _ => (Value::None, Value::None),
        };
        Some(given.iter().map(pair).chain(items.iter().copied()))
    }

    /// Everything in nested dictionaries that is none, with its keys joined by `separator`; keys that are no texts are passed over, and
    /// of equal keys in a dictionary the last one counts.
    pub(super) fn leaves(&self, separator: &str) -> Result<Vec<(String, Value<'a>)>, String> {
        let (mut leaves, mut seen) = (Vec::new(), BTreeSet::new());
        let mut budget = self.length.saturating_mul(SPREAD);
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
                return Err(format!("a dictionary that is in two places, at {}", shown(&path)));
            }
            if depth == DEPTH {
                return Err(format!("dictionaries are nested too deeply at {}", shown(&path)));
            }
            let mut spend = |cost: usize| {
                budget = budget.checked_sub(cost).ok_or_else(|| {
                    format!("its dictionaries hold more names than a file of {} bytes should", self.length)
                })?;
                Ok::<(), String>(())
            };
            let mut last = BTreeMap::new();
            for (key, value) in pairs {
                // Many dictionaries may share one list of pairs.
                spend(PAIR)?;
                if let Value::Text(key) = key {
                    last.insert(key, value);
                }
            }
            for (key, value) in last {
                spend(path.len() + separator.len() + key.len())?;
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}{separator}{key}") };
                open.push((path, value, depth + 1));
            }
        }
        Ok(leaves)
    }
}

/// The beginning of a path, for messages.
fn shown(path: &str) -> String {
    format!("{:?}", path.chars().take(200).collect::<String>())
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
        let pairs: Vec<_> = pickle.pairs(pickle.root).unwrap().collect();
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

    fn text(text: &str) -> Vec<u8> {
        [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
    }

    #[test]
    fn of_equal_keys_the_last_one_counts() {
        let key = "k".repeat(5000);
        let head = [&b"\x80\x02}("[..], &text(&key), b"q\x00K\x07"].concat();
        let data = [head, b"h\x00N".repeat(5000), b"h\x00K\x08u.".to_vec()].concat();
        assert_eq!(Pickle::read(&data).unwrap().leaves(".").unwrap(), [(key, Value::Int(8))]);
    }

    #[test]
    fn flattening_takes_no_more_than_a_small_multiple_of_the_file() {
        let list = (0..2000).flat_map(|i| [&b"("[..], &text(&i.to_string()), b"Nt"].concat());
        let shared = [&b"\x80\x02]("[..], &list.collect::<Vec<_>>(), b"eq\x000}("].concat();
        let dict = |i: usize| [&text(&i.to_string())[..], b"ccollections\nOrderedDict\nh\x00\x85R"].concat();
        let file =
            |dicts: usize| [&shared[..], &(0..dicts).flat_map(dict).collect::<Vec<_>>(), b"u."].concat();
        let one = file(1);
        assert_eq!(Pickle::read(&one).unwrap().leaves(".").unwrap().len(), 2000);
        let many = file(2000);
        let problem = Pickle::read(&many).unwrap().leaves(".").map(|l| l.len()).unwrap_err();
        assert!(problem.contains("more names than a file of"), "{problem}");
        // One long key before all the others, as a path that is copied for each of them.
        let keys: Vec<u8> = (0..9000).flat_map(|i| [&text(&i.to_string())[..], b"N"].concat()).collect();
        let long = [&b"\x80\x02}"[..], &text(&"k".repeat(50_000)), b"}(", &keys, b"us."].concat();
        let problem = Pickle::read(&long).unwrap().leaves(".").map(|l| l.len()).unwrap_err();
        assert!(problem.contains("more names than"), "{problem}");
    }

    #[test]
    fn a_file_of_nothing_but_operations_is_refused() {
        for code in [b')', b'N', b']', b'('] {
            let data = [b"\x80\x02".to_vec(), vec![code; 3 << 20], b"N.".to_vec()].concat();
            let problem = Pickle::read(&data).map(|p| p.length).unwrap_err();
            assert!(problem.contains("more operations than"), "{problem}");
        }
        let data = [b"\x80\x02N".to_vec(), vec![0x94; 3 << 20], b".".to_vec()].concat();
        assert!(Pickle::read(&data).is_err());
    }

    #[test]
    fn calls_are_kept_and_not_made() {
        let pickle = Pickle::read(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00lsq\x00\x85R.").unwrap();
        assert_eq!(pickle.call(pickle.root).unwrap().callable, Value::Global("os", "system"));
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
