//! The bytes of a `tf.train.Example`: as much of its protocol buffer as is needed.
//!
//! Source: `tensorflow/core/example/{example,feature}.proto`. `Example { 1: Features }`, `Features { 1: map entries }`, an entry
//! `{ 1: name, 2: Feature }`, `Feature { 1: BytesList }` (2 and 3 hold numbers), `BytesList { 1: value, ... }`.

use std::result::Result;

/// Calls `each` with the name and the value of every feature that holds bytes; of several values, the first.
///
/// # Errors
/// What is wrong, when the bytes are no such message.
pub fn bytes_features<'a>(example: &'a [u8], mut each: impl FnMut(&'a str, &'a [u8])) -> Result<(), String> {
    messages(example, 1, |features| {
        messages(features, 1, |entry| {
            let (mut name, mut value) = (None, None);
            fields(entry, |number, field| {
                match number {
                    1 => name = Some(field),
                    2 => value = first_bytes(field)?,
                    _ => {}
                }
                Ok(())
            })?;
            if let (Some(name), Some(value)) = (name, value) {
                each(std::str::from_utf8(name).map_err(|_| damaged("a name is no text"))?, value);
            }
            Ok(())
        })
    })
}

/// The whole numbers of the feature `wanted`, none negative, if there is one and they are packed, as TensorFlow writes them.
///
/// # Errors
/// As [`bytes_features`].
pub fn numbers(example: &[u8], wanted: &str) -> Result<Option<Vec<u64>>, String> {
    let mut found = None;
    messages(example, 1, |features| {
        messages(features, 1, |entry| {
            let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
            fields(entry, |number, field| {
                match number {
                    1 => name = field,
                    2 => value = field,
                    _ => {}
                }
                Ok(())
            })?;
            if name != wanted.as_bytes() {
                return Ok(());
            }
            messages(value, 3, |list| {
                messages(list, 1, |mut packed| {
                    let all = found.get_or_insert_with(Vec::new);
                    while !packed.is_empty() {
                        all.push(varint(&mut packed)?);
                    }
                    Ok(())
                })
            })
        })
    })?;
    Ok(found)
}

fn first_bytes(feature: &[u8]) -> Result<Option<&[u8]>, String> {
    let mut first = None;
    messages(feature, 1, |list| {
        messages(list, 1, |value| {
            first.get_or_insert(value);
            Ok(())
        })
    })?;
    Ok(first)
}

/// The fields `wanted` of a message, in order.
fn messages<'a>(
    message: &'a [u8],
    wanted: u64,
    mut each: impl FnMut(&'a [u8]) -> Result<(), String>,
) -> Result<(), String> {
    fields(message, |number, field| if number == wanted { each(field) } else { Ok(()) })
}

/// Number and content of each field that has a length; numbers are stepped over.
fn fields<'a>(
    mut message: &'a [u8],
    mut each: impl FnMut(u64, &'a [u8]) -> Result<(), String>,
) -> Result<(), String> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        match tag & 7 {
            0 => {
                varint(&mut message)?;
            }
            1 => {
                take(&mut message, 8)?;
            }
            2 => {
                let length = varint(&mut message)?;
                each(tag >> 3, take(&mut message, length)?)?;
            }
            5 => {
                take(&mut message, 4)?;
            }
            kind => return Err(damaged(&format!("a field of kind {kind}"))),
        }
    }
    Ok(())
}

fn take<'a>(message: &mut &'a [u8], length: u64) -> Result<&'a [u8], String> {
    let split = usize::try_from(length).ok().and_then(|length| message.split_at_checked(length));
    let (field, rest) =
        split.ok_or_else(|| damaged(&format!("a field of {length} bytes, {} are left", message.len())))?;
    *message = rest;
    Ok(field)
}

fn varint(message: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(message, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("a number of more than 64 bits"))
}

fn damaged(what: &str) -> String {
    format!("no tf.train.Example: {what}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        let mut length = content.len();
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend(content);
        out
    }

    fn entry(name: &str, kind: u8, value: &[u8]) -> Vec<u8> {
        let feature = field(kind, &field(1, value));
        field(1, &[field(1, name.as_bytes()), field(2, &feature)].concat())
    }

    fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
        let mut found = Vec::new();
        bytes_features(bytes, |name, value| found.push((name.to_owned(), value.to_vec())))?;
        Ok(found)
    }

    #[test]
    fn features_of_bytes_are_found_among_others() {
        let features = [entry("a", 1, &[7; 300]), entry("n", 2, &[0, 0, 0, 0]), entry("b", 1, b"")].concat();
        let unknown =
            [vec![0x18, 0xff, 0x01], vec![0x25, 1, 2, 3, 4], vec![0x29, 1, 2, 3, 4, 5, 6, 7, 8]].concat();
        let bytes = [unknown, field(1, &features)].concat();
        assert_eq!(read(&bytes).unwrap(), [("a".to_owned(), vec![7; 300]), ("b".to_owned(), Vec::new())]);
        assert_eq!(read(&[]).unwrap(), []);
        let shape = field(1, &entry("shape", 3, &[32, 3, 0x80, 2]));
        assert_eq!(numbers(&shape, "shape").unwrap().unwrap(), [32, 3, 256]);
        assert_eq!(numbers(&shape, "other").unwrap(), None);
        assert_eq!(numbers(&bytes, "a").unwrap(), None);
    }

    #[test]
    fn mistakes_are_named() {
        let message = |bytes: &[u8]| read(bytes).unwrap_err();
        assert!(message(&[0x0a, 5, 1]).contains("a field of 5 bytes, 1 are left"));
        assert!(message(&[0x0b]).contains("a field of kind 3"));
        assert!(message(&[0xff; 12]).contains("more than 64 bits"));
        assert!(message(&[0x80]).contains("1 bytes, 0 are left"));
        let name = field(1, &[field(1, &[0xff]), field(2, &field(1, &field(1, b"v")))].concat());
        assert!(message(&field(1, &name)).contains("no text"));
    }

    proptest! {
        #[test]
        fn any_bytes_and_any_cut_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..400) {
            let _ = read(&bytes);
            let sound = field(1, &[entry("a", 1, &bytes), entry("b", 1, b"xyz")].concat());
            let _ = read(&sound[..cut.min(sound.len())]);
            prop_assert_eq!(read(&sound).unwrap().len(), 2);
        }
    }
}
