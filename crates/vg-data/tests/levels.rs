//! Whole clips in TFRecord files, one a size, written here byte by byte.

use std::path::PathBuf;

use vg_data::{Dataset, FrameSize, OpenOptions, Split, open};

const SIZE: FrameSize = FrameSize { height: 8, width: 8, channels: 3 };

/// CRC-32C bit by bit, with TensorFlow's mask.
fn masked_crc(data: &[u8]) -> [u8; 4] {
    let mut crc = !0_u32;
    for byte in data {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), data, &masked_crc(data)].concat()
}

fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let (mut out, mut length) = (vec![number << 3 | 2], content.len());
    while length >= 128 {
        out.push((length % 128 + 128) as u8);
        length /= 128;
    }
    out.push(length as u8);
    [out, content.to_vec()].concat()
}

/// Value of a pixel: by clip, frame, channel and column.
fn pixel(clip: usize, t: usize, c: usize, x: usize) -> u8 {
    (clip + 10 * t + 60 * c + x) as u8
}

/// A clip of 3 frames, channels first, `side` pixels high and wide.
fn example(clip: usize, side: usize, shape: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    for t in 0..3 {
        for c in 0..3 {
            for _ in 0..side {
                data.extend((0..side).map(|x| pixel(clip, t, c, x)));
            }
        }
    }
    let entry = |name: &str, kind: u8, value: &[u8]| {
        field(1, &[field(1, name.as_bytes()), field(2, &field(kind, &field(1, value)))].concat())
    };
    field(1, &[entry("shape", 3, shape), entry("data", 1, &data)].concat())
}

struct Place(tempfile::TempDir);

impl Place {
    fn new(shape: &[u8]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let all: Vec<u8> = (1..=101).flat_map(|clip| record(&example(clip, 8, shape))).collect();
        place.bytes("faces-r03.tfrecords", &all);
        place.bytes("faces-r02.tfrecords", b"smaller ones are not read");
        place
    }
    fn bytes(&self, name: &str, bytes: &[u8]) {
        let folder = self.0.path().join("data/trailerfaces/faces");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    fn open(&self, split: Split) -> vg_core::Result<Box<dyn Dataset>> {
        let path = |name: &str| -> PathBuf { self.0.path().join(name) };
        let (root, cache) = (path("data"), path("cache"));
        open(
            "trailerfaces",
            &OpenOptions { root, cache, size: SIZE, split, strict: true, ..OpenOptions::default() },
        )
    }
}

#[test]
fn the_largest_size_is_read_and_others_are_its_averages() {
    let place = Place::new(&[3, 3, 8, 8]);
    let (train, test) = (place.open(Split::Train).unwrap(), place.open(Split::Test).unwrap());
    assert_eq!((train.info().clips, test.info().clips), (100, 1));
    let frames = train.read(99, &[0, 2], SIZE).unwrap();
    assert_eq!(
        &frames.data[..6],
        [
            pixel(101, 0, 0, 0),
            pixel(101, 0, 1, 0),
            pixel(101, 0, 2, 0),
            pixel(101, 0, 0, 1),
            pixel(101, 0, 1, 1),
            pixel(101, 0, 2, 1)
        ]
    );
    assert_eq!(frames.data[SIZE.bytes()], pixel(101, 2, 0, 0));
    let small = FrameSize { height: 4, width: 4, channels: 3 };
    let found = test.read(0, &[1], small).unwrap().data[3];
    // The mean of columns 2 and 3, whose half is rounded either way.
    assert!((pixel(100, 1, 0, 2)..=pixel(100, 1, 0, 3)).contains(&found), "{found}");
}

#[test]
fn other_shapes_are_named() {
    for (shape, part) in [
        (&[3u8, 3, 8][..], "its shape is [3, 3, 8]"),
        (&[3, 2, 8, 8], "1 or 3 channels"),
        (&[4, 3, 8, 8], "bytes, which is not 4 frames"),
        (&[], "its shape is []"),
    ] {
        let message = Place::new(shape).open(Split::Test).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}
