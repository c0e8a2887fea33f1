//! Optical flow that is computed once for a set and kept.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use vg_data::{
    Dataset, FrameSize, Frames, OpenOptions, Progress, Unit,
    maps::{Map, MapKind, Values},
    media, open,
};

const SIZE: FrameSize = FrameSize { height: 48, width: 64, channels: 3 };

#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn start(&self, what: &str, total: u64, _: Unit) {
        self.0.lock().unwrap().push(format!("{what}: {total}"));
    }
    fn message(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }
}

/// Two clips of a texture that moves by `(2, -1)` pixels a frame.
fn clips(folder: &Path) {
    for clip in 0..2 {
        let value = |x: f32, y: f32| {
            127.5 + 50.0 * (0.23 * x + 0.11 * y).sin() + 45.0 * (0.07 * x - 0.39 * y + 1.0).sin()
        };
        let byte = |t: usize, at: usize| {
            let (x, y) = ((at % 64) as f32 - 2.0 * t as f32, (at / 64) as f32 + t as f32);
            value(x + 9.0 * clip as f32, y) as u8
        };
        let data = (0..4).flat_map(|t| (0..48 * 64).flat_map(move |at| [byte(t, at); 3])).collect();
        let frames = Frames::from_bytes(4, SIZE, data).unwrap();
        media::write(&folder.join(format!("{clip}.apng")), &frames, 8.0).unwrap();
    }
}

fn options(folder: &Path, told: &Arc<Told>) -> OpenOptions {
    OpenOptions { cache: folder.join("cache"), size: SIZE, progress: told.clone(), ..OpenOptions::default() }
}

fn floats(map: &Map) -> &[f32] {
    match &map.values {
        Values::Floats(values) => values,
        Values::Ids(_) => panic!("a map of numbers"),
    }
}

fn middle(set: &dyn Dataset, picks: &[usize], kind: MapKind) -> (f32, f32) {
    let map = set.read_maps(1, picks, SIZE, &[kind]).unwrap().remove(0);
    let values = floats(&map);
    let at = 24 * 64 + 32;
    (values[at], values.get(map.frames * 48 * 64 + at).copied().unwrap_or(0.0))
}

#[test]
fn flow_is_computed_once_and_is_right() {
    let folder = tempfile::tempdir().unwrap();
    clips(&folder.path().join("clips"));
    let name = format!("folder:{}", folder.path().join("clips").display());
    let told = Arc::new(Told::default());
    let set = open(&name, &options(folder.path(), &told)).unwrap();
    // The later frame shows at p what the earlier one shows 2 pixels to the left and 1 below.
    let (x, y) = middle(&*set, &[0, 1], MapKind::Flow(1));
    assert!((x + 2.0).abs() < 0.05 && (y - 1.0).abs() < 0.05, "{x} {y}");
    let (x, y) = middle(&*set, &[0, 1, 2], MapKind::Flow(2));
    assert!((x + 4.0).abs() < 0.1 && (y - 2.0).abs() < 0.1, "{x} {y}");
    assert_eq!(middle(&*set, &[0, 1], MapKind::Confidence(1)).0, 1.0);
    let begun =
        |told: &Told| told.0.lock().unwrap().iter().filter(|text| text.starts_with("optical flow")).count();
    assert_eq!(begun(&told), 2, "one for each distance");
    let again = Arc::new(Told::default());
    let second = open(&name, &options(folder.path(), &again)).unwrap();
    assert_eq!(middle(&*second, &[0, 1], MapKind::Flow(1)), middle(&*set, &[0, 1], MapKind::Flow(1)));
    assert_eq!(begun(&again), 0);
    // A damaged file is made again.
    let cache = std::fs::read_dir(folder.path().join("cache")).unwrap().map(|entry| entry.unwrap().path());
    for kept in cache.filter(|path| path.display().to_string().contains("-flow-")) {
        let path = kept.join("clip-000001.bin");
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.len() / 4;
        bytes[at..].fill(0x55);
        std::fs::write(&path, bytes).unwrap();
    }
    assert_eq!(middle(&*second, &[0, 1], MapKind::Flow(1)), middle(&*set, &[0, 1], MapKind::Flow(1)));
    assert!(again.0.lock().unwrap().iter().any(|text| text.contains("made again")));
}

#[test]
fn frames_that_go_back_have_no_kept_flow() {
    let folder = tempfile::tempdir().unwrap();
    clips(&folder.path().join("clips"));
    let name = format!("folder:{}", folder.path().join("clips").display());
    let set = open(&name, &options(folder.path(), &Arc::default())).unwrap();
    let error = set.read_maps(0, &[2, 1], SIZE, &[MapKind::Flow(1)]).unwrap_err().to_string();
    assert!(error.contains("from frame 1 to frame 2"), "{error}");
}
