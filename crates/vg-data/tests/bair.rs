//! BAIR robot pushing: TFRecord files written here byte by byte.

use std::path::PathBuf;

use vg_core::{BatchSource, BatchSpec, ClipSpec, Error, Pixels};
use vg_data::{Dataset, FrameSize, OpenOptions, Split, open, source};

const SIZE: FrameSize = FrameSize { height: 64, width: 64, channels: 3 };
const TRAIN: &str = "data/bair/softmotion30_44k/train";

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

/// Value of a pixel: frame `k` of clip `clip`, the first pixel apart.
fn pixel(clip: u8, k: usize, i: usize) -> u8 {
    if i < 3 { 50 } else { 100 + clip + k as u8 }
}

fn frame(clip: u8, k: usize) -> Vec<u8> {
    (0..SIZE.bytes()).map(|i| pixel(clip, k, i)).collect()
}

/// A `tf.train.Example` with frames in a mixed order, another camera and an action beside them.
fn example(clip: u8, frames: usize) -> Vec<u8> {
    let entry = |name: String, kind: u8, value: &[u8]| {
        field(1, &[field(1, name.as_bytes()), field(2, &field(kind, &field(1, value)))].concat())
    };
    let mut features = Vec::new();
    for k in (0..frames).rev() {
        features.extend(entry(format!("{k}/image_main/encoded"), 1, b"another camera"));
        features.extend(entry(format!("{k}/image_aux1/encoded"), 1, &frame(clip, k)));
        features.extend(entry(format!("{k}/action"), 2, &[0; 16]));
    }
    field(1, &features)
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let two = [record(&example(0, 30)), record(&example(1, 30))].concat();
        place.bytes(&format!("{TRAIN}/traj_0_to_1.tfrecords"), &two);
        place.bytes(&format!("{TRAIN}/traj_2_to_2.tfrecords"), &record(&example(2, 30)));
        place.bytes("data/bair/softmotion30_44k/test/traj_0.tfrecords", &record(&example(9, 30)));
        place
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn bytes(&self, name: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), bytes).unwrap();
    }
    fn open(&self, name: &str, split: Split, strict: bool) -> vg_core::Result<Box<dyn Dataset>> {
        let (root, cache) = (self.path("data"), self.path("cache"));
        open(name, &OpenOptions { root, cache, size: SIZE, split, strict, ..OpenOptions::default() })
    }
    fn strict_message(&self) -> String {
        self.open("bair", Split::Train, true).err().map(|e| e.to_string()).unwrap_or_default()
    }
}

#[test]
fn records_are_clips_in_the_order_of_files() {
    let place = Place::new();
    let (train, test) =
        (place.open("bair", Split::Train, true).unwrap(), place.open("bair", Split::Test, true).unwrap());
    assert_eq!((train.info().clips, test.info().clips), (3, 1));
    assert!(train.info().classes.is_empty());
    for (set, clip, value) in [(&train, 0, 0), (&train, 1, 1), (&train, 2, 2), (&test, 0, 9)] {
        assert_eq!(set.frames(clip), 30);
        let all = set.read(clip, &(0..30).collect::<Vec<_>>(), SIZE).unwrap();
        assert!(all.iter().enumerate().all(|(k, found)| found == frame(value, k)), "clip {clip}");
    }
}

#[test]
fn clips_begin_at_the_first_frame_unless_asked_otherwise() {
    let place = Place::new();
    let clip = ClipSpec { frames: 12, height: 64, width: 64, channels: 3 };
    let first_frames = |name: &str| -> Vec<u32> {
        let mut loader = source(place.open(name, Split::Train, true).unwrap(), 1);
        let batch = loader.batch(&BatchSpec::clips(24, clip, Pixels::Unit), 0).unwrap();
        let clips = vg_data::Frames::from_tensor(&batch.clips, Pixels::Unit).unwrap();
        clips.iter().map(|clip| u32::from(clip.data[100])).collect()
    };
    assert!(first_frames("bair").iter().all(|first| (100..103).contains(first)));
    assert!(first_frames("bair,random-start").iter().any(|first| *first > 105));
}

