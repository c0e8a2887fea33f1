//! Clips kept as images: MoCoGAN's class folders and VGAN's lists.

use std::path::PathBuf;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage, RgbaImage};
use vg_core::{BatchSource, BatchSpec, ClipSpec, Error, Pixels};
use vg_data::{Dataset, FrameSize, OpenOptions, Split, media, open, source};

const SIDE: u32 = 4;
const SIZE: FrameSize = FrameSize { height: SIDE as usize, width: SIDE as usize, channels: 3 };

/// Pixel of frame `frame` of clip `clip`.
fn colour(clip: u8, frame: u32, x: u32, y: u32) -> [u8; 3] {
    [clip, frame as u8, (16 * y + x) as u8]
}

/// A strip; alpha, which counts for nothing, changes from pixel to pixel.
fn image(clip: u8, frames: u32, stacked: bool, alpha: bool) -> DynamicImage {
    let (width, height) = if stacked { (SIDE, SIDE * frames) } else { (SIDE * frames, SIDE) };
    let at = |x: u32, y: u32| {
        let frame = if stacked { y / SIDE } else { x / SIDE };
        colour(clip, frame, x % SIDE, y % SIDE)
    };
    if alpha {
        let pixel = |x, y| {
            let [r, g, b] = at(x, y);
            image::Rgba([r, g, b, (x * 7 + y) as u8])
        };
        RgbaImage::from_fn(width, height, pixel).into()
    } else {
        RgbImage::from_fn(width, height, |x, y| Rgb(at(x, y))).into()
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
    fn bytes(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    fn strip(&self, name: &str, image: &DynamicImage) {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        self.bytes(name, &bytes.into_inner());
    }
    fn jpeg(&self, name: &str, frames: usize) {
        let size = FrameSize { height: 8, width: 8, channels: 3 };
        let data = (0..frames).flat_map(|f| vec![(f * 7) as u8; size.bytes()]).collect();
        media::write_stacked(&self.path(name), &media::Frames::from_bytes(frames, size, data).unwrap(), 95)
            .unwrap();
    }
    fn options(&self) -> OpenOptions {
        OpenOptions { cache: self.path("cache"), size: SIZE, ..OpenOptions::default() }
    }
    fn open(&self, name: &str) -> vg_core::Result<Box<dyn Dataset>> {
        self.open_as(name, &self.options())
    }
    fn open_as(&self, name: &str, options: &OpenOptions) -> vg_core::Result<Box<dyn Dataset>> {
        open(&format!("strips:{}", self.path(name).display()), options)
    }
    fn message(&self, name: &str) -> String {
        self.open(name).err().map(|e| e.to_string()).unwrap_or_default()
    }
}

fn check(set: &dyn Dataset, clip: usize, value: u8, frames: usize) {
    assert_eq!(set.frames(clip), frames);
    let found = set.read(clip, &(0..frames).collect::<Vec<_>>(), SIZE).unwrap();
    let expected: Vec<u8> = (0..frames as u32)
        .flat_map(|f| (0..SIDE).flat_map(move |y| (0..SIDE).flat_map(move |x| colour(value, f, x, y))))
        .collect();
    assert_eq!(found.data, expected);
}

#[test]
fn class_folders_hold_strips_of_either_direction_whatever_their_names() {
    let place = Place::new();
    place.strip("set/3/00000002.jpg", &image(5, 40, false, true));
    place.strip("set/3/00000003.jpg", &image(6, 32, true, true));
    place.strip("set/10/deeper/c.dat", &image(7, 33, false, false));
    place.strip("set/10/short.png", &image(8, 31, false, false));
    place.bytes("set/10/notes.txt", b"no strip");
    let set = place.open("set").unwrap();
    assert_eq!(set.info().clips, 3);
    // Sorted as text, as the reference does.
    assert_eq!(set.info().classes["class"], ["10", "3"]);
    assert_eq!((0..3).map(|c| set.label(c, "class")).collect::<Vec<_>>(), [Some(0), Some(1), Some(1)]);
    check(&*set, 0, 7, 33);
    check(&*set, 1, 5, 40);
    check(&*set, 2, 6, 32);
    assert!(set.report().skipped.is_empty());
    let short = &set.report().short;
    assert_eq!((short.len(), short[0].name.as_str()), (1, "10/short.png"));
    assert!(short[0].problem.starts_with("31 frames"), "{short:?}");
    // A short strip is no damage.
    assert!(place.open_as("set", &OpenOptions { strict: true, ..place.options() }).is_ok());
    let all = place.open_as("set", &OpenOptions { min_frames: 2, ..place.options() }).unwrap();
    assert_eq!((all.info().clips, all.report().short.len()), (4, 0));
    // Served again from the cache, with the same report.
    assert_eq!(place.open("set").unwrap().report(), set.report());
    let clip = ClipSpec { frames: 16, height: 4, width: 4, channels: 3 };
    let spec = BatchSpec {
        images: 5,
        frame_stride: 2,
        labels: vec!["class".to_owned()],
        ..BatchSpec::clips(3, clip, Pixels::Symmetric)
    };
    let batch = source(set, 1).batch(&spec, 0).unwrap();
    assert_eq!(batch.clips.dims(), [3, 3, 16, 4, 4]);
    assert_eq!(batch.images.unwrap().dims(), [5, 3, 4, 4]);
}

#[test]
fn strips_without_classes_and_splits_work_too() {
    let place = Place::new();
    place.strip("flat/a.png", &image(1, 32, false, false));
    let set = place.open("flat").unwrap();
    assert_eq!((set.info().clips, set.info().classes.len()), (1, 0));
    place.strip("both/train/x/a.png", &image(1, 32, false, false));
    place.strip("both/test/x/b.png", &image(2, 35, false, false));
    let test = place.open_as("both", &OpenOptions { split: Split::Test, ..place.options() }).unwrap();
    check(&*test, 0, 2, 35);
    place.strip("flat/class/b.png", &image(1, 32, false, false));
    assert!(place.message("flat").contains("beside the class folders"), "{}", place.message("flat"));
}

#[test]
fn broken_strips_are_named() {
    let place = Place::new();
    place.strip("set/a/good.png", &image(1, 32, false, false));
    place.strip("set/a/odd.png", &RgbImage::new(129, 4).into());
    place.strip("set/a/cut.png", &image(1, 60, false, false));
    let whole = std::fs::read(place.path("set/a/cut.png")).unwrap();
    place.bytes("set/a/cut.png", &whole[..whole.len() / 2]);
    place.jpeg("set/a/half.jpg", 40);
    let whole = std::fs::read(place.path("set/a/half.jpg")).unwrap();
    place.bytes("set/a/half.jpg", &whole[..whole.len() * 2 / 3]);
    // A header that promises more than there may be.
    let mut huge = std::fs::read(place.path("set/a/good.png")).unwrap();
    huge[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
    let crc = crc32fast::hash(&huge[12..29]).to_be_bytes();
    huge[29..33].copy_from_slice(&crc);
    place.bytes("set/a/huge.png", &huge);
    place.bytes("set/a/lie.png", b"<html>");
    place.bytes("set/a/video.avi", b"RIFF\0\0\0\0AVI LIST");
    let set = place.open("set").unwrap();
    assert_eq!(set.info().clips, 1);
    let problem = |name: &str| {
        let found = set.report().skipped.iter().find(|s| s.name == format!("a/{name}"));
        found.unwrap_or_else(|| panic!("{name} is not in {}", set.report())).problem.clone()
    };
    assert!(problem("odd.png").contains("no strip of square frames: the longer side of 129x4"));
    assert!(problem("cut.png").contains("damaged"), "{}", problem("cut.png"));
    assert!(problem("half.jpg").contains("damaged"), "{}", problem("half.jpg"));
    assert!(problem("huge.png").contains("65536x65536 pixels"), "{}", problem("huge.png"));
    assert!(problem("lie.png").contains("not what its ending says"));
    assert!(problem("video.avi").contains("`folder:` reads videos"));
    let strict = OpenOptions { strict: true, ..place.options() };
    assert!(matches!(place.open_as("set", &strict), Err(Error::Format { .. })));
}

#[test]
fn empty_classes_and_folders_are_errors() {
    let place = Place::new();
    place.strip("set/a/good.png", &image(1, 32, false, false));
    std::fs::create_dir_all(place.path("set/b")).unwrap();
    assert!(place.message("set").contains("b: the class is empty"), "{}", place.message("set"));
    place.strip("set/b/short.png", &image(1, 20, false, false));
    let message = place.message("set");
    assert!(message.contains("class \"b\" is empty") && message.contains("20 frames"), "{message}");
    assert_eq!(message, place.message("set"), "the cache says the same");
    std::fs::create_dir_all(place.path("none")).unwrap();
    assert!(place.message("none").contains("no strips were found"), "{}", place.message("none"));
    assert!(place.message("nowhere").contains("nowhere"));
    place.strip("only/a/short.png", &image(1, 20, false, false));
    assert!(place.message("only").contains("20 frames"), "{}", place.message("only"));
}

#[test]
fn lists_give_clips_of_32_frames_and_classes() {
    let place = Place::new();
    place.strip("vgan/x/a.jpg", &image(1, 34, true, false));
    place.strip("vgan/x/b.jpg", &image(2, 20, true, false));
    place.bytes("vgan/list.txt", b"x/a.jpg 3 more words\r\n\n  x/b.jpg\t1\n");
    for name in ["vgan", "vgan/list.txt"] {
        let set = place.open(name).unwrap();
        assert_eq!((set.info().clips, set.info().classes["class"].len()), (2, 3));
        assert_eq!(set.info().classes["class"], ["1", "2", "3"]);
        assert_eq!((set.label(0, "class"), set.label(1, "class")), (Some(2), Some(0)));
        check(&*set, 0, 1, 32);
        assert_eq!(set.frames(1), 32);
        let last = set.read(1, &[18, 19, 20, 31], SIZE).unwrap();
        let green: Vec<u8> = last.iter().map(|frame| frame[1]).collect();
        assert_eq!(green, [18, 19, 19, 19], "the last frame is repeated");
    }
    place.bytes("vgan/classInd.txt", b"1 Run\n2 Swim\n3 High Jump\n");
    assert_eq!(place.open("vgan").unwrap().info().classes["class"], ["Run", "Swim", "High Jump"]);
    // The same files as class folders are other clips, from another cache.
    std::fs::remove_file(place.path("vgan/list.txt")).unwrap();
    std::fs::remove_file(place.path("vgan/classInd.txt")).unwrap();
    let set = place.open_as("vgan", &OpenOptions { min_frames: 1, ..place.options() }).unwrap();
    assert_eq!((set.frames(0), set.frames(1)), (34, 20));
}

#[test]
fn splits_of_lists_are_lists() {
    let place = Place::new();
    for name in ["Run/a", "Swim/b"] {
        place.strip(&format!("ucf/{name}.jpg"), &image(1, 32, true, false));
    }
    place.bytes("ucf/trainlist01.txt", b"Run/a.jpg 1\n");
    place.bytes("ucf/testlist01.txt", b"Swim/b.jpg\n");
    place.bytes("ucf/classInd.txt", b"1 Run\n2 Swim\n");
    let test = OpenOptions { split: Split::Test, ..place.options() };
    let set = place.open_as("ucf/trainlist01.txt", &test).unwrap();
    // The official test lists have no numbers: the folder tells.
    assert_eq!((set.info().classes["class"].len(), set.label(0, "class")), (2, Some(1)));
    assert_eq!(place.open("ucf/trainlist01.txt").unwrap().label(0, "class"), Some(0));
    place.bytes("ucf/list.txt", b"Run/a.jpg 1\n");
    let message = |name: &str| place.open_as(name, &test).err().unwrap().to_string();
    assert!(message("ucf").contains("no test split"), "{}", message("ucf"));
    assert!(message("ucf/list.txt").contains("no test split"));
}

#[test]
fn mistakes_in_lists_are_named() {
    let place = Place::new();
    place.strip("set/a.jpg", &image(1, 32, true, false));
    let message = |text: &[u8]| {
        place.bytes("set/list.txt", text);
        place.message("set")
    };
    assert!(message(b"\n \n").contains("the list is empty"));
    assert!(message(b"a.jpg 0\n").contains("line 1: class \"0\"; expected a number of 1 to"));
    assert!(message(b"a.jpg 99999999999\n").contains("99999999999"));
    assert!(message(b"a.jpg 1\na.jpg\n").contains("line 2 has no class"));
    assert!(message(b"\xff\xfe\0\n").contains("no text"));
    let gone = message(b"b.jpg\nc.jpg\n");
    assert!(gone.contains("names 2 files that are missing, the first in line 1: b.jpg"), "{gone}");
    assert_eq!(message(b"a.jpg\nb.jpg\n"), "");
    let set = place.open("set").unwrap();
    assert_eq!((set.info().clips, set.report().skipped[0].name.as_str()), (1, "b.jpg"));
    let strict = place.open_as("set", &OpenOptions { strict: true, ..place.options() });
    assert!(strict.err().unwrap().to_string().contains("the first in line 2: b.jpg"));
    place.bytes("set/classInd.txt", b"1 Run\n3 Swim\n");
    assert!(message(b"a.jpg 1\n").contains("1, 2, 3 and so on"));
    place.bytes("set/classInd.txt", b"1 Run\n");
    assert!(message(b"a.jpg 2\n").contains("class 2, but classInd.txt names 1"));
}

#[test]
fn a_checkerboard_of_double_size_becomes_flat() {
    let place = Place::new();
    let board = RgbImage::from_fn(8, 8 * 32, |x, y| Rgb([if (x + y) % 2 == 0 { 255 } else { 0 }; 3]));
    place.strip("set/a.jpg", &board.into());
    place.bytes("set/list.txt", b"a.jpg\n");
    let set = place.open("set").unwrap();
    let frame = set.read(0, &[0], SIZE).unwrap();
    // The mean of 0 and 255, rounded up.
    assert!(frame.data.iter().all(|v| *v == 128), "{:?}", frame.data);
}