#[test]
fn the_legacy_stretch_is_an_option_with_a_cache_of_its_own() {
    let place = Place::new();
    let plain = place.open("bair", Split::Train, true).unwrap();
    let stretched = place.open("bair,legacy-stretch", Split::Train, true).unwrap();
    let values = |set: &dyn Dataset| {
        let frame = set.read(0, &[3], SIZE).unwrap().data;
        (frame[0], frame[100])
    };
    assert_eq!((values(&*plain), values(&*stretched)), ((50, 103), (0, 255)));
    assert_ne!(plain.info().fingerprint, stretched.info().fingerprint);
}

#[test]
fn damage_is_named_with_file_record_and_byte() {
    let place = Place::new();
    let name = format!("{TRAIN}/traj_0_to_1.tfrecords");
    let whole = std::fs::read(place.path(&name)).unwrap();
    let second = whole.len() / 2;
    let at = format!("record 2 at byte {second}: ");
    // Cut off in the data of the second record: the first one is left, and the other file.
    place.bytes(&name, &whole[..second + 5000]);
    let message = place.strict_message();
    assert!(
        message.contains("traj_0_to_1.tfrecords") && message.contains(&format!("{at}cut off")),
        "{message}"
    );
    let set = place.open("bair", Split::Train, false).unwrap();
    assert_eq!((set.info().clips, set.report().skipped.len()), (2, 1));
    assert!(set.report().skipped[0].problem.contains("what follows is left out"), "{}", set.report());
    // A byte of the data is another.
    let mut spoilt = whole.clone();
    spoilt[second + 4000] ^= 1;
    place.bytes(&name, &spoilt);
    assert!(place.strict_message().contains(&format!("{at}the checksum of its data is wrong")));
    let set = place.open("bair", Split::Train, false).unwrap();
    assert_eq!((set.info().clips, set.report().skipped[0].name.as_str()), (2, "traj_0_to_1.tfrecords/2"));
    // A byte of the length is another.
    let mut spoilt = whole.clone();
    spoilt[second] ^= 1;
    place.bytes(&name, &spoilt);
    assert!(place.strict_message().contains(&format!("{at}the checksum of its length is wrong")));
    // Sound records that are no clips.
    place.bytes(&name, &[record(&example(0, 30)), record(&example(1, 29))].concat());
    assert!(
        place.strict_message().contains("there is no 29/image_aux1/encoded"),
        "{}",
        place.strict_message()
    );
    place.bytes(&name, &record(b"text"));
    assert!(
        place.strict_message().contains("record 1 at byte 0: no tf.train.Example"),
        "{}",
        place.strict_message()
    );
    let entry = [field(1, b"0/image_aux1/encoded"), field(2, &field(1, &field(1, b"png")))].concat();
    place.bytes(&name, &record(&field(1, &field(1, &entry))));
    assert!(place.strict_message().contains("has 3 bytes; expected 12288"), "{}", place.strict_message());
    place.bytes(&name, b"");
    assert_eq!(place.open("bair", Split::Train, true).unwrap().info().clips, 1);
}

#[test]
fn wrong_places_are_named() {
    let place = Place::new();
    std::fs::remove_dir_all(place.path("data/bair/softmotion30_44k/test")).unwrap();
    let message = place.strict_message();
    assert!(
        message.contains("softmotion30_44k/test is missing") && message.contains("bair_robot_pushing"),
        "{message}"
    );
    std::fs::create_dir(place.path("data/bair/softmotion30_44k/test")).unwrap();
    let message = place.open("bair", Split::Test, false).err().unwrap();
    assert!(
        matches!(message, Error::Data(_)) && message.to_string().contains("there is no record"),
        "{message}"
    );
}
